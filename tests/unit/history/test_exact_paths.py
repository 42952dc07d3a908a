"""Exact paths: from the version rows of one set of revisions to those of another, and back."""

from __future__ import annotations

import random
from itertools import pairwise
from pathlib import Path

import pytest

from tenantmig.domain.plan import Heads, RunKind
from tenantmig.errors import UnknownRevisionError
from tenantmig.history.revisions import History
from tests.fixtures.command import INI
from tests.fixtures.history import write_history, write_revision

UP, DOWN, STAMP = RunKind.UPGRADE, RunKind.DOWNGRADE, RunKind.STAMP
Parents = dict[str, set[str]]


def opened(folder: Path, *nodes: tuple[str, tuple[str, ...], tuple[str, ...]]) -> History:
    """A history of (revision, down_revision, depends_on)."""
    scripts = write_history(folder / "history")
    for revision, parents, depends_on in nodes:
        parent = parents if len(parents) > 1 else next(iter(parents), None)
        write_revision(scripts, revision, parent, "pass", depends_on=depends_on or None)
    ini = folder / "alembic.ini"
    ini.write_text(INI.format(script_location=scripts, root=folder))
    return History(ini)


def drawn(folder: Path, seed: int) -> tuple[History, Parents]:
    """A random history with roots, branches, merges and dependencies, and what each stands on."""
    dice, nodes, parents = random.Random(seed), [], Parents()  # noqa: S311
    for number in range(12):
        name, known = f"r{number:02}", sorted(parents)
        below = dice.sample(known, min(len(known), dice.choice([0, 1, 1, 1, 2, 3])))
        apart = [one for one in known if one not in below]
        depends = dice.sample(apart, min(len(apart), dice.choice([0, 0, 1, 2])))
        parents[name] = {*below, *depends}
        nodes.append((name, tuple(below), tuple(depends)))
    return opened(folder, *nodes), parents


def chosen(dice: random.Random, parents: Parents) -> set[str]:
    """A set of revisions that a tenant can have had."""
    found: set[str] = set()
    for name in dice.sample(sorted(parents), dice.randrange(len(parents) + 1)):
        todo = [name]
        while todo:
            one = todo.pop()
            if one not in found:
                found.add(one)
                todo += parents[one]
    return found


def heads(revisions: set[str], parents: Parents) -> Heads:
    """Those on which no other stands."""
    beneath = set().union(*(parents[one] for one in revisions)) if revisions else set()
    return tuple(sorted(revisions - beneath))


@pytest.mark.parametrize("seed", range(6))
def test_any_state_goes_to_exactly_any_other_above_or_below_it(tmp_path: Path, seed: int) -> None:
    sound, parents = drawn(tmp_path, seed)
    dice, seen = random.Random(seed), 0  # noqa: S311
    for _ in range(60):
        one, other = chosen(dice, parents), chosen(dice, parents)
        above, below = one | other, one & other
        high, low = heads(above, parents), heads(below, parents)
        down, up = sound.exact_path(DOWN, high, low), sound.exact_path(UP, low, high)
        assert set(down.revisions) == set(up.revisions) == above - below
        assert (down.source, down.target, up.source, up.target) == (high, low, low, high)
        for path, kind in ((down, DOWN), (up, UP)):
            order = {revision: n for n, revision in enumerate(path.revisions)}
            for revision, place in order.items():
                for parent in parents[revision] & order.keys():
                    assert (order[parent] < place) is (kind is UP)
            # half way, what is left is the rest; and a tenant beside the path has none
            places = sound._places(kind, path)
            assert [sound.rest(kind, path, place) for place in places] == [
                path.revisions[n:] for n in range(len(path.revisions) + 1)
            ]
            for leg in sound.legs(kind, path):
                assert leg.path.revisions == path.revisions
        if not (one <= other or other <= one):
            seen += 1
            with pytest.raises(UnknownRevisionError, match=r"to exactly .*each has revisions"):
                sound.exact_path(DOWN, heads(one, parents), heads(other, parents))
    assert seen > 5


def test_downgrades_come_in_the_reverse_order_of_the_upgrades(tmp_path: Path) -> None:
    nodes = [("a", (), ()), ("b", ("a",), ()), ("c", ("a",), ()), ("m", ("b", "c"), ())]
    sound = opened(tmp_path, *nodes, ("x", (), ("b",)), ("n", ("m",), ()))
    up = sound.path(UP, ("a",), "heads")
    down = sound.exact_path(DOWN, up.target, ("a",))
    assert down.revisions == up.revisions[::-1]
    assert up.target == ("n", "x")
    places = sound._places(DOWN, down)
    assert all(before != after for before, after in pairwise(places))
    assert sound.rest(DOWN, down, ("b",)) is None  # c is undone first or last, and x stands on b
    assert sound.exact_path(STAMP, ("a",), ("c", "b")).target == ("b", "c")
    for gone in (("zz",), ("b", "zz")):
        with pytest.raises(UnknownRevisionError, match="'zz' is not in this history"):
            sound.exact_path(DOWN, up.target, gone)


def test_a_target_of_several_heads_is_one_for_paths_too(tmp_path: Path) -> None:
    """A resumed `-1` or `+1` may lead to several rows."""
    nodes = [("a", (), ()), ("b", ("a",), ()), ("c", ("a",), ()), ("m", ("b", "c"), ())]
    sound = opened(tmp_path, *nodes)
    assert sound.path(DOWN, ("m",), "b,c").revisions == ("m",)
    assert sorted(sound.path(UP, ("a",), "b,c").revisions) == ["b", "c"]
    assert sound.path(UP, ("b",), "b,c").target == ("b", "c")
    assert sound.path(UP, ("m",), "b,c").is_empty

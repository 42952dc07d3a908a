"""Legs: where a path is cut between transactional and concurrent revisions; what is applied."""

from __future__ import annotations

from pathlib import Path

import pytest

from tenantmig.domain.plan import Leg, RunKind
from tenantmig.history.revisions import History
from tests.fixtures.command import INI
from tests.fixtures.history import write_history

UP, DOWN = RunKind.UPGRADE, RunKind.DOWNGRADE
PLAIN = "op.execute('SELECT 1')"
BLOCK = "with op.get_context().autocommit_block():\n    op.execute('VACUUM')"


def history(folder: Path, *kinds: str) -> History:
    """A linear history r1, r2, ...; "c" is a concurrent revision, "t" a transactional one."""
    scripts = [
        (f"r{number}", BLOCK if kind == "c" else PLAIN, "pass")
        for number, kind in enumerate(kinds, 1)
    ]
    return opened(write_history(folder / "history", *scripts))


def opened(scripts: Path) -> History:
    """The history of a folder of scripts."""
    ini = scripts.parent / "alembic.ini"
    ini.write_text(INI.format(script_location=scripts, root=scripts.parent))
    return History(ini)


def shown(legs: tuple[Leg, ...]) -> list[tuple[str, tuple[str, ...]]]:
    """Each leg's kind and revisions."""
    return [("c" if leg.is_concurrent else "t", leg.path.revisions) for leg in legs]


@pytest.mark.parametrize(
    ("kinds", "legs"),
    [
        ("ttt", [("t", ("r1", "r2", "r3"))]),
        ("cc", [("c", ("r1", "r2"))]),
        ("ttc", [("t", ("r1", "r2")), ("c", ("r3",))]),
        ("ctt", [("c", ("r1",)), ("t", ("r2", "r3"))]),
        ("tcct", [("t", ("r1",)), ("c", ("r2", "r3")), ("t", ("r4",))]),
        ("ctc", [("c", ("r1",)), ("t", ("r2",)), ("c", ("r3",))]),
    ],
)
def test_an_upgrade_is_cut_where_the_kind_of_revision_changes(
    tmp_path: Path, kinds: str, legs: list[tuple[str, tuple[str, ...]]]
) -> None:
    sound = history(tmp_path, *kinds)
    assert shown(sound.legs(UP, sound.path(UP, (), "head"))) == legs


@pytest.mark.parametrize(
    ("kinds", "target", "legs"),
    [
        ("ttc", "base", [("c", ("r3",)), ("t", ("r2", "r1"))]),
        ("tct", "base", [("t", ("r3",)), ("c", ("r2",)), ("t", ("r1",))]),
        ("tct", "r1", [("t", ("r3",)), ("c", ("r2",))]),
        ("tct", "-1", [("t", ("r3",))]),
        ("tct", "-2", [("t", ("r3",)), ("c", ("r2",))]),
    ],
)
def test_a_downgrade_is_cut_on_the_way_back(
    tmp_path: Path, kinds: str, target: str, legs: list[tuple[str, tuple[str, ...]]]
) -> None:
    sound = history(tmp_path, *kinds)
    assert shown(sound.legs(DOWN, sound.path(DOWN, sound.heads, target))) == legs


@pytest.mark.parametrize(("kind", "source", "target"), [(UP, (), "head"), (DOWN, ("r4",), "base")])
def test_legs_join_to_the_whole_path(
    tmp_path: Path, kind: RunKind, source: tuple[str, ...], target: str
) -> None:
    sound = history(tmp_path, *"tctc")
    path = sound.path(kind, source, target)
    legs = [leg.path for leg in sound.legs(kind, path)]
    assert legs[0].source == path.source
    assert legs[-1].target == path.target
    assert [leg.target for leg in legs[:-1]] == [leg.source for leg in legs[1:]]
    assert sum((leg.revisions for leg in legs), ()) == path.revisions
    # each leg's destination is absolute: it leads there from the place where the leg begins
    for leg in legs:
        assert sound.path(kind, leg.source, leg.destination).target == leg.target


def test_an_empty_path_is_one_transactional_leg(tmp_path: Path) -> None:
    sound = history(tmp_path, *"tc")
    assert shown(sound.legs(UP, sound.path(UP, ("r2",), "head"))) == [("t", ())]


def branched(folder: Path) -> History:
    """r1 with the branches r2 - r3 (concurrent) and r4, joined by r5."""
    scripts = write_history(
        folder / "history",
        ("r1", PLAIN),
        ("r2", PLAIN),
        ("r3", BLOCK),
        ("r4", PLAIN),
        ("r5", PLAIN),
    )
    _reparent(scripts, "r4", "'r3'", "'r1'")
    _reparent(scripts, "r5", "'r4'", "('r3', 'r4')")
    return opened(scripts)


def _reparent(scripts: Path, revision: str, old: str, new: str) -> None:
    file = scripts / "versions" / f"{revision}.py"
    text = file.read_text()
    assert f"down_revision = {old}" in text
    file.write_text(text.replace(f"down_revision = {old}", f"down_revision = {new}"))


@pytest.mark.parametrize(("kind", "source", "target"), [(UP, (), "head"), (DOWN, ("r5",), "base")])
def test_a_path_through_branches_is_cut_too_and_its_legs_join(
    tmp_path: Path, kind: RunKind, source: tuple[str, ...], target: str
) -> None:
    sound = branched(tmp_path)
    path = sound.path(kind, source, target)
    assert sorted(path.revisions) == ["r1", "r2", "r3", "r4", "r5"]
    legs = sound.legs(kind, path)
    assert [leg.path.revisions for leg in legs if leg.is_concurrent] == [("r3",)]
    assert (legs[0].path.source, legs[-1].path.target) == (path.source, path.target)
    assert [leg.path.target for leg in legs[:-1]] == [leg.path.source for leg in legs[1:]]
    assert sum((leg.path.revisions for leg in legs), ()) == path.revisions
    assert max(len(leg.path.source) for leg in legs) == 2  # both branches at once


def test_one_branch_of_a_history_is_cut_like_a_line(tmp_path: Path) -> None:
    sound = branched(tmp_path)
    legs = sound.legs(UP, sound.path(UP, ("r1",), "r3"))
    assert shown(legs) == [("t", ("r2",)), ("c", ("r3",))]


@pytest.mark.parametrize(
    ("revision", "heads", "is_applied"),
    [
        ("r1", (), False),
        ("r1", ("r1",), True),
        ("r1", ("r5",), True),
        ("r2", ("r1",), False),
        ("r4", ("r3",), False),
        ("r4", ("r3", "r4"), True),
        ("r5", ("r3", "r4"), False),
    ],
)
def test_a_revision_is_applied_with_its_descendants(
    tmp_path: Path, revision: str, heads: tuple[str, ...], is_applied: bool
) -> None:
    assert branched(tmp_path).is_applied(revision, heads) is is_applied


@pytest.mark.parametrize(
    ("revision", "is_known"), [("r1", True), ("r9", False), ("r", False), ("head", False)]
)
def test_only_exact_revisions_are_known(tmp_path: Path, revision: str, is_known: bool) -> None:
    assert history(tmp_path, *"tt").knows(revision) is is_known

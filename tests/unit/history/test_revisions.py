"""The history: targets, paths and what it refuses, over small sound histories and our own."""

from __future__ import annotations

import functools
import shutil
from pathlib import Path

import pytest

from tenantmig.domain.plan import RunKind
from tenantmig.errors import HistoryError, SettingsError, UnknownRevisionError, VersionTableError
from tenantmig.history.applied import ancestors
from tenantmig.history.revisions import History

REPOSITORY = Path(__file__).parents[3]
SHAPES = REPOSITORY / "tests" / "scenarios" / "shapes"
UP, DOWN = RunKind.UPGRADE, RunKind.DOWNGRADE


@functools.cache
def history(shape: str) -> History:
    """A history of `scenarios/shapes`, or the repository's own."""
    return History((REPOSITORY if shape == "own" else SHAPES / shape) / "alembic.ini")


OWN = [path.name[:4] for path in sorted((REPOSITORY / "alembic" / "versions").glob("*.py"))]


@pytest.mark.parametrize(
    ("shape", "heads"),
    [
        ("empty", ()),
        ("linear", ("a3",)),
        ("two_heads", ("b1", "c2")),
        ("merged", ("d2",)),
        ("two_bases", ("a2", "b1")),
        ("own", (OWN[-1],)),
    ],
)
def test_heads(shape: str, heads: tuple[str, ...]) -> None:
    assert history(shape).heads == heads


@pytest.mark.parametrize(
    ("shape", "kind", "target", "resolved"),
    [
        ("linear", UP, "head", "a3"),
        ("linear", UP, "heads", "heads"),
        ("linear", UP, "a2", "a2"),
        ("linear", UP, "+2", "+2"),
        ("linear", DOWN, "-1", "-1"),
        ("linear", DOWN, "base", "base"),
        ("empty", UP, "head", "base"),
        ("empty", UP, "heads", "heads"),
        ("two_heads", UP, "c2", "c2"),
        ("two_heads", UP, "crm@head", "c2"),
        ("merged", UP, "head", "d2"),
        ("own", UP, "head", OWN[-1]),
        ("own", UP, "0015", "0015"),
    ],
)
def test_targets_are_resolved(shape: str, kind: RunKind, target: str, resolved: str) -> None:
    assert history(shape).target(target, kind) == resolved


def test_an_abbreviation_names_one_revision(tmp_path: Path) -> None:
    shutil.copytree(SHAPES / "linear", tmp_path, dirs_exist_ok=True)
    for path in (tmp_path / "versions").glob("a?.py"):
        text = path.read_text()
        for name in ("a1", "a2", "a3"):
            text = text.replace(f'"{name}"', f'"{name[1]}feedbeef"')
        path.write_text(text)
    long = History(tmp_path / "alembic.ini")
    assert long.target("2fee") == "2feedbeef"


@pytest.mark.parametrize(
    ("shape", "kind", "target"),
    [
        ("linear", UP, "nope"),
        ("linear", UP, ""),
        ("linear", UP, "-1"),
        ("linear", DOWN, "+1"),
        ("linear", UP, "a"),
        ("linear", UP, "a1:a3"),
        ("empty", UP, "a1"),
        ("two_heads", UP, "nope@head"),
    ],
)
def test_targets_that_name_no_single_revision(shape: str, kind: RunKind, target: str) -> None:
    with pytest.raises(UnknownRevisionError, match="alembic history") as refused:
        history(shape).target(target, kind)
    assert "\n" not in refused.value.message


@pytest.mark.parametrize("shape", ["two_heads", "two_bases"])
def test_head_of_several_heads_is_refused_with_the_ways_out(shape: str) -> None:
    with pytest.raises(HistoryError, match=r"2 heads \(.*alembic merge heads.*`heads`"):
        history(shape).target("head")


@pytest.mark.parametrize(
    ("shape", "kind", "source", "target", "revisions", "reached"),
    [
        ("empty", UP, (), "heads", (), ()),
        ("linear", UP, (), "a3", ("a1", "a2", "a3"), ("a3",)),
        ("linear", UP, ("a1",), "a2", ("a2",), ("a2",)),
        ("linear", UP, ("a3",), "a3", (), ("a3",)),
        ("linear", UP, ("a3",), "a2", (), ("a3",)),
        ("linear", UP, ("a1",), "+2", ("a2", "a3"), ("a3",)),
        ("linear", UP, (), "+1", ("a1",), ("a1",)),
        ("linear", DOWN, ("a3",), "a1", ("a3", "a2"), ("a1",)),
        ("linear", DOWN, ("a3",), "-2", ("a3", "a2"), ("a1",)),
        ("linear", DOWN, ("a1",), "-1", ("a1",), ()),
        ("linear", DOWN, ("a2",), "base", ("a2", "a1"), ()),
        ("linear", DOWN, ("a1",), "a1", (), ("a1",)),
        ("linear", DOWN, (), "base", (), ()),
        ("two_heads", UP, ("a1",), "c2", ("c1", "c2"), ("c2",)),
        ("two_heads", UP, ("b1",), "c2", ("c1", "c2"), ("b1", "c2")),
        ("two_heads", DOWN, ("b1", "c2"), "c1", ("c2",), ("b1", "c1")),
        ("merged", UP, ("b1", "c2"), "d2", ("d1", "d2"), ("d2",)),
        ("merged", DOWN, ("d2",), "d1", ("d2",), ("d1",)),
        ("own", DOWN, (OWN[-1],), OWN[-3], tuple(OWN[:-3:-1]), (OWN[-3],)),
        ("own", UP, (), OWN[-1], tuple(OWN), (OWN[-1],)),
    ],
)
def test_paths(
    shape: str,
    kind: RunKind,
    source: tuple[str, ...],
    target: str,
    revisions: tuple[str, ...],
    reached: tuple[str, ...],
) -> None:
    path = history(shape).path(kind, source, target)
    assert (path.source, path.revisions, path.target) == (source, revisions, reached)
    assert path.is_empty == (not revisions)


@pytest.mark.parametrize(
    ("shape", "source", "reached"),
    [
        ("two_heads", (), ("b1", "c2")),
        ("two_heads", ("b1",), ("b1", "c2")),
        ("merged", ("a1",), ("d2",)),
        ("two_bases", (), ("a2", "b1")),
        ("two_bases", ("b1",), ("a2", "b1")),
    ],
)
def test_heads_are_reached_through_branches_and_merges(
    shape: str, source: tuple[str, ...], reached: tuple[str, ...]
) -> None:
    sound = history(shape)
    path = sound.path(UP, source, "heads")
    assert path.target == reached
    assert not set(source) & set(path.revisions)
    for step, revision in enumerate(path.revisions):
        script = sound.script.get_revision(revision)
        assert script is not None
        parents = script._all_down_revisions
        before = {*path.revisions[:step], *_with_ancestors(sound, source)}
        assert set(parents) <= before


def _with_ancestors(sound: History, heads: tuple[str, ...]) -> set[str]:
    return set(ancestors(sound.script, heads)) if heads else set()


@pytest.mark.parametrize("shape", ["linear", "two_heads", "merged", "two_bases"])
def test_down_to_base_undoes_up_to_heads(shape: str) -> None:
    up = history(shape).path(UP, (), "heads")
    down = history(shape).path(DOWN, up.target, "base")
    assert down.target == ()
    assert sorted(down.revisions) == sorted(up.revisions)


@pytest.mark.parametrize(
    ("kind", "source", "target", "destination"),
    [
        (DOWN, ("a3",), "-1", "a2"),
        (DOWN, ("a1",), "-1", "base"),
        (UP, ("a1",), "+1", "a2"),
        (UP, ("a1",), "a3", "a3"),
        (UP, ("a1",), "heads", "heads"),
    ],
)
def test_a_destination_is_absolute(
    kind: RunKind, source: tuple[str, ...], target: str, destination: str
) -> None:
    path = history("linear").path(kind, source, target)
    assert path.destination == destination
    again = history("linear").path(kind, path.target, path.destination)
    assert again.is_empty


@pytest.mark.parametrize(
    ("shape", "kind", "source", "target"),
    [
        ("linear", DOWN, ("a1",), "a3"),
        ("linear", DOWN, ("a1",), "-2"),
        ("linear", UP, ("a2",), "+2"),
        ("two_heads", DOWN, ("b1",), "c1"),
    ],
)
def test_what_cannot_be_reached(
    shape: str, kind: RunKind, source: tuple[str, ...], target: str
) -> None:
    with pytest.raises(UnknownRevisionError, match=f"no {kind.value} from .* to ") as refused:
        history(shape).path(kind, source, target)
    assert "\n" not in refused.value.message


@pytest.mark.parametrize(
    ("shape", "heads"),
    [
        ("linear", ()),
        ("linear", ("a2",)),
        ("two_heads", ("b1", "c1")),
        ("two_heads", ("a1",)),
        ("merged", ("b1", "c2")),
        ("two_bases", ("a2", "b1")),
        ("two_bases", ("b1",)),
    ],
)
def test_possible_states(shape: str, heads: tuple[str, ...]) -> None:
    history(shape).check_heads(heads)


@pytest.mark.parametrize(
    ("shape", "heads", "reason"),
    [
        ("linear", ("nope",), "'nope', which is not in this history"),
        ("linear", ("a",), "'a', which is not in this history"),
        ("linear", ("head",), "'head', which is not in this history"),
        ("two_heads", ("crm",), "'crm', which is not in this history"),
        ("linear", ("a1", "a2"), r"2 rows \(a1, a2\), and a1 is an ancestor"),
        ("merged", ("b1", "d1"), "b1 is an ancestor"),
    ],
)
def test_impossible_states(shape: str, heads: tuple[str, ...], reason: str) -> None:
    with pytest.raises(VersionTableError, match=reason):
        history(shape).check_heads(heads)


@pytest.mark.parametrize(
    ("source", "target", "reached"),
    [((), "a3", ("a3",)), (("a3",), "base", ()), (("zz",), "a1", ("a1",))],
)
def test_a_stamp_goes_anywhere_over_no_revision(
    source: tuple[str, ...], target: str, reached: tuple[str, ...]
) -> None:
    path = history("linear").stamp_path(source, target)
    assert (path.target, path.revisions) == (reached, ())


def test_a_stamp_to_heads_takes_all_of_them() -> None:
    assert history("two_heads").stamp_path((), "heads").target == ("b1", "c2")


@pytest.mark.parametrize(
    ("name", "old", "new", "reason"),
    [
        ("a2.py", '"a1"', '"gone"', "gone"),
        ("a2.py", 'revision = "a2"', 'revision = "a1"', "a1"),
        ("a1.py", "down_revision = None", 'down_revision = "a3"', "(?i)cycle"),
        ("a2.py", "def upgrade", "def upgrade(", r"a2\.py, line \d+, has a syntax error"),
        ("a2.py", "from alembic import op", "import nowhere_at_all", r"nowhere_at_all.*a2\.py"),
    ],
)
def test_a_broken_history_is_refused_with_the_place(
    tmp_path: Path, name: str, old: str, new: str, reason: str
) -> None:
    shutil.copytree(SHAPES / "linear", tmp_path, dirs_exist_ok=True)
    script = tmp_path / "versions" / name
    script.write_text(script.read_text().replace(old, new, 1))
    with pytest.raises(HistoryError, match=reason) as refused:
        History(tmp_path / "alembic.ini")
    assert "\n" not in refused.value.message


def test_a_missing_ini_is_a_settings_error(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="There is no"):
        History(tmp_path / "alembic.ini")


def test_a_missing_script_location_is_refused(tmp_path: Path) -> None:
    (tmp_path / "alembic.ini").write_text("[alembic]\nscript_location = %(here)s/none\n")
    with pytest.raises(HistoryError, match="none"):
        History(tmp_path / "alembic.ini")

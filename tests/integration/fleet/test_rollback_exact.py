"""`rollback` over merges, branches and depends_on: each tenant comes to exactly what it had."""

from __future__ import annotations

from pathlib import Path

import pytest

from tenantmig import Selection
from tests.fixtures.command import Project, untouched
from tests.fixtures.database import Database
from tests.fixtures.history import write_history, write_revision
from tests.fixtures.rollouts import (
    OpenFleet,
    by_name,
    kill_asleep,
    outcomes,
    put_to_sleep,
    stands,
    wake,
)

AT = {
    "base": (),
    "root": ("r1",),
    "left": ("a1",),
    "right": ("b2",),
    "apart": ("a1", "b1"),
    "both": ("a2", "b2"),
    "side": ("b1", "x1"),
    "merged": ("m1",),
    "most": ("m1", "x1"),
}
"""Tenants and where they stand; x1 is a root that depends on a1."""
SLEEP = (
    "if op.get_bind().execute(sa.text(\"SELECT to_regclass('sleepy')\")).scalar():\n"
    "    op.execute('SELECT pg_sleep(300)')\n"
)


def table(revision: str) -> tuple[str, str]:
    """Scripts that make a table of this name, and drop it; both may sleep for r1's children."""
    make, drop = (
        f"op.execute('CREATE TABLE t_{revision} (id int)')",
        f"op.drop_table('t_{revision}')",
    )
    return (make, f"{SLEEP}{drop}") if revision == "b2" else (make, drop)


@pytest.fixture
def branched(tmp_path: Path, database: Database) -> Project:
    """r1 - (a1 - a2 | b1 - b2) - m1 - n1 - (c1 | c2) - m2, and x1 apart that depends on a1."""
    scripts = write_history(tmp_path / "history", ("r1", *table("r1")))
    parents: dict[str, str | tuple[str, ...]] = {
        "a1": "r1",
        "a2": "a1",
        "b1": "r1",
        "b2": "b1",
        "m1": ("a2", "b2"),
        "n1": "m1",
        "c1": "n1",
        "c2": "n1",
        "m2": ("c1", "c2"),
    }
    for revision, below in parents.items():
        code = ("pass", "pass") if revision[0] == "m" else table(revision)
        write_revision(scripts, revision, below, *code)
    write_revision(scripts, "x1", None, *table("x1"), depends_on=("a1",))
    return Project(tmp_path, database.url, scripts)


def populate(open_fleet: OpenFleet, *names: str, more: int = 0) -> dict[str, str | None]:
    """Onboard tenants where `AT` says, `more` of them beside "both" at the same place."""
    fleet = open_fleet(canary="0")
    places = {name: AT[name] for name in names or AT}
    places |= {f"both{number}": AT["both"] for number in range(more)}
    for first in sorted({heads[:1] for heads in places.values()}):
        found = [name for name, heads in places.items() if heads[:1] == first]
        fleet.onboard(found, first[0] if first else "base")
    for second in sorted({heads[1] for heads in places.values() if len(heads) > 1}):
        found = [name for name, heads in places.items() if heads[1:] == (second,)]
        fleet.upgrade(second, Selection(names=tuple(found)))
    return {name: ",".join(heads) or None for name, heads in places.items()}


@pytest.mark.slow
@pytest.mark.parametrize("engine", ["alembic", "auto"])
def test_each_tenant_comes_to_exactly_the_heads_that_it_had(
    branched: Project, open_fleet: OpenFleet, database: Database, engine: str
) -> None:
    before = populate(open_fleet, more=3 if engine == "auto" else 0)
    assert stands(database, *before) == before
    with untouched(database, besides=["tenantmig"]):
        fleet = open_fleet(canary="0", engine=engine)
        upgrade = fleet.upgrade("heads")
        assert set(stands(database, *before).values()) == {"m2,x1"}
        plan = fleet.plan_rollback(int(upgrade.run or 0))
        assert (len(plan.problems), plan.pending) == (0, len(before))
        report = fleet.rollback(int(upgrade.run or 0))
        assert report.counts == {"downgraded": len(before)}
        assert stands(database, *before) == before
    # ... and the rollback of the rollback brings them all back up
    again = fleet.rollback(int(report.run or 0))
    assert again.counts == {"upgraded": len(before)}
    assert set(stands(database, *before).values()) == {"m2,x1"}
    assert {t.from_revision for t in report.tenants} == {"m2,x1"}


@pytest.mark.slow
def test_a_rollback_over_a_merge_that_was_killed_is_resumed(
    branched: Project, open_fleet: OpenFleet, database: Database
) -> None:
    names = ("left", "side", "both")
    populate(open_fleet, *names)
    with untouched(database, besides=["tenantmig"]):
        upgrade = branched.run("upgrade", "heads", "--json")
        put_to_sleep(database, "left")
        words = ("rollback", str(upgrade.json["run"]), "--canary", "both", "-p", "1", "--yes")
        kill_asleep(branched, database, *words)
        half = stands(database, "left")["left"]
        assert half not in {"m2,x1", "a1"}
        wake(database, "left")
        plan = branched.run("resume", "--dry-run", "--json").json
        assert not plan["problems"]
        report = branched.run("resume", "--json", "--yes").json
        assert report["counts"] == {"downgraded": len(names)}
    assert stands(database, *names) == {n: ",".join(AT[n]) or None for n in names}


@pytest.mark.slow
def test_a_stamp_and_a_downgrade_of_several_heads_are_undone_exactly(
    branched: Project, open_fleet: OpenFleet, database: Database
) -> None:
    fleet = open_fleet(canary="0")
    fleet.onboard(["a", "b"], "a2")
    fleet.upgrade("b2", Selection(names=("a", "b")))
    stamp = fleet.stamp("r1", Selection(names=("a",)))
    assert outcomes(fleet.rollback(int(stamp.run or 0))) == {"a": "stamped"}
    assert stands(database, "a") == {"a": "a2,b2"}
    down = fleet.downgrade("r1", Selection(names=("a", "b")))
    assert stands(database, "a", "b") == {"a": "r1", "b": "r1"}
    assert fleet.rollback(int(down.run or 0)).counts == {"upgraded": 2}
    assert stands(database, "a", "b") == {"a": "a2,b2", "b": "a2,b2"}
    assert database.fetch("SELECT to_regclass('a.t_a2'), to_regclass('a.t_b2')") != [(None, None)]


@pytest.mark.slow
def test_what_is_not_in_the_history_any_more_is_named(
    branched: Project, open_fleet: OpenFleet, database: Database
) -> None:
    fleet = open_fleet(canary="0")
    fleet.onboard(["a", "b"], "r1")
    upgrade = fleet.upgrade("a1")
    fleet.upgrade("b1", Selection(names=("b",)))
    with untouched(database, besides=["tenantmig", "a"]):
        report = fleet.rollback(int(upgrade.run or 0))
    assert outcomes(report) == {"a": "downgraded", "b": "failed"}
    assert "it is at a1,b1, not at a1" in str(by_name(report)["b"].error)
    first = fleet.upgrade("a1", Selection(names=("a",)))
    scripts = branched.script_location / "versions"
    for file in scripts.glob("*.py"):
        text = file.read_text().replace("down_revision = 'r1'", "down_revision = None")
        file.write_text(text)
    (scripts / "r1.py").unlink()
    report = open_fleet().rollback(int(first.run or 0))
    assert "revision 'r1' is not in this history" in str(by_name(report)["a"].error)
    assert stands(database, "a") == {"a": "a1"}

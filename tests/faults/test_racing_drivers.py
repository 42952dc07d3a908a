"""Three drivers begin at the same moment: each step is run once (F15)."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from tests.fixtures.command import Project
from tests.fixtures.database import SESSIONS, Database
from tests.fixtures.faults import BYSTANDER, TENANTS, project_on
from tests.fixtures.history import write_history
from tests.fixtures.holds import HOLD, OUTSIDE, held, held_backends
from tests.fixtures.processes import wait_until
from tests.fixtures.promises import ABSENT, Promises, Watch

# A step that runs twice meets the key: 23505. `counter` is what the goldens compare, rows and all.
ONCE = (
    ("r1", "op.execute('CREATE TABLE counter (step text PRIMARY KEY)')"),
    ("r2", f"op.execute(\"INSERT INTO counter VALUES ('r2')\")\n{HOLD}"),
    ("r3", OUTSIDE.replace("'{}'", '"{}"').format("INSERT INTO counter VALUES ('r3')")),
)
A, B, C, D = ("-t" + name for name in TENANTS)
SELECTIONS = {
    "the same": ((), (), ()),
    "overlapping": ((A, B), (B, C, D), ()),
    "disjoint": ((A,), (B,), (C, D)),
}


@pytest.fixture
def fleet(tmp_path: Path, victim_database: Database) -> Project:
    """A fleet at r1 whose further steps each insert a row of their own."""
    project = project_on(tmp_path, victim_database)
    write_history(project.script_location, *ONCE)
    project.run("onboard", *TENANTS, BYSTANDER, "--to", "r1")
    victim_database.execute(
        "UPDATE tenantmig.tenant SET state = 'suspended' WHERE name = 'bystander'"
    )
    return project


def assert_once(watch: Watch) -> None:
    """No step was run twice, not even in vain: nothing in any report failed on the key."""
    for result in watch.results:
        assert "23505" not in result.out + result.err
    assert set(watch.versions().values()) == {"r3"}


@pytest.mark.parametrize("selections", SELECTIONS.values(), ids=SELECTIONS)
def test_three_upgrades_begin_at_once(
    fleet: Project,
    victim_database: Database,
    promises: Promises,
    selections: tuple[tuple[str, ...], ...],
) -> None:
    """The one that holds the fleet is held itself until the others have been refused."""
    with promises.watch(fleet, victim_database, touched=TENANTS, old="r1", new="r3") as watch:
        with held(victim_database):
            drivers = [watch.start("upgrade", *s, "--canary", "0") for s in selections]
            held_backends(victim_database)
            wait_until(
                lambda: sum(driver.poll() is not None for driver in drivers) == 2,
                "both losers are refused",
                60,
            )
        results = [watch.finish(driver, expect={0, 4}) for driver in drivers]
        assert Counter(result.code for result in results) == {0: 1, 4: 2}
        winner = next(result.json["run"] for result in results if result.code == 0)
        for result in results:
            if result.code == 4:
                assert f"Run {winner} " in result.json["error"]["message"]
        watch.run("upgrade", expect=0)
        assert_once(watch)


def test_three_upgrades_race_without_being_held(
    fleet: Project, victim_database: Database, promises: Promises
) -> None:
    """Whoever comes late enough finds nothing to do."""
    with promises.watch(fleet, victim_database, touched=TENANTS, old="r1", new="r3") as watch:
        drivers = [watch.start("upgrade", "--canary", "0") for _ in range(3)]
        results = [watch.finish(driver, expect={0, 4}) for driver in drivers]
        moved = [r.json["counts"].get("upgraded", 0) for r in results if r.code == 0]
        assert sum(moved) == len(TENANTS)
        assert_once(watch)


def test_three_resumes_race(fleet: Project, victim_database: Database, promises: Promises) -> None:
    """One takes the run over; the others are refused, or find it complete."""
    with promises.watch(
        fleet, victim_database, touched=TENANTS, old="r1", new="r3", between=["r2"]
    ) as watch:
        with held(victim_database):
            first = watch.start("upgrade", "--canary", "0")
            held_backends(victim_database, 2)
            first.kill()
            watch.finish(first)
            wait_until(lambda: not victim_database.fetch(SESSIONS), "it lives on", 30)
            drivers = [watch.start("resume") for _ in range(3)]
            held_backends(victim_database)
            wait_until(lambda: sum(d.poll() is not None for d in drivers) == 2, "refused", 60)
        codes = Counter(watch.finish(driver, expect={0, 4}).code for driver in drivers)
        assert codes == {0: 1, 4: 2}
        assert_once(watch)


def test_three_onboardings_of_one_tenant(
    fleet: Project, victim_database: Database, promises: Promises
) -> None:
    """It is born once; the others are told that it exists, or that somebody is at it."""
    fleet.run("upgrade")
    with promises.watch(
        fleet, victim_database, touched=["newcomer"], old=ABSENT, new="r3"
    ) as watch:
        drivers = [watch.start("onboard", "newcomer") for _ in range(3)]
        results = [watch.finish(driver, expect={0, 2, 3, 4}) for driver in drivers]
        done = [r for r in results if r.code == 0 and r.json["counts"] == {"onboarded": 1}]
        assert len(done) == 1
        assert set(watch.versions().values()) == {"r3"}
        status = fleet.run("status", "--json").json
        standing = {row["tenant"]: row["standing"] for row in status["tenants"]}
        assert standing["newcomer"] == "at_head"  # though the newest run on it is a loser's
        watch.run("upgrade", "-t", "newcomer", expect=0)

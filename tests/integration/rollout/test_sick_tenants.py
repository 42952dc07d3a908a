"""A tenant in trouble holds up no release: it is no canary, and goes last."""

from __future__ import annotations

import pytest

from tenantmig import RunOptions, RunState
from tenantmig.errors import SelectionError, UnknownTenantError
from tests.fixtures.command import Project
from tests.fixtures.database import Database
from tests.fixtures.in_process import Ask
from tests.fixtures.rollouts import (
    Events,
    OpenFleet,
    by_name,
    mend,
    outcomes,
    poison,
    reading,
    stands,
)

pytestmark = pytest.mark.usefixtures("three")


def test_a_stuck_tenant_goes_last_and_blocks_no_release(
    open_fleet: OpenFleet, database: Database
) -> None:
    fleet = open_fleet(max_failures="0")
    fleet.onboard(list("abcd"), "r1")
    poison(database, "a")
    first = fleet.upgrade("r2")
    assert outcomes(first) == dict.fromkeys("bcd", "skipped") | {"a": "failed"}
    assert "tenantmig resume 2 --skip a" in str(first.reason)
    assert "tenantmig resume 2 --canary b" in str(first.reason)
    events = Events()
    again = fleet.resume(options=RunOptions(on_event=events))
    assert outcomes(again) == dict.fromkeys("bcd", "upgraded") | {"a": "failed"}
    assert events.waves == [(0, ("b",)), (1, ("c", "d")), (2, ("a",))]
    assert again.reason is None  # it failed as before: that spends no budget
    assert by_name(fleet.upgrade())["a"].wave == 2
    assert stands(database, *"abcd") == dict.fromkeys("bcd", "r3") | {"a": "r1"}


def test_a_tenant_in_trouble_that_fails_newly_spends_the_budget(
    open_fleet: OpenFleet, database: Database
) -> None:
    fleet = open_fleet(max_failures="0", canary="0")
    fleet.onboard(list("abc"), "r1")
    poison(database, "a", "b")
    fleet.upgrade("r2", options=RunOptions())  # a fails; nothing more is begun
    mend(database, "a")
    database.execute("ALTER TABLE a.thing ADD b int")
    report = fleet.upgrade("r2")  # b, which was never begun, fails newly; so does a, otherwise
    assert by_name(report)["a"].outcome == "skipped"
    assert report.reason == "1 tenant failed, more than --max-failures 0"
    mend(database, "b")
    report = fleet.upgrade("r2")
    assert outcomes(report) == {"a": "failed", "b": "skipped", "c": "upgraded"}
    assert by_name(report)["a"].sqlstate == "42701"
    assert report.reason == "1 tenant failed, more than --max-failures 0"


def test_where_all_are_in_trouble_one_of_them_goes_first(
    open_fleet: OpenFleet, database: Database
) -> None:
    fleet = open_fleet(max_failures="50%", canary="0", lock_timeout="100ms", attempts=1)
    fleet.onboard(list("abc"), "r1")
    poison(database, "a")
    with reading(database, "b.thing"), reading(database, "c.thing"):
        report = fleet.upgrade("r2")
    assert set(outcomes(report).values()) == {"failed"}
    events = Events()
    report = fleet.resume(options=RunOptions(on_event=events), given={"canary": "1"})
    assert outcomes(report) == {"a": "failed", "b": "upgraded", "c": "upgraded"}
    # a fails as before, which says nothing about the release: the next stands in
    assert events.waves == [(0, ("a",)), (0, ("b",)), (1, ("c",))]


def test_a_run_goes_on_without_a_tenant_or_with_a_canary_that_is_named(
    three: Project, open_fleet: OpenFleet, database: Database, ask: Ask
) -> None:
    fleet = open_fleet(canary="a")
    fleet.onboard(list("abc"), "r1")
    poison(database, "a")
    fleet.upgrade("r2")
    assert outcomes(fleet.resume())["b"] == "skipped"  # a was named, and is the canary again
    with pytest.raises(UnknownTenantError, match='No such tenant: "nobody"'):
        fleet.resume(options=RunOptions(skip=("nobody",)))
    plan = ask(three, "resume", "--skip", "a", "--dry-run", "--json").json
    assert [group["tenants"] for group in plan["groups"]] == [["b", "c"]]
    mend(database, "a")  # it would succeed now, and stays as it is all the same
    events = Events()
    left = fleet.resume(options=RunOptions(skip=("a",), on_event=events))
    assert events.waves == [(0, ("b",)), (1, ("c",))]  # one stands in for the canary left out
    assert outcomes(left) == {"a": "failed", "b": "upgraded", "c": "upgraded"}
    assert left.state is RunState.INCOMPLETE
    assert stands(database, "a") == {"a": "r1"}
    shown = ask(three, "show", "2").out
    assert "a: failed at r1: revision r2" in shown
    with pytest.raises(SelectionError, match='"nobody" is not among'):
        fleet.resume(given={"canary": "nobody"})
    assert fleet.resume(given={"canary": "b"}).is_complete


def test_the_reason_says_which_failures_do_not_count(
    open_fleet: OpenFleet, database: Database
) -> None:
    fleet = open_fleet(max_failures="0", canary="0", lock_timeout="100ms", attempts=1)
    fleet.onboard(list("abcd"), "r1")
    poison(database, "b")
    database.execute("DROP TABLE c.alembic_version")
    with reading(database, "a.thing"):
        report = fleet.upgrade()
    assert outcomes(report) == dict.fromkeys("abc", "failed") | {"d": "skipped"}
    assert report.reason == (
        "1 tenant failed, more than --max-failures 0; 2 more do not count: refused before the run,"
        " only locked, or failed in the same way before"
    )

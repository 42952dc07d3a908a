"""Canary, waves and the failure budget: who goes first, and when nothing more is begun."""

from __future__ import annotations

from contextlib import ExitStack

import pytest

from tenantmig import RunOptions, RunState, Selection
from tenantmig.domain.events import AttemptFailed, Event, TenantFinished, WaveStarted
from tenantmig.errors import SelectionError
from tests.fixtures.command import Project, untouched
from tests.fixtures.database import Database
from tests.fixtures.history import write_history
from tests.fixtures.rollouts import (
    CREATE,
    Events,
    OpenFleet,
    by_name,
    outcomes,
    poison,
    reading,
    stands,
)

pytestmark = pytest.mark.usefixtures("three")


@pytest.mark.slow
def test_one_canary_goes_first_by_default(open_fleet: OpenFleet) -> None:
    fleet, events = open_fleet(parallel=2), Events()
    fleet.onboard(["a", "b", "c"], "r1")
    report = fleet.upgrade(options=RunOptions(on_event=events))
    assert report.is_complete
    assert {name: tenant.wave for name, tenant in by_name(report).items()} == {
        "a": 0,
        "b": 1,
        "c": 1,
    }
    assert events.waves == [(0, ("a",)), (1, ("b", "c"))]
    told = [e for e in events if isinstance(e, WaveStarted | TenantFinished)]
    assert isinstance(told[1], TenantFinished)  # before the next wave begins
    assert told[1].outcome.tenant == "a"
    stored = fleet.run(report.run or 0)
    assert [tenant.wave for tenant in stored.tenants] == [0, 1, 1]


@pytest.mark.slow
def test_one_tenant_alone_needs_no_canary(open_fleet: OpenFleet) -> None:
    fleet, events = open_fleet(), Events()
    fleet.onboard(["a"], "r1")
    assert fleet.upgrade(options=RunOptions(on_event=events)).is_complete
    assert events.waves == [(1, ("a",))]


@pytest.mark.slow
def test_a_failing_canary_stops_the_run_and_nothing_is_done_to_others(
    three: Project, database: Database
) -> None:
    three.run("onboard", "a", "b", "c", "--to", "r1")
    poison(database, "a")
    with untouched(database, besides=["tenantmig"]):
        result = three.run("upgrade", "--max-failures", "50%", "--json", expect=3)
    report = result.json
    assert report["state"] == "incomplete"
    assert report["counts"] == {"failed": 1, "skipped": 2}
    assert [(t["outcome"], t["attempts"], t["to"]) for t in report["tenants"]] == [
        ("failed", 1, "r1"),
        ("skipped", 0, "r1"),
        ("skipped", 0, "r1"),
    ]
    assert "poisoned" in report["tenants"][0]["error"]
    assert 'the canary "a" failed' in str(report["reason"])


@pytest.mark.slow
def test_the_canary_stands_where_most_stand(open_fleet: OpenFleet) -> None:
    fleet = open_fleet()
    fleet.onboard(["a"], "r1")
    fleet.onboard(["b", "c"], "r2")
    tenants = by_name(fleet.upgrade())
    assert {name: tenant.wave for name, tenant in tenants.items()} == {"a": 1, "b": 0, "c": 1}


@pytest.mark.slow
def test_named_canaries_go_first_together(open_fleet: OpenFleet) -> None:
    fleet, events = open_fleet(canary="c,b"), Events()
    fleet.onboard(["a", "b", "c", "d"], "r1")
    assert fleet.upgrade(options=RunOptions(on_event=events)).is_complete
    assert events.waves == [(0, ("b", "c")), (1, ("a", "d"))]


@pytest.mark.slow
def test_one_of_two_canaries_that_fails_stops_the_run(
    open_fleet: OpenFleet, database: Database
) -> None:
    fleet = open_fleet(canary="2")
    fleet.onboard(["a", "b", "c"], "r1")
    poison(database, "a")
    report = fleet.upgrade()
    assert outcomes(report) == {"a": "failed", "b": "upgraded", "c": "skipped"}  # b was in wave 0
    assert report.reason == (
        'the canary "a" failed; run `tenantmig resume 2 --skip a` without it, or'
        " `tenantmig resume 2 --canary c` with another canary"
    )


@pytest.mark.slow
@pytest.mark.parametrize("canary", ["c", "a,c", "nobody"])
def test_a_canary_that_is_not_selected_is_refused(
    open_fleet: OpenFleet, database: Database, canary: str
) -> None:
    fleet = open_fleet(canary=canary)
    fleet.onboard(["a", "b", "c"], "r1")
    runs = len(fleet.runs())
    stranger = canary.rpartition(",")[2]
    with untouched(database), pytest.raises(SelectionError, match=f'"{stranger}"'):
        fleet.upgrade(selection=Selection(names=("a", "b")))
    assert len(fleet.runs()) == runs


@pytest.mark.slow
def test_a_canary_that_is_only_locked_has_a_stand_in_and_is_tried_again(
    open_fleet: OpenFleet, database: Database
) -> None:
    fleet, events = open_fleet(lock_timeout="100ms", attempts=2, max_failures="0"), Events()
    fleet.onboard(["a", "b", "c"], "r1")
    with ExitStack() as held:
        held.enter_context(reading(database, "a.thing"))

        def on_event(event: Event) -> None:
            events(event)
            if isinstance(event, TenantFinished) and event.outcome.tenant == "c":
                held.close()

        report = fleet.upgrade(options=RunOptions(on_event=on_event))
    failures = [event for event in events if isinstance(event, AttemptFailed)]
    assert {(event.tenant, event.failure.sqlstate) for event in failures} == {("a", "55P03")}
    assert events.waves == [(0, ("a",)), (0, ("b",)), (1, ("c",))]
    finished = [e.outcome.tenant for e in events if isinstance(e, TenantFinished)]
    assert finished == ["b", "c", "a"]
    assert report.counts == {"upgraded": 3}


@pytest.mark.slow
def test_a_run_whose_named_canaries_are_all_locked_stops(
    open_fleet: OpenFleet, database: Database
) -> None:
    fleet = open_fleet(canary="b", lock_timeout="100ms", attempts=1)
    fleet.onboard(["a", "b"], "r1")
    with reading(database, "b.thing"):
        report = fleet.upgrade()
    assert outcomes(report) == {"a": "skipped", "b": "failed"}
    assert report.reason == (
        "other sessions hold the locks of all canaries; run `tenantmig resume 2 --canary a`"
        " with another canary"
    )
    assert fleet.resume().is_complete


@pytest.mark.slow
def test_a_named_canary_that_cannot_be_rolled_has_a_stand_in(
    open_fleet: OpenFleet, database: Database
) -> None:
    fleet, events = open_fleet(canary="b"), Events()
    fleet.onboard(["a", "b", "c"], "r1")
    database.execute("DROP TABLE b.alembic_version")
    poison(database, "a")
    report = fleet.upgrade(options=RunOptions(on_event=events))
    assert outcomes(report) == {"a": "failed", "b": "failed", "c": "skipped"}
    assert events.waves == [(0, ("a",))]


@pytest.mark.slow
def test_waves_after_the_canary_have_their_size(open_fleet: OpenFleet) -> None:
    fleet, events = open_fleet(wave=2, parallel=3), Events()
    fleet.onboard(list("abcdef"), "r1")
    report = fleet.upgrade(options=RunOptions(on_event=events))
    assert events.waves == [(0, ("a",)), (1, ("b", "c")), (2, ("d", "e")), (3, ("f",))]
    assert [tenant.wave for tenant in report.tenants] == [0, 1, 1, 2, 2, 3]
    order = [e.outcome.wave for e in events if isinstance(e, TenantFinished)]
    assert order == sorted(order)  # no wave begins before the last has ended


@pytest.mark.slow
@pytest.mark.parametrize(
    ("budget", "poisoned", "reached"),
    [
        ("0", "a", "a"),
        ("1", "ab", "ab"),
        ("2", "abd", "abcd"),
        ("2", "ab", "abcdef"),
        ("5%", "ab", "ab"),  # at least one may fail
        ("5%", "a", "abcdef"),
        ("50%", "abcd", "abcd"),
        ("50%", "abc", "abcdef"),
    ],
)
def test_a_run_stops_when_more_have_failed_than_may(
    open_fleet: OpenFleet, database: Database, budget: str, poisoned: str, reached: str
) -> None:
    fleet = open_fleet(canary="0", max_failures=budget)
    fleet.onboard(list("abcdef"), "r1")
    poison(database, *poisoned)
    report = fleet.upgrade()
    expected = {
        name: "skipped" if name not in reached else "failed" if name in poisoned else "upgraded"
        for name in "abcdef"
    }
    assert outcomes(report) == expected
    assert report.state is RunState.INCOMPLETE
    if reached != "abcdef":
        told = "1 tenant failed" if len(poisoned) == 1 else f"{len(poisoned)} tenants failed"
        assert report.reason == f"{told}, more than --max-failures {budget}"


@pytest.mark.slow
def test_tenants_that_were_only_locked_spend_no_budget(
    open_fleet: OpenFleet, database: Database
) -> None:
    fleet = open_fleet(canary="0", max_failures="0", lock_timeout="100ms", attempts=1)
    fleet.onboard(["a", "b", "c"], "r1")
    with reading(database, "a.thing"):
        report = fleet.upgrade()
    assert outcomes(report) == {"a": "failed", "b": "upgraded", "c": "upgraded"}
    assert by_name(report)["a"].sqlstate == "55P03"
    assert report.reason is None


# the poisoned tenant fails only once another one is in the middle of its revision
SLOWLY = """
import time
locked = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND objid = 77"
if op.get_bind().execute(sa.text("SELECT to_regclass('poison')")).scalar():
    while not op.get_bind().execute(sa.text(locked)).scalar():
        time.sleep(0.05)
    raise RuntimeError('poisoned')
op.execute('ALTER TABLE thing ADD b int')
op.execute('SELECT pg_advisory_xact_lock(77), pg_sleep(2)')
"""


@pytest.mark.slow
def test_tenants_in_flight_finish_when_the_budget_is_spent(
    three: Project, database: Database, open_fleet: OpenFleet
) -> None:
    write_history(three.script_location, CREATE, ("r2", SLOWLY))
    (three.script_location / "versions" / "r3.py").unlink()
    # by alembic two are at work at once from the beginning: nobody waits for a witness
    fleet = open_fleet(canary="0", max_failures="0", parallel=2, engine="alembic")
    fleet.onboard(["a", "b", "c", "d"], "r1")
    poison(database, "a")
    report = fleet.upgrade()
    assert outcomes(report) == {"a": "failed", "b": "upgraded", "c": "skipped", "d": "skipped"}
    assert stands(database, *"abcd") == {"a": "r1", "b": "r2", "c": "r1", "d": "r1"}


@pytest.mark.slow
def test_a_downgrade_goes_in_waves_too(open_fleet: OpenFleet, database: Database) -> None:
    fleet = open_fleet()
    fleet.onboard(["a", "b", "c"])
    poison(database, "a")
    report = fleet.downgrade("r1", Selection(is_all=True))
    assert outcomes(report) == {"a": "failed", "b": "skipped", "c": "skipped"}
    assert stands(database, *"abc") == dict.fromkeys("abc", "r3")

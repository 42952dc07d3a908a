"""A run that another driver has taken over: whatever is left of the older one is fenced out."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator

import psycopg
import pytest

from tenantmig.domain.database_url import DatabaseUrl
from tenantmig.domain.outcome import Outcome, RunState, TenantOutcome
from tenantmig.domain.plan import Assignment, Path, Plan, PlanGroup, RunKind
from tenantmig.domain.tenant import Tenant
from tenantmig.errors import FleetBusyError, OvertakenError, TenantSessionError
from tenantmig.ledger.claim import RunClaim
from tenantmig.ledger.journal import begin_attempt, record_step
from tenantmig.ledger.ledger import Ledger
from tenantmig.ledger.outcomes import record_outcome
from tenantmig.postgres.connection import SessionOptions, connect
from tests.fixtures.command import Project
from tests.fixtures.database import Database
from tests.fixtures.processes import wait_until
from tests.fixtures.rollouts import put_to_sleep, stands, wait_asleep, wake

LEDGER = "tenantmig"
PATH = Path(("a1",), ("a2",), ("a2",), "a2")
ACME = Tenant("acme", "acme")
PLAN = Plan(RunKind.UPGRADE, "a2", (PlanGroup(PATH, (ACME,)),))
FAILED = TenantOutcome("acme", "acme", Outcome.FAILED, "a1", "a1", error="of the older driver")
Open = Callable[[], Ledger]


@pytest.fixture
def open_ledger(database: Database) -> Iterator[Open]:
    """Open ledgers of the database, each with a control connection of its own."""
    opened: list[Ledger] = []
    options = SessionOptions(DatabaseUrl.parse(database.url))

    def open_one() -> Ledger:
        opened.append(Ledger(lambda: connect(options), LEDGER, reconnect_s=5.0))
        return opened[-1]

    yield open_one
    for ledger in opened:
        ledger.close()


@pytest.fixture
def older(open_ledger: Open) -> Ledger:
    """The ledger of a driver that lost its connection while it was stopped."""
    ledger = open_ledger()
    ledger.create()
    return ledger


@pytest.fixture
def tenant_connection(database: Database) -> psycopg.Connection:
    """A connection in the schema of `acme`, as a tenant session is."""
    database.execute("CREATE SCHEMA acme")
    options = SessionOptions(DatabaseUrl.parse(database.url))
    database._connections.append(connection := connect(options, ("acme",)))
    return connection


def overtake(older: Ledger, open_ledger: Open) -> tuple[RunClaim, Ledger, RunClaim]:
    """Begin a run, cut its driver off, and let another take it over."""
    claim = older.begin_run(PLAN)
    older.close()
    newer = open_ledger()
    return claim, newer, newer.take_over(claim.run, RunKind.UPGRADE)


def assignment(claim: RunClaim, attempt: int = 1) -> Assignment:
    """An attempt of a driver on acme."""
    return Assignment(claim.run, RunKind.UPGRADE, ACME, PATH, attempt, epoch=claim.epoch)


def test_a_run_is_taken_over_with_a_higher_epoch(older: Ledger, open_ledger: Open) -> None:
    claim, newer, taken = overtake(older, open_ledger)
    assert taken.run == claim.run
    assert taken.epoch > claim.epoch
    assert newer.run(claim.run).state is RunState.RUNNING
    with pytest.raises(FleetBusyError):
        open_ledger().take_over(claim.run, RunKind.UPGRADE)


def test_a_live_run_is_not_taken_over(older: Ledger, open_ledger: Open) -> None:
    claim = older.begin_run(PLAN)
    with pytest.raises(FleetBusyError, match=rf"Run {claim.run} \(upgrade.*a2.*pid {os.getpid()}"):
        open_ledger().take_over(claim.run, RunKind.UPGRADE)
    older.finish_run(claim, RunState.COMPLETE, None)


def test_the_older_driver_records_no_outcome(older: Ledger, open_ledger: Open) -> None:
    claim, newer, _ = overtake(older, open_ledger)
    with pytest.raises(OvertakenError, match=f"took over run {claim.run}"):
        record_outcome(older, claim, FAILED)
    assert newer.run(claim.run).tenants[0].outcome is Outcome.INTERRUPTED
    assert newer.run(claim.run).tenants[0].error is None


def test_the_older_driver_finishes_no_run(older: Ledger, open_ledger: Open) -> None:
    claim, newer, taken = overtake(older, open_ledger)
    with pytest.raises(OvertakenError):
        older.finish_run(claim, RunState.INCOMPLETE, "of the older driver")
    assert newer.run(claim.run).state is RunState.RUNNING
    newer.finish_run(taken, RunState.COMPLETE, None)
    assert newer.run(claim.run).state is RunState.COMPLETE


def test_the_older_driver_begins_no_attempt(
    older: Ledger, open_ledger: Open, tenant_connection: psycopg.Connection
) -> None:
    claim, _, taken = overtake(older, open_ledger)
    with pytest.raises(OvertakenError, match='goes on with "acme"'):
        begin_attempt(tenant_connection, LEDGER, assignment(claim, 1))
    assert begin_attempt(tenant_connection, LEDGER, assignment(taken, 1)) is None


def test_an_attempt_that_was_begun_before_commits_no_step(
    older: Ledger, open_ledger: Open, tenant_connection: psycopg.Connection, database: Database
) -> None:
    claim = older.begin_run(PLAN)
    begin_attempt(tenant_connection, LEDGER, assignment(claim))
    older.close()
    open_ledger().take_over(claim.run, RunKind.UPGRADE)
    tenant_connection.autocommit = False
    tenant_connection.execute("CREATE TABLE of_the_older_driver ()")
    with pytest.raises(TenantSessionError):
        record_step(tenant_connection, LEDGER, assignment(claim), ("a2",))
    tenant_connection.rollback()
    assert database.fetch("SELECT FROM pg_class WHERE relname = 'of_the_older_driver'") == []


def test_a_new_run_fences_out_the_driver_of_a_dead_one(older: Ledger, open_ledger: Open) -> None:
    claim = older.begin_run(PLAN)
    older.close()
    newer = open_ledger()
    begun = newer.begin_run(PLAN)
    assert newer.run(claim.run).reason == "its driver died"
    with pytest.raises(OvertakenError):
        record_outcome(older, claim, FAILED)
    newer.finish_run(begun, RunState.COMPLETE, None)


def test_a_driver_that_was_stopped_wakes_up_and_ends(three: Project, database: Database) -> None:
    """SIGSTOP, its control connection lost, a second driver, SIGCONT."""
    three.run("onboard", "a", "b", "--to", "r1")
    put_to_sleep(database, "a")
    first = three.start("upgrade", "-p", "1")
    try:
        wait_asleep(database)
        first.send_signal(signal.SIGSTOP)
        control = "pid FROM pg_stat_activity WHERE application_name = 'tenantmig'"
        database.execute(f"SELECT pg_terminate_backend({control}".replace(" FROM", ") FROM", 1))
        wait_until(lambda: database.fetch(f"SELECT {control}") == [], "the lock is gone", 30)
        database.execute(
            "SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE wait_event = 'PgSleep'"
        )
        wake(database, "a")
        report = three.run("resume", "--json").json
        assert report["counts"] == {"upgraded": 2}
        assert stands(database, "a", "b") == {"a": "r3", "b": "r3"}
    finally:
        first.send_signal(signal.SIGCONT)
        result = three.finish(first, expect=None)
    assert result.code == 4, result.err
    assert "Another driver took over" in result.err
    shown = three.run("show", "2", "--json").json
    assert (shown["state"], shown["counts"]) == ("complete", {"upgraded": 2})

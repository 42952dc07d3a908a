"""The ledger: made once, never misread, and truer than what a driver believes it saw."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import psycopg
import pytest

from tenantmig.domain.database_url import DatabaseUrl
from tenantmig.domain.outcome import DONE, Outcome, RunState, TenantOutcome
from tenantmig.domain.plan import Assignment, Path, Plan, PlanGroup, RunKind
from tenantmig.domain.tenant import Tenant
from tenantmig.errors import (
    LedgerError,
    OvertakenError,
    PrivilegeError,
    TenantSessionError,
    UnknownRunError,
)
from tenantmig.ledger.activity import cancel_statements
from tenantmig.ledger.claim import RunClaim, session_name
from tenantmig.ledger.journal import begin_attempt, record_step
from tenantmig.ledger.ledger import Ledger
from tenantmig.ledger.outcomes import record_outcome
from tenantmig.ledger.schema import LEDGER_VERSION
from tenantmig.postgres.connection import SessionOptions, connect, salt_of
from tests.fixtures.database import Database
from tests.fixtures.oracles import untouched_mark
from tests.fixtures.processes import wait_until
from tests.fixtures.server import Server

SCHEMA = 'own "ledger"'
PATH = Path(("a1",), ("a3",), ("a2", "a3"), "a3")
ACME, BETA = Tenant("acme", "acme"), Tenant("beta", 'the "B"')
Open = Callable[[], Ledger]


@pytest.fixture
def open_ledger(database: Database) -> Iterator[Open]:
    """Open ledgers of the database, each with a control connection of its own."""
    opened = []
    options = SessionOptions(DatabaseUrl.parse(database.url), ledger=SCHEMA)

    def open_one() -> Ledger:
        opened.append(Ledger(lambda: connect(options), SCHEMA))
        return opened[-1]

    yield open_one
    for ledger in opened:
        ledger.close()


@pytest.fixture
def ledger(open_ledger: Open) -> Ledger:
    ledger = open_ledger()
    ledger.create()
    return ledger


@pytest.fixture
def tenant_connection(database: Database) -> psycopg.Connection:
    """A connection in the schema of `acme`, as a tenant session is."""
    database.execute("CREATE SCHEMA acme; CREATE SCHEMA elsewhere")
    options = SessionOptions(DatabaseUrl.parse(database.url), ledger=SCHEMA)
    database._connections.append(connection := connect(options, ("acme",)))
    return connection


def _plan(*tenants: Tenant, kind: RunKind = RunKind.ONBOARD) -> Plan:
    """A kind of which several run at a time; what one fleet's one run means is tested elsewhere."""
    return Plan(kind, "a3", (PlanGroup(PATH, tenants),))


def _claim(ledger: Ledger, *tenants: Tenant) -> RunClaim:
    return ledger.begin_run(_plan(*(tenants or (ACME,))))


def _begin(ledger: Ledger, *tenants: Tenant) -> int:
    return _claim(ledger, *tenants).run


def _outcome(outcome: Outcome, tenant: Tenant = ACME, **more: object) -> TenantOutcome:
    given = TenantOutcome(tenant.name, tenant.schema, outcome, "a1", "a3", "alembic", 1)
    return replace(given, **more)  # type: ignore[arg-type]


def _row(ledger: Ledger, run: int, tenant: str = "acme") -> TenantOutcome:
    return next(row for row in ledger.run(run).tenants if row.tenant == tenant)


def _terminate(database: Database, ledger: Ledger) -> None:
    pid = ledger.connection.info.backend_pid
    database.fetch("SELECT pg_terminate_backend(%s)", [pid])
    there = "SELECT 1 FROM pg_stat_activity WHERE pid = %s"
    wait_until(lambda: not database.fetch(there, [pid]), "the backend lives")


# -- the ledger itself ----------------------------------------------------------------------


def test_reading_makes_no_ledger(database: Database, open_ledger: Open) -> None:
    ledger = open_ledger()
    before = untouched_mark(database.connect())
    assert (ledger.exists, ledger.runs(), ledger.troubled_tenants()) == (False, (), {})
    with pytest.raises(UnknownRunError, match="no run 1"):
        ledger.run(1)
    assert untouched_mark(database.connect()) == before


def test_a_ledger_is_made_once(database: Database, ledger: Ledger, open_ledger: Open) -> None:
    run = _begin(ledger)
    before = untouched_mark(database.connect())
    for again in (ledger, open_ledger()):
        again.create()
        assert again.exists
    assert untouched_mark(database.connect()) == before
    assert [report.run for report in ledger.runs()] == [run]


def test_eight_drivers_may_make_it_at_once(database: Database, open_ledger: Open) -> None:
    ledgers = [open_ledger() for _ in range(8)]
    start = threading.Barrier(8)

    def create(ledger: Ledger) -> bool:
        _ = ledger.connection
        start.wait(60)
        ledger.create()
        return ledger.exists

    with ThreadPoolExecutor(8) as threads:
        assert list(threads.map(create, ledgers)) == [True] * 8
    table = '"own ""ledger""".ledger_version'
    assert database.fetch(f"SELECT version FROM {table} ORDER BY 1") == [
        (number,) for number in range(1, LEDGER_VERSION + 1)
    ]


def test_a_schema_made_by_the_owner_is_used(database: Database, open_ledger: Open) -> None:
    database.execute('CREATE SCHEMA "own ""ledger"""')
    open_ledger().create()
    assert open_ledger().exists


USES: dict[str, Callable[[Ledger], object]] = {
    "exists": lambda ledger: ledger.exists,
    "create": Ledger.create,
    "runs": Ledger.runs,
    "run": lambda ledger: ledger.run(1),
    "troubled tenants": Ledger.troubled_tenants,
}


@pytest.mark.parametrize("use", USES.values(), ids=USES)
def test_a_ledger_from_the_future_is_refused_untouched(
    database: Database, ledger: Ledger, use: Callable[[Ledger], object]
) -> None:
    newer = LEDGER_VERSION + 1
    database.execute(f'INSERT INTO "own ""ledger""".ledger_version VALUES ({newer})')
    before = untouched_mark(database.connect())
    with pytest.raises(LedgerError, match=rf"version {newer}, .* up to {LEDGER_VERSION}[.] "):
        use(ledger)
    assert untouched_mark(database.connect()) == before


def test_a_role_that_may_not_make_it_is_told_what_it_needs(
    database16: Database, server16: Server
) -> None:
    role = f"app_{database16.name}"
    database16.execute(f"CREATE ROLE {role} LOGIN")
    url = DatabaseUrl.parse(server16.url(database16.name, user=role))
    options = SessionOptions(url, ledger=SCHEMA)
    ledger = Ledger(lambda: connect(options), SCHEMA)
    try:
        with pytest.raises(PrivilegeError, match="Grant CREATE on the database"):
            ledger.create()
    finally:
        ledger.close()
        database16.execute(f"DROP ROLE {role}")


# -- runs -----------------------------------------------------------------------------------


def test_intents_are_written_before_anything_is_done(ledger: Ledger, open_ledger: Open) -> None:
    decided = _outcome(Outcome.FAILED, Tenant("corp", "corp"), error="no version table")
    run = ledger.begin_run(_plan(ACME, BETA, kind=RunKind.UPGRADE), [decided]).run
    report = open_ledger().run(run)
    assert (report.kind, report.target, report.state) == (RunKind.UPGRADE, "a3", RunState.RUNNING)
    assert [(t.tenant, t.schema, t.outcome, t.from_revision) for t in report.tenants] == [
        ("acme", "acme", Outcome.INTERRUPTED, "a1"),
        ("beta", 'the "B"', Outcome.INTERRUPTED, "a1"),
        ("corp", "corp", Outcome.FAILED, "a1"),
    ]
    assert [t.to_revision for t in report.tenants[:2]] == ["a1", "a1"]
    assert report.tenants[2].error == "no version table"


def test_a_run_without_tenants_is_a_run(ledger: Ledger) -> None:
    claim = ledger.begin_run(Plan(RunKind.DOWNGRADE, "base"))
    ledger.finish_run(claim, RunState.COMPLETE, None)
    assert ledger.run(claim.run).is_complete
    assert ledger.run(claim.run).tenants == ()


def test_runs_come_newest_first_and_limited(ledger: Ledger) -> None:
    claims = [_claim(ledger) for _ in range(4)]
    runs = [claim.run for claim in claims]
    ledger.finish_run(claims[-1], RunState.INCOMPLETE, "the disk is full")
    found = ledger.runs(limit=3)
    assert [report.run for report in found] == runs[:0:-1]
    assert (found[0].state, found[0].reason) == (RunState.INCOMPLETE, "the disk is full")
    assert all(report.tenants == () for report in found)


def test_a_run_lives_as_long_as_its_driver(
    database: Database, ledger: Ledger, open_ledger: Open
) -> None:
    other, reader = open_ledger(), open_ledger()
    claim, dead = _claim(ledger), _begin(other)
    alive = claim.run

    def states() -> dict[int | None, RunState]:
        listed = {report.run: report.state for report in reader.runs()}
        assert listed == {run: reader.run(run).state for run in (alive, dead)}
        return listed

    assert states() == {alive: RunState.RUNNING, dead: RunState.RUNNING}
    _terminate(database, other)
    assert states() == {alive: RunState.RUNNING, dead: RunState.INTERRUPTED}
    ledger.finish_run(claim, RunState.COMPLETE, None)
    assert states() == {alive: RunState.COMPLETE, dead: RunState.INTERRUPTED}


def test_a_driver_that_lost_its_connection_still_runs(
    database: Database, ledger: Ledger, open_ledger: Open
) -> None:
    claim = _claim(ledger)
    run = claim.run
    _terminate(database, ledger)
    assert record_outcome(ledger, claim, _outcome(Outcome.FAILED)).outcome is Outcome.FAILED
    assert open_ledger().run(run).state is RunState.RUNNING
    _terminate(database, ledger)
    ledger.finish_run(claim, RunState.INCOMPLETE, None)
    assert open_ledger().run(run).state is RunState.INCOMPLETE


def test_a_lock_in_another_database_keeps_no_run_alive(
    database: Database, ledger: Ledger, open_ledger: Open
) -> None:
    run = _begin(ledger)
    salt = salt_of(ledger.connection)
    assert salt
    ledger.close()
    with psycopg.connect(database.server.url(), autocommit=True) as stranger:
        key = f"hashtextextended('tenantmig.run:{run}', {salt})"
        stranger.execute(f"SELECT pg_advisory_lock_shared({key})".encode())
        assert open_ledger().run(run).state is RunState.INTERRUPTED


# -- the journal ----------------------------------------------------------------------------


def _assignment(run: int, attempt: int = 1, kind: RunKind = RunKind.UPGRADE) -> Assignment:
    return Assignment(run, kind, ACME, PATH, attempt)


def test_a_step_is_written_in_the_transaction_of_the_ddl(
    ledger: Ledger, tenant_connection: psycopg.Connection
) -> None:
    run = _begin(ledger)
    assert begin_attempt(tenant_connection, SCHEMA, _assignment(run)) is None
    with tenant_connection.transaction(force_rollback=True):
        record_step(tenant_connection, SCHEMA, _assignment(run), ("a2",))
    assert _row(ledger, run).to_revision == "a1"
    with tenant_connection.transaction():
        record_step(tenant_connection, SCHEMA, _assignment(run), ("a2",))
    assert (_row(ledger, run).to_revision, _row(ledger, run).outcome) == (
        "a2",
        Outcome.INTERRUPTED,
    )
    with tenant_connection.transaction():
        record_step(tenant_connection, SCHEMA, _assignment(run), ("a3",))
    assert (_row(ledger, run).to_revision, _row(ledger, run).outcome) == ("a3", Outcome.UPGRADED)


@pytest.mark.parametrize(
    "believed", [Outcome.FAILED, Outcome.IN_DOUBT, Outcome.INTERRUPTED, Outcome.ALREADY_CURRENT]
)
def test_what_the_ddls_transaction_wrote_stands(
    ledger: Ledger, tenant_connection: psycopg.Connection, believed: Outcome
) -> None:
    claim = _claim(ledger)
    run = claim.run
    begin_attempt(tenant_connection, SCHEMA, _assignment(run))
    with tenant_connection.transaction():
        record_step(tenant_connection, SCHEMA, _assignment(run), ("a3",))
    settled = record_outcome(ledger, claim, _outcome(believed, error="connection lost"))
    assert (settled.outcome, settled.to_revision) == (Outcome.UPGRADED, "a3")
    assert _row(ledger, run).outcome is Outcome.UPGRADED


def test_only_the_next_leg_goes_on_with_an_attempt(
    ledger: Ledger, tenant_connection: psycopg.Connection
) -> None:
    run = _begin(ledger)
    onward = {number: replace(_assignment(run, number), is_onward=True) for number in (1, 2)}
    begin_attempt(tenant_connection, SCHEMA, _assignment(run, 2))
    assert begin_attempt(tenant_connection, SCHEMA, onward[2]) is None
    for late in (_assignment(run, 2), onward[1]):
        with pytest.raises(OvertakenError):
            begin_attempt(tenant_connection, SCHEMA, late)


def test_a_failure_after_some_steps_keeps_the_revision_reached(
    ledger: Ledger, tenant_connection: psycopg.Connection
) -> None:
    claim = _claim(ledger)
    run = claim.run
    begin_attempt(tenant_connection, SCHEMA, _assignment(run))
    record_step(tenant_connection, SCHEMA, _assignment(run), ("a2",))
    failed = _outcome(Outcome.FAILED, sqlstate="42703", error="no such column", duration_s=1.5)
    settled = record_outcome(ledger, claim, failed)
    assert settled == replace(failed, to_revision="a2")
    assert _row(ledger, run) == settled


def test_a_tenant_that_was_undone_is_nowhere(ledger: Ledger) -> None:
    settled = record_outcome(ledger, _claim(ledger), _outcome(Outcome.FAILED), is_undone=True)
    assert settled.to_revision is None


def test_an_attempt_is_claimed_once_and_a_later_one_overtakes(
    ledger: Ledger, tenant_connection: psycopg.Connection
) -> None:
    run = _begin(ledger)
    for number in (1, 3):
        begin_attempt(tenant_connection, SCHEMA, _assignment(run, number))
        for late in (number, number - 1):
            with pytest.raises(LedgerError, match="Another driver took over run"):
                begin_attempt(tenant_connection, SCHEMA, _assignment(run, late))
    with pytest.raises(TenantSessionError, match="another driver"):
        record_step(tenant_connection, SCHEMA, _assignment(run, 1), ("a3",))
    assert _row(ledger, run).to_revision == "a1"
    record_step(tenant_connection, SCHEMA, _assignment(run, 3), ("a3",))


def test_an_attempt_after_a_lost_commit_learns_that_it_arrived(
    ledger: Ledger, tenant_connection: psycopg.Connection
) -> None:
    run = _begin(ledger)
    begin_attempt(tenant_connection, SCHEMA, _assignment(run, 1))
    record_step(tenant_connection, SCHEMA, _assignment(run, 1), ("a3",))
    assert begin_attempt(tenant_connection, SCHEMA, _assignment(run, 2)) is Outcome.UPGRADED


@pytest.mark.parametrize("path", ["elsewhere", "elsewhere, acme", "public, acme", "pg_temp"])
def test_a_step_outside_the_tenant_schema_is_refused(
    ledger: Ledger, tenant_connection: psycopg.Connection, path: str
) -> None:
    run = _begin(ledger)
    begin_attempt(tenant_connection, SCHEMA, _assignment(run))
    tenant_connection.execute(f"SET search_path TO {path}".encode())
    with pytest.raises(TenantSessionError, match='out of the tenant schema "acme"'):
        record_step(tenant_connection, SCHEMA, _assignment(run), ("a3",))
    offboarded = _assignment(run, kind=RunKind.OFFBOARD)
    record_step(tenant_connection, SCHEMA, offboarded, ("a3",), is_bound=False)
    assert _row(ledger, run).outcome is Outcome.OFFBOARDED


@pytest.mark.parametrize("kind", DONE)
def test_each_kind_of_run_ends_in_its_outcome(
    ledger: Ledger, tenant_connection: psycopg.Connection, kind: RunKind
) -> None:
    run = _begin(ledger)
    begin_attempt(tenant_connection, SCHEMA, _assignment(run))
    record_step(tenant_connection, SCHEMA, _assignment(run, kind=kind), ("a3",))
    assert _row(ledger, run).outcome is DONE[kind]
    assert DONE[kind].is_at_target


# -- trouble --------------------------------------------------------------------------------


def _settle_both(
    ledger: Ledger, acme: Outcome, beta: Outcome, connection: psycopg.Connection | None = None
) -> int:
    """Write a run of both tenants; with a connection, its attempt on beta had the lock."""
    claim = _claim(ledger, ACME, BETA)
    if connection is not None:
        attempt = Assignment(claim.run, RunKind.UPGRADE, BETA, PATH)
        begin_attempt(connection, SCHEMA, attempt)
    record_outcome(ledger, claim, _outcome(acme))
    record_outcome(ledger, claim, _outcome(beta, BETA))
    return claim.run


def test_only_the_latest_run_of_a_tenant_counts_as_trouble(
    ledger: Ledger, tenant_connection: psycopg.Connection
) -> None:
    _settle_both(ledger, Outcome.FAILED, Outcome.IN_DOUBT)
    run = _settle_both(ledger, Outcome.UPGRADED, Outcome.FAILED, tenant_connection)
    (name, trouble), *others = ledger.troubled_tenants().items()
    assert (name, trouble.run, trouble.outcome, others) == ("beta", run, Outcome.FAILED, [])


def test_a_run_that_never_had_the_lock_settles_no_doubt(ledger: Ledger) -> None:
    run = _settle_both(ledger, Outcome.UPGRADED, Outcome.IN_DOUBT)
    _settle_both(ledger, Outcome.UPGRADED, Outcome.FAILED)
    (name, trouble), *others = ledger.troubled_tenants().items()
    assert (name, trouble.run, trouble.outcome, others) == ("beta", run, Outcome.IN_DOUBT, [])


def test_only_what_a_run_runs_is_cancelled(database: Database, ledger: Ledger) -> None:
    ours = database.connect(application_name=session_name(7))
    idle = database.connect(application_name=session_name(7))
    other = database.connect(application_name=session_name(77))
    raised: dict[str, BaseException] = {}

    def sleep(name: str, connection: psycopg.Connection[tuple[object, ...]]) -> None:
        try:
            connection.execute("SELECT pg_sleep(120)")
        except psycopg.Error as error:
            raised[name] = error

    threads = [
        threading.Thread(target=sleep, args=pair) for pair in [("ours", ours), ("other", other)]
    ]
    for thread in threads:
        thread.start()
    active = "SELECT count(*) FROM pg_stat_activity WHERE query ~ '^SELECT pg_sleep'"
    wait_until(lambda: database.fetch(f"{active} AND state = 'active'") == [(2,)], "none sleeps")
    assert cancel_statements(ledger, session_name(7)) == 1
    threads[0].join(30)
    assert set(raised) == {"ours"}
    assert isinstance(raised["ours"], psycopg.errors.QueryCanceled)
    assert idle.execute("SELECT 1").fetchone() == (1,)
    assert cancel_statements(ledger, session_name(77)) == 1
    threads[1].join(30)

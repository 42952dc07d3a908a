"""One small test for each protection that `controls.py` takes away, where no other is as quick."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import psycopg
import pytest
import sqlalchemy as sa

from tenantmig import Fleet
from tenantmig.domain.database_url import DatabaseUrl
from tenantmig.domain.outcome import Outcome, RunState, TenantOutcome
from tenantmig.domain.plan import Assignment, Plan, PlanGroup, RunKind
from tenantmig.domain.plan import Path as RevisionPath
from tenantmig.domain.tenant import Tenant
from tenantmig.errors import ConnectError, FleetBusyError, OvertakenError
from tenantmig.ledger.claim import RunClaim
from tenantmig.ledger.journal import begin_attempt
from tenantmig.ledger.ledger import Ledger
from tenantmig.ledger.outcomes import record_outcome
from tenantmig.postgres.connection import SessionOptions, connect
from tenantmig.postgres.session import TenantSession
from tests.fixtures.command import Project
from tests.fixtures.database import Database
from tests.fixtures.faults import COUNT, PAUSE, R1, pausing, sleepers
from tests.fixtures.history import write_history
from tests.fixtures.processes import wait_until
from tests.fixtures.proxy import Fate, Proxy

ACME = Tenant("acme", "acme")
PATH = RevisionPath(("r1",), ("r2",), ("r2",), "r2")
PLAN = Plan(RunKind.UPGRADE, "r2", (PlanGroup(PATH, (ACME,)),))
R2 = ("r2", f"op.execute('ALTER TABLE thing ADD size int')\n{COUNT}\n{PAUSE}")
HELD = 1_000_003  # an advisory lock for which the COMMIT below waits
# What a deferred trigger waits for, COMMIT waits for: here as long as the test likes.
HANGING_COMMIT = (
    "r2",
    (
        f"op.execute('ALTER TABLE thing ADD size int')\n{COUNT}\n"
        "op.execute('''CREATE FUNCTION hang() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
        " PERFORM set_config('lock_timeout', '0', true);"
        f" PERFORM pg_advisory_xact_lock({HELD}); RETURN NULL; END $$''')\n"
        "op.execute('CREATE CONSTRAINT TRIGGER hang AFTER INSERT ON thing"
        " DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION hang()')\n"
        "op.execute('INSERT INTO thing (id) VALUES (1)')"
    ),
)


@pytest.fixture
def project(tmp_path: Path, database: Database) -> Project:
    """A project with the tenant `acme` at r1 and a revision r2."""
    project = Project(tmp_path, database.url, write_history(tmp_path / "history", R1, R2))
    assert _fleet(project, database.url).onboard(["acme"], "r1").is_complete
    return project


@pytest.fixture
def ledgers(database: Database) -> Iterator[tuple[Ledger, Ledger]]:
    """The ledger as two drivers have it."""
    options = SessionOptions(DatabaseUrl.parse(database.url))
    first, second = (Ledger(lambda: connect(options), "tenantmig") for _ in range(2))
    with closing(first), closing(second):
        first.create()
        yield first, second


def _fleet(project: Project, url: str, **settings: object) -> Fleet:
    return Fleet.open(project.ini, database_url=url, parallel=1, **settings)


def _version(database: Database) -> str:
    return str(database.fetch("SELECT version_num FROM acme.alembic_version")[0][0])


def _count(database: Database) -> int:
    return int(database.fetch("SELECT n FROM acme.counter")[0][0])


# -- what a lost COMMIT left is read, and only under the lock ----------------------------------


def test_the_ledger_does_not_run_ahead_of_a_commit_that_never_arrived(
    database: Database, project: Project
) -> None:
    with Proxy(database.server) as proxy:
        proxy.at_commit(Fate.CUT, after="ALTER TABLE thing")
        report = _fleet(project, proxy.url(database.name)).upgrade()
        assert proxy.fired == [(Fate.CUT, "COMMIT")]
    assert (report.counts, report.tenants[0].attempts) == ({"upgraded": 1}, 2)
    assert (_version(database), _count(database)) == ("r2", 1)


@contextmanager
def _hanging_commit(database: Database, proxy: Proxy) -> Iterator[None]:
    """Let the COMMIT of HANGING_COMMIT hang, and its client believe that the connection broke."""
    proxy.at_commit(Fate.ABANDON, after="CREATE CONSTRAINT TRIGGER")
    with closing(database.connect()) as holder:
        holder.execute(f"SELECT pg_advisory_lock({HELD})")
        yield
    wait_until(lambda: _version(database) == "r2", "the COMMIT still hangs")
    proxy.heal()


def test_a_commit_that_hangs_is_in_doubt_and_is_not_run_again(
    database: Database, project: Project
) -> None:
    write_history(project.script_location, R1, HANGING_COMMIT)
    quick = {"attempts": 2, "tenant_lock_timeout": "300ms", "lock_timeout": "300ms"}
    fleet = _fleet(project, database.url, **quick)
    with Proxy(database.server) as proxy:
        with _hanging_commit(database, proxy):
            report = _fleet(project, proxy.url(database.name), **quick).upgrade()
            assert proxy.fired == [(Fate.ABANDON, "COMMIT")]
            assert _version(database) == "r1"  # what a read without the lock would see
            assert report.counts == {"in_doubt": 1}
            assert fleet.status().summary["in_doubt"] == 1
        assert fleet.resume().is_complete
    assert (_version(database), _count(database)) == ("r2", 1)


def test_a_statement_outside_a_transaction_is_not_run_twice(
    database: Database, project: Project, tmp_path: Path
) -> None:
    """The worker dies behind it, at the first attempt only."""
    once = tmp_path / "once"
    script = (
        f"with op.get_context().autocommit_block():\n    {COUNT}\n"
        "import os, pathlib, signal\n"
        f"if not (once := pathlib.Path({str(once)!r})).exists():\n"
        "    once.touch()\n    os.kill(os.getpid(), signal.SIGKILL)"
    )
    write_history(project.script_location, R1, ("r2", script))
    report = _fleet(project, database.url).upgrade()
    assert once.exists()
    assert (report.counts, report.tenants[0].attempts) == ({"upgraded": 1}, 2)
    assert _count(database) == 1


# -- nothing is left to be cleaned up ----------------------------------------------------------


def test_nothing_of_a_killed_driver_goes_on(database: Database, project: Project) -> None:
    """Its workers end with it, and the server ends their statements."""
    with pausing(database, 60):
        driver = project.start("upgrade")
        [backend] = sleepers(database, 1)
    driver.kill()
    try:
        wait_until(lambda: not _is_alive(database, backend), "its statement goes on", 10)
    finally:
        with suppress(ProcessLookupError):
            os.killpg(driver.pid, signal.SIGKILL)
        driver.communicate()
        database.fetch("SELECT pg_terminate_backend(%s, 5000)", [backend])


def _is_alive(database: Database, backend: int) -> bool:
    return bool(database.fetch("SELECT FROM pg_stat_activity WHERE pid = %s", [backend]))


def test_an_index_that_could_not_be_built_is_cleared_away(
    database: Database, project: Project
) -> None:
    build = "op.execute('CREATE UNIQUE INDEX CONCURRENTLY once ON thing (id)')"
    outside = f"with op.get_context().autocommit_block():\n    {build}"
    write_history(project.script_location, R1, ("r2", outside))
    database.execute("INSERT INTO acme.thing (id) VALUES (1), (1)")
    fleet = _fleet(project, database.url)
    report = fleet.upgrade()
    assert (report.counts, report.tenants[0].sqlstate) == ({"failed": 1}, "23505")
    assert database.leftovers() == []
    database.execute("DELETE FROM acme.thing")
    assert fleet.resume().is_complete
    assert database.fetch(
        "SELECT indisvalid FROM pg_index WHERE indexrelid = 'acme.once'::regclass"
    ) == [(True,)]


def test_a_dead_drivers_run_keeps_nobody_out(ledgers: tuple[Ledger, Ledger]) -> None:
    dead, alive = ledgers
    claim = dead.begin_run(PLAN)
    dead.close()
    again = alive.begin_run(PLAN)
    assert alive.run(claim.run).state is RunState.INTERRUPTED
    alive.finish_run(again, RunState.COMPLETE, None)


# -- one fleet, one run, one driver ------------------------------------------------------------


def test_of_two_runs_begun_at_once_one_is_refused(ledgers: tuple[Ledger, Ledger]) -> None:
    """The second begins while the first, in its transaction, has looked and is not yet seen."""
    first, second = ledgers
    refused: list[FleetBusyError] = []

    def begin_second() -> None:
        try:
            second.begin_run(PLAN)
        except FleetBusyError as error:
            refused.append(error)

    thread = threading.Thread(target=begin_second)

    def meanwhile() -> None:
        thread.start()
        thread.join(1)  # it waits for the first, or it is through

    claim = first.begin_run(PLAN, check=meanwhile)
    thread.join(30)
    assert len(refused) == 1
    first.finish_run(claim, RunState.COMPLETE, None)


@pytest.mark.parametrize("how", ["attempt", "outcome", "end"])
def test_a_driver_that_was_overtaken_writes_nothing(
    ledgers: tuple[Ledger, Ledger], how: str
) -> None:
    """It was stopped, its connection went, another driver took its run over, and it wakes up."""
    late, other = ledgers
    old = late.begin_run(PLAN)
    late.close()
    new = other.take_over(old.run, RunKind.UPGRADE)
    before = other.run(old.run)
    with pytest.raises(OvertakenError):
        _write(late, old, how)
    found = other.run(old.run)
    assert (found.state, found.tenants) == (RunState.RUNNING, before.tenants)
    other.finish_run(new, RunState.COMPLETE, None)


def _write(ledger: Ledger, claim: RunClaim, how: str) -> None:
    if how == "attempt":
        begin_attempt(
            ledger.connection, ledger.schema, Assignment(claim.run, RunKind.UPGRADE, ACME, PATH)
        )
    elif how == "outcome":
        record_outcome(ledger, claim, TenantOutcome("acme", "acme", Outcome.UPGRADED, "r1", "r2"))
    else:
        ledger.finish_run(claim, RunState.COMPLETE, None)


# -- what is printed, and every wait ends -------------------------------------------------------


def test_a_refused_connection_tells_no_password(database: Database) -> None:
    """libpq repeats the address that it was given, and an odd password can look like one."""
    url = DatabaseUrl.parse("postgresql://app:hunter2@127.0.0.1:1/hunter2?sslmode=disable")
    assert "hunter2" not in url.redact("no database called hunter2")
    with pytest.raises(ConnectError) as refused:
        connect(SessionOptions(url))
    assert "***" in refused.value.message


def test_the_waits_of_one_transaction_share_the_lock_timeout(
    database: Database, project: Project
) -> None:
    options = SessionOptions(DatabaseUrl.parse(database.url), lock_timeout_s=1)
    with closing(TenantSession(options)) as session:
        session.enter("acme")
        session.sqlalchemy.execute(sa.text("SELECT pg_sleep(0.4)"))
        show = "SELECT setting::int FROM pg_settings WHERE name = 'lock_timeout'"
        left_ms = session.sqlalchemy.execute(sa.text(show)).scalar_one()
    assert left_ms < 700


@pytest.mark.timeout(60)
def test_a_server_that_never_answers_is_given_up(database: Database) -> None:
    """Both ends stay open: no error of TCP, and no limit of the server, comes to help."""
    with Proxy(database.server) as proxy:
        options = SessionOptions(DatabaseUrl.parse(proxy.url(database.name)))
        with closing(connect(options)) as connection:
            connection.answer_within_s = 0.5
            proxy.at_statement("SELECT 1", Fate.SWALLOW)
            with pytest.raises(psycopg.OperationalError, match=r"did not answer within 0\.5 s"):
                connection.execute("SELECT 1")
            assert connection.closed
        proxy.heal()

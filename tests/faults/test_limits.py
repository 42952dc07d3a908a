"""A server or a script at its limits: fewer workers, a hint, a deadline; never a standstill.

F17, F18, F20: connections and locks that run out, revisions that hang in SQL and in Python.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path

import psycopg
import pytest

from tenantmig import Fleet, RunOptions, RunReport
from tenantmig.domain.events import AttemptFailed, FewerAtOnce
from tenantmig.domain.failure import Phase
from tests.fixtures.command import Project
from tests.fixtures.database import Database
from tests.fixtures.faults import COUNT, R3, TENANTS, TWO
from tests.fixtures.holds import CONCURRENT_R3, HELD_R2, IS_HELD, fleet_of, held, held_backends
from tests.fixtures.processes import wait_until
from tests.fixtures.promises import SECRET, Promises, Watch
from tests.fixtures.rollouts import Events
from tests.fixtures.server import Server

AT_ONCE = ("--canary", "0")
BUSY = "beta"
OTHERS = {name for name in TENANTS if name != BUSY}
# As many tables in one transaction as the lock table has no room for, in a tenant that is held.
MANY_TABLES = (
    "r2",
    (
        "import sqlalchemy as sa\n"
        "op.execute('ALTER TABLE thing ADD size int')\n"
        f'if op.get_bind().scalar(sa.text("SELECT EXISTS ({IS_HELD})")):\n'
        "    op.execute('DO $$ BEGIN FOR n IN 1..20000 LOOP"
        " EXECUTE format($f$CREATE TABLE t%s (id int)$f$, n); END LOOP; END $$')\n"
        f"{COUNT}"
    ),
)
HANGING_SCRIPT = (
    "r2",
    (
        "import sqlalchemy as sa, time\n"
        "op.execute('ALTER TABLE thing ADD size int')\n"
        f'if op.get_bind().scalar(sa.text("SELECT EXISTS ({IS_HELD})")):\n'
        "    time.sleep(600)\n"
        f"{COUNT}"
    ),
)


@pytest.fixture(scope="module")
def victim() -> Iterator[Server]:
    """A server with room for few sessions, and for few locks."""
    settings = {
        "max_connections": "12",
        "superuser_reserved_connections": "5",
        "reserved_connections": "0",
        "max_locks_per_transaction": "10",
    }
    with Server(18, settings=settings) as server:
        yield server


@pytest.fixture
def victim_database(victim_database: Database) -> Database:
    """The database, in which nothing but the test's own commands stays connected."""
    victim_database.keep_none()
    return victim_database


@pytest.fixture
def clerks_fleet(tmp_path: Path, victim: Server, victim_database: Database, clerk: str) -> Project:
    """A fleet that belongs to that role."""
    url = victim.url(victim_database.name, user=clerk, password=SECRET)
    return fleet_of(tmp_path, victim_database, HELD_R2, CONCURRENT_R3, url=url)


@contextmanager
def fillers(server: Server, leave: int) -> Iterator[None]:
    """Occupy all connections that an ordinary role can have, but for some."""
    server.execute_admin("CREATE ROLE filler LOGIN")
    try:
        with ExitStack() as stack:
            _fill(server, stack, leave)
            yield
    finally:
        server.execute_admin(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE usename = 'filler'"
        )
        server.execute_admin("DROP ROLE filler")


def _fill(server: Server, stack: ExitStack, leave: int) -> None:
    url = server.url("postgres", user="filler")
    taken: list[psycopg.Connection] = []

    def fill() -> None:
        while True:
            taken.append(stack.enter_context(psycopg.connect(url, autocommit=True)))

    with pytest.raises(psycopg.OperationalError, match="remaining connection slots are reserved"):
        fill()
    for connection in taken[len(taken) - leave :]:
        connection.close()
    sessions = f"SELECT count(*) <= {len(taken) - leave} FROM pg_stat_activity"
    wait_until(
        lambda: server.execute_admin(f"{sessions} WHERE usename = 'filler'") == [(True,)],
        "a filler does not go",
    )


def refusals(server: Server, since: int) -> int:
    """How often a session was refused because there were too many."""
    return server.log_text()[since:].count(" 53300 FATAL")


@pytest.mark.parametrize("leave", [2, 3])
def test_hardly_a_connection_is_left(
    clerks_fleet: Project,
    clerk: str,
    victim: Server,
    victim_database: Database,
    promises: Promises,
    leave: int,
) -> None:
    """The ledger takes one; four workers are wanted and one or two find a place."""
    with (
        promises.watch(
            clerks_fleet,
            victim_database,
            touched=TENANTS,
            old="r1",
            new="r3",
            owner=clerk,
        ) as watch,
        fillers(victim, leave),
    ):
        before = len(victim.log_text())
        report = watch.run("upgrade", *AT_ONCE, "-p", "4", expect=0).json
        assert refusals(victim, before) > 0
    assert report["counts"] == {"upgraded": len(TENANTS)}


@pytest.mark.parametrize("leave", [0, 1])
def test_no_connection_is_left(
    clerks_fleet: Project,
    clerk: str,
    victim: Server,
    victim_database: Database,
    promises: Promises,
    leave: int,
) -> None:
    """Not even one for the ledger, or none beside it: it ends, and says why."""
    clerks_fleet.settings(f'{TWO}reconnect_timeout = "3s"\n')
    with promises.watch(
        clerks_fleet,
        victim_database,
        touched=TENANTS,
        old="r1",
        new="r3",
        owner=clerk,
    ) as watch:
        with fillers(victim, leave):
            before = len(victim.log_text())
            result = watch.run("upgrade", *AT_ONCE, expect={2, 3} if leave == 0 else 3)
            assert refusals(victim, before) > 0
        assert "connection slots are reserved" in result.out
        assert set(watch.versions().values()) == {"r1"}


def test_the_connections_run_out_in_the_middle(
    clerks_fleet: Project, clerk: str, victim: Server, victim_database: Database, promises: Promises
) -> None:
    """While the canary is on its way: its worker does the rest as well."""
    with (
        promises.watch(
            clerks_fleet,
            victim_database,
            touched=TENANTS,
            old="r1",
            new="r3",
            owner=clerk,
        ) as watch,
        ExitStack() as full,
    ):
        with held(victim_database):
            driver = watch.start("upgrade", "-p", "3", "--canary", "1")
            held_backends(victim_database)
            full.enter_context(fillers(victim, 0))
            before = len(victim.log_text())
        report = watch.finish(driver, expect=0).json
        assert refusals(victim, before) > 0
    assert report["counts"] == {"upgraded": len(TENANTS)}


@pytest.mark.parametrize("loser", [0, 1], ids=["the witness", "the other"])
def test_a_worker_gets_no_connection_again(
    clerks_fleet: Project,
    clerk: str,
    victim: Server,
    victim_database: Database,
    promises: Promises,
    loser: int,
) -> None:
    """It loses its session, and its role may have no more by then."""
    before = len(victim.log_text())
    with promises.watch(
        clerks_fleet,
        victim_database,
        touched=TENANTS,
        old="r1",
        new="r3",
        owner=clerk,
    ) as watch:
        with held(victim_database):
            driver = watch.start("upgrade", *AT_ONCE)
            pids = held_backends(victim_database, 2)
            victim.execute_admin(f"ALTER ROLE {clerk} CONNECTION LIMIT 2")
            victim.execute_admin(f"SELECT pg_terminate_backend({pids[loser]}, 10000)")
            wait_until(lambda: refusals(victim, before) > 0, "it is not refused", 60)
        report = watch.finish(driver, expect=0).json
        victim.execute_admin(f"ALTER ROLE {clerk} CONNECTION LIMIT -1")
    assert report["counts"] == {"upgraded": len(TENANTS)}


@contextmanager
def rolling(project: Project, **settings: object) -> Iterator[tuple[Future[RunReport], Events]]:
    """An upgrade in another thread, and what it tells."""
    events = Events()
    fleet = Fleet.open(project.ini, database_url=project.url, **settings)
    with ThreadPoolExecutor(1) as pool:
        yield pool.submit(fleet.upgrade, options=RunOptions(on_event=events)), events


def levels(events: Events) -> list[int]:
    """How many at once the run went on with."""
    return [event.parallel for event in list(events) if isinstance(event, FewerAtOnce)]


def test_a_refused_thread_leaves_at_once(
    clerks_fleet: Project,
    clerk: str,
    victim: Server,
    victim_database: Database,
    promises: Promises,
) -> None:
    """While the others are at work: it does not wait for `reconnect_timeout`, the server is up.

    Of the three connections the ledger takes one, and this test. By the auto engine the others
    would wait for the witness, and need no connection meanwhile.
    """
    with (
        promises.watch(
            clerks_fleet, victim_database, touched=TENANTS, old="r1", new="r3", owner=clerk
        ),
        fillers(victim, 3),
    ):
        wanted = {"parallel": 4, "reconnect_timeout": "1h", "engine": "alembic"}
        with rolling(clerks_fleet, **wanted) as (run, events):
            with held(victim_database):
                held_backends(victim_database)
                wait_until(lambda: levels(events) == [3, 2, 1], "they do not leave", 40)
            report = run.result(90)
    assert report.counts == {"upgraded": len(TENANTS)}


def test_nobody_leaves_when_the_server_restarts(
    tmp_path: Path, victim: Server, victim_database: Database, promises: Promises
) -> None:
    """It is waited for, and then there is room for all again."""
    fleet = fleet_of(tmp_path, victim_database, HELD_R2, R3)
    with (
        promises.watch(fleet, victim_database, touched=TENANTS, old="r1", new="r3"),
        rolling(fleet, parallel=3) as (run, events),
    ):
        with held(victim_database):
            held_backends(victim_database, 2)
            victim.stop("fast")
            try:
                wait_until(lambda: Phase.CONNECT in phases(events), "nobody is refused", 60)
            finally:
                victim.start()
        report = run.result(90)
    assert report.counts == {"upgraded": len(TENANTS)}
    assert levels(events) == []


def phases(events: Events) -> set[Phase]:
    """How far the attempts had come that failed."""
    return {event.failure.phase for event in list(events) if isinstance(event, AttemptFailed)}


def test_a_role_with_a_connection_limit(
    clerks_fleet: Project,
    clerk: str,
    victim: Server,
    victim_database: Database,
    promises: Promises,
) -> None:
    """53300 as well, and no superuser's reserve helps."""
    victim.execute_admin(f"ALTER ROLE {clerk} CONNECTION LIMIT 2")
    before = len(victim.log_text())
    with promises.watch(
        clerks_fleet,
        victim_database,
        touched=TENANTS,
        old="r1",
        new="r3",
        owner=clerk,
    ) as watch:
        report = watch.run("upgrade", *AT_ONCE, "-p", "4", expect=0).json
    assert report["counts"] == {"upgraded": len(TENANTS)}
    said = victim.log_text()[before:]
    assert f'53300 FATAL:  too many connections for role "{clerk}"' in said


def test_the_lock_table_is_full(
    tmp_path: Path, victim: Server, victim_database: Database, promises: Promises
) -> None:
    """53200 is that tenant's, with the server's hint; the others proceed."""
    before = len(victim.log_text())
    fleet = fleet_of(tmp_path, victim_database, MANY_TABLES, R3)
    with promises.watch(
        fleet, victim_database, touched=TENANTS, old="r1", new="r3", deadline_s=200
    ) as watch:
        with held(victim_database, BUSY):
            report = watch.run("upgrade", *AT_ONCE, "--attempts", "2", expect=3).json
        rows = {row["tenant"]: row for row in report["tenants"]}
        assert (rows[BUSY]["outcome"], rows[BUSY]["sqlstate"]) == ("failed", "53200")
        assert {rows[name]["outcome"] for name in OTHERS} == {"upgraded"}
        assert rows[BUSY]["attempts"] == 2  # the second time while nobody else was at work
        assert watch.versions()[BUSY] == "r1"
    assert "max_locks_per_transaction" in rows[BUSY]["error"]
    assert " 53200 ERROR:  out of shared memory" in victim.log_text()[before:]


def lock_table_size(server: Server) -> int:
    """How many locks one session can have: fewer in each call, until it is refused."""
    locks = 100
    with psycopg.connect(server.url(), autocommit=True) as connection:
        while True:
            taking = "SELECT count(pg_advisory_xact_lock(4712, n)) FROM generate_series(1, %s) n"
            try:
                connection.execute(taking, [locks + 100])
            except psycopg.errors.OutOfMemory:
                return locks
            locks += 100


@pytest.mark.parametrize(("share", "told"), [(0.6, [1]), (0.4, [])])
def test_the_lock_table_has_room_for_fewer(
    tmp_path: Path,
    victim: Server,
    victim_database: Database,
    promises: Promises,
    share: float,
    told: list[int],
) -> None:
    """Whoever finds it full is tried again alone, and what waits goes on with one thread less."""
    many = round(share * lock_table_size(victim))
    taking = (
        "PERFORM pg_advisory_xact_lock(hashtext(current_schema()), n)"
        f" FROM generate_series(1, {many}) n;"
    )
    crowding = ("r2", f"op.execute('DO $$ BEGIN {taking} END $$')\n{HELD_R2[1]}", HELD_R2[2])
    fleet = fleet_of(tmp_path, victim_database, crowding, R3)
    before = len(victim.log_text())
    fit = int(1 / share)  # so many have room at the same time

    def full() -> int:
        return victim.log_text()[before:].count(" 53200 ERROR:  out of shared memory")

    with (
        promises.watch(fleet, victim_database, touched=TENANTS, old="r1", new="r3"),
        rolling(fleet, parallel=fit + 1, engine="alembic", attempts=2) as (run, events),
    ):
        with held(victim_database):
            held_backends(victim_database, fit)
            wait_until(lambda: full() > 0, "the lock table is not full", 60)
            with pytest.raises(TimeoutError):
                run.result(3)  # no second attempt beside the one that is held
            assert full() == 1
        report = run.result(90)
    assert report.counts == {"upgraded": len(TENANTS)}
    assert sorted(tenant.attempts for tenant in report.tenants) == [1, 1, 1, 2]
    assert full() == 1
    assert levels(events) == told


def assert_others_are_done(watch: Watch) -> None:
    versions = watch.versions()
    assert versions.pop(BUSY) == "r1"
    assert set(versions.values()) == {"r3"}


def test_a_revision_that_hangs_meets_the_statement_timeout(
    tmp_path: Path, victim: Server, victim_database: Database, promises: Promises
) -> None:
    before = len(victim.log_text())
    fleet = fleet_of(tmp_path, victim_database, HELD_R2, R3)
    with promises.watch(fleet, victim_database, touched=TENANTS, old="r1", new="r3") as watch:
        with held(victim_database, BUSY):
            options = (*AT_ONCE, "--statement-timeout", "3s")
            report = watch.run("upgrade", *options, expect=3).json
        assert_others_are_done(watch)
    rows = {row["tenant"]: row for row in report["tenants"]}
    assert (rows[BUSY]["outcome"], rows[BUSY]["sqlstate"]) == ("failed", "57014")
    assert "statement timeout" in rows[BUSY]["error"]
    said = victim.log_text()[before:]
    assert "57014 ERROR:  canceling statement due to statement timeout" in said


def test_a_revision_that_hangs_meets_the_deadline(
    tmp_path: Path, victim: Server, victim_database: Database, promises: Promises
) -> None:
    """Nothing is begun any more, what is in flight is cancelled, and the rest stays as it is."""
    before = len(victim.log_text())
    fleet = fleet_of(tmp_path, victim_database, HELD_R2, R3)
    with promises.watch(
        fleet,
        victim_database,
        touched=TENANTS,
        old="r1",
        new="r3",
        between=["r2"],
        converging=["resume", "--deadline", "80s"],
    ) as watch:
        with held(victim_database, BUSY):
            driver = watch.start("upgrade", *AT_ONCE, "--deadline", "30s")
            held_backends(victim_database)
            report = watch.finish(driver, expect=3).json
        assert watch.versions()[BUSY] == "r1"
    assert "deadline" in report["reason"]
    rows = {row["tenant"]: row for row in report["tenants"]}
    assert rows[BUSY]["outcome"] in {"interrupted", "failed"}
    assert rows[BUSY]["sqlstate"] == "57014"
    said = victim.log_text()[before:]
    assert "57014 ERROR:  canceling statement due to user request" in said


def test_a_script_that_hangs_in_python_meets_the_attempt_timeout(
    tmp_path: Path, victim_database: Database, promises: Promises
) -> None:
    """No statement runs that could be cancelled: its worker is ended."""
    fleet = fleet_of(tmp_path, victim_database, HANGING_SCRIPT, R3)
    fleet.settings(f'{TWO}attempt_timeout = "15s"\nattempts = 2\n')
    with promises.watch(fleet, victim_database, touched=TENANTS, old="r1", new="r3") as watch:
        with held(victim_database, BUSY):
            report = watch.run("upgrade", *AT_ONCE, expect=3).json
        assert_others_are_done(watch)
    rows = {row["tenant"]: row for row in report["tenants"]}
    assert rows[BUSY]["outcome"] == "failed"
    assert rows[BUSY]["attempts"] == 3  # two, and a look at what the last one left
    assert "took longer than 15 s" in rows[BUSY]["error"]

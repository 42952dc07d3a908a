"""A COMMIT whose answer does not come: what it did is found out, never guessed (F8, F9, F10)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from tenantmig.domain.database_url import DatabaseUrl
from tenantmig.domain.plan import Assignment, Plan, PlanGroup, RunKind
from tenantmig.domain.plan import Path as RevisionPath
from tenantmig.domain.tenant import Tenant
from tenantmig.errors import PartialRevisionError
from tenantmig.ledger.journal import begin_attempt
from tenantmig.ledger.ledger import Ledger
from tenantmig.postgres.connection import SessionOptions, connect
from tests.fixtures.command import Project
from tests.fixtures.database import Database
from tests.fixtures.faults import COUNT, R1, R3, TENANTS, fleet_on
from tests.fixtures.history import write_history
from tests.fixtures.processes import wait_until
from tests.fixtures.promises import SECRET, Promises, Watch
from tests.fixtures.proxy import Fate, Proxy
from tests.fixtures.server import Server

# The COMMIT of this revision waits for a synchronous standby, for the tenant `acme` alone: every
# other COMMIT of the server, the ledger's own too, is local (`synchronous_commit`).
GHOST = (
    "r2",
    (
        f"op.execute('ALTER TABLE thing ADD size int')\n{COUNT}\n"
        "op.execute(\"SELECT set_config('synchronous_commit', 'on', true)"
        " WHERE current_schema() = 'acme'\")"
    ),
)
HANGING = "SELECT pid FROM pg_stat_activity WHERE wait_event = 'SyncRep'"
ARRIVED = [Fate.LOSE_ANSWER]
NOT_ARRIVED = [Fate.CUT, Fate.RESET]


@pytest.fixture(scope="module")
def victim() -> Iterator[Server]:
    """A server whose commits wait for no standby unless they ask to."""
    with Server(18, settings={"synchronous_commit": "local"}) as server:
        yield server


@contextmanager
def ghost_standby(server: Server) -> Iterator[None]:
    """Let commits that ask for it wait for a standby that does not exist."""
    set_standby(server, "'ghost'")
    try:
        yield
    finally:
        set_standby(server, "''")


def set_standby(server: Server, name: str) -> None:
    server.execute_admin(f"ALTER SYSTEM SET synchronous_standby_names = {name}")
    server.execute_admin("SELECT pg_reload_conf()")
    shown = "SHOW synchronous_standby_names"
    wait_until(lambda: server.execute_admin(shown) == [(name.strip("'"),)], "not reloaded")


def hanging_commit(server: Server) -> int:
    """Wait until a COMMIT hangs on the server; return its backend."""
    wait_until(lambda: len(server.execute_admin(HANGING)) == 1, "no COMMIT hangs", 60)
    return int(server.execute_admin(HANGING)[0][0])


def fleet_with_ghost(folder: Path, database: Database) -> Project:
    """A fleet at r1 whose r2 waits for a standby; nobody waits long for a tenant's lock."""
    project = fleet_on(folder, database)
    write_history(project.script_location, R1, GHOST, R3)
    project.settings('names = "wide"\nparallel = 2\ntenant_lock_timeout = "1s"\n')
    return project


def assert_run_once(watch: Watch) -> None:
    """Each revision's DDL was committed exactly once in each tenant."""
    for schema, commands in watch.ddl().items():
        for tag in ("ALTER TABLE", "CREATE INDEX"):
            assert sum(tag in command for command in commands) == 1, (schema, commands)


@pytest.mark.parametrize("after", ["ALTER TABLE thing", "CREATE INDEX"])
@pytest.mark.parametrize("fate", NOT_ARRIVED + ARRIVED)
def test_a_commit_is_lost(
    fleet: Project,
    victim: Server,
    victim_database: Database,
    promises: Promises,
    fate: Fate,
    after: str,
) -> None:
    """On the way there: run again. On the way back: found done, and not run again."""
    with (
        Proxy(victim) as proxy,
        promises.watch(
            fleet, victim_database, touched=TENANTS, old="r1", new="r3", between=["r2"]
        ) as watch,
    ):
        fleet.url = proxy.url(victim_database.name, SECRET)
        proxy.at_commit(fate, after=after)
        report = watch.run("upgrade", expect=0).json
        assert proxy.fired == [(fate, "COMMIT")]
    assert report["counts"] == {"upgraded": len(TENANTS)}
    assert [row["attempts"] for row in report["tenants"]].count(2) == 1
    assert_run_once(watch)


@pytest.mark.parametrize("fate", NOT_ARRIVED + ARRIVED)
def test_the_commit_of_an_onboarding_is_lost(
    fleet: Project, victim: Server, victim_database: Database, promises: Promises, fate: Fate
) -> None:
    with (
        Proxy(victim) as proxy,
        promises.watch(fleet, victim_database, touched=["new"], old="absent", new="r3") as watch,
    ):
        fleet.url = proxy.url(victim_database.name, SECRET)
        proxy.at_commit(fate, after="CREATE INDEX")
        report = watch.run("onboard", "new", expect=0).json
        assert proxy.fired == [(fate, "COMMIT")]
        fleet.run("upgrade")  # the others, which the converging command would bring along too
        watch.before = watch.marks()
    assert report["counts"] == {"onboarded": 1}


def test_a_commit_that_was_ended_on_the_server_is_found_done(
    tmp_path: Path, victim: Server, victim_database: Database, promises: Promises
) -> None:
    """The transaction is committed locally, and the session says only that it was terminated."""
    fleet = fleet_with_ghost(tmp_path, victim_database)
    before = len(victim.log_text())
    with (
        ghost_standby(victim),
        promises.watch(fleet, victim_database, touched=TENANTS, old="r1", new="r3") as watch,
    ):
        driver = watch.start("upgrade")
        pid = hanging_commit(victim)
        victim.execute_admin(f"SELECT pg_terminate_backend({pid})")
        report = watch.finish(driver, expect=0).json
    said = [line for line in victim.log_text()[before:].splitlines() if f"[{pid}]" in line]
    assert any("canceling the wait for synchronous replication" in line for line in said)
    assert report["counts"] == {"upgraded": len(TENANTS)}
    assert_run_once(watch)


def test_a_commit_that_still_hangs_is_in_doubt_until_it_is_known(
    tmp_path: Path, victim: Server, victim_database: Database, promises: Promises
) -> None:
    """Its session holds the tenant's lock: who reads without it would see the old revision."""
    fleet = fleet_with_ghost(tmp_path, victim_database)
    direct = fleet.url
    with (
        Proxy(victim) as proxy,
        promises.watch(
            fleet, victim_database, touched=TENANTS, old="r1", new="r3", between=["r2"]
        ) as watch,
    ):
        proxy.at_commit(Fate.ABANDON, after="acme.alembic_version SET version_num='r2'")
        with ghost_standby(victim):
            fleet.url = proxy.url(victim_database.name, SECRET)
            report = watch.run("upgrade", expect=3).json
            assert proxy.fired == [(Fate.ABANDON, "COMMIT")]
            pid = hanging_commit(victim)
            counts = {"upgraded": len(TENANTS) - 1, "in_doubt": 1}
            assert report.get("counts") == counts, report
            assert watch.versions()["acme"] == "r1"  # and yet not to be run again
            assert standing(fleet) == "in_doubt"
            fleet.url = direct
            watch.run("upgrade", "-t", "acme", expect={3, 4})
            assert hanging_commit(victim) == pid
            assert standing(fleet) == "in_doubt"
        wait_until(lambda: watch.versions()["acme"] == "r2", "the COMMIT still hangs")
        proxy.heal()
    assert standing(fleet) == "at_head"
    assert_run_once(watch)


def standing(project: Project) -> str:
    """How `acme` stands, as `status` says."""
    status = project.run("status", "--json").json
    return str(next(row["standing"] for row in status["tenants"] if row["tenant"] == "acme"))


def test_a_crash_gives_the_number_of_a_lost_transaction_to_another(
    victim: Server, victim_database: Database
) -> None:
    """What was assigned and never flushed is assigned again: then the journal alone is asked.

    Found by the state machine: a tenant stayed in doubt because another's transaction had
    committed under the number.
    """
    acme, path = Tenant("acme", "acme"), RevisionPath(("r1",), ("r2",), ("r2",), "r2")
    plan = Plan(RunKind.UPGRADE, "r2", (PlanGroup(path, (acme,)),))
    options = SessionOptions(DatabaseUrl.parse(victim_database.url))
    with closing(Ledger(lambda: connect(options), "tenantmig")) as ledger:
        ledger.create()
        run = ledger.begin_run(plan).run
    (another,) = victim_database.fetch("SELECT pg_current_xact_id()::text")[0]

    def attempt(number: int) -> None:
        made = Assignment(run, RunKind.UPGRADE, acme, path, number, lost_xid=another)
        with closing(connect(options)) as connection:
            begin_attempt(connection, "tenantmig", made)

    with pytest.raises(PartialRevisionError, match="is committed, and the journal"):
        attempt(1)
    victim.restart("immediate")
    attempt(3)

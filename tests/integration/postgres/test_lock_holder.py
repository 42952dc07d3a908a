"""Any login role can take an advisory lock: our keys are secret, and who waits is told for whom."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import psycopg
import pytest

from tenantmig.ledger import schema as ledger_schema
from tests.fixtures.command import Project
from tests.fixtures.database import Database, fresh_database
from tests.fixtures.history import write_history
from tests.fixtures.server import AnyServer

STRANGER = "lock_stranger"
SALT = "SELECT lock_salt FROM tenantmig.ledger_version WHERE version = 4"


@pytest.fixture
def fleet(tmp_path: Path, database: Database) -> Project:
    """One tenant, behind the history's head."""
    history = write_history(
        tmp_path / "history",
        ("r1", "op.execute('CREATE TABLE thing (id int)')"),
        ("r2", "op.execute('ALTER TABLE thing ADD size int')"),
    )
    project = Project(tmp_path, database.url, history)
    project.settings('tenant_lock_timeout = "200ms"\nlock_timeout = "200ms"\nattempts = 1\n')
    project.run("onboard", "acme", "--to", "r1")
    return project


@contextmanager
def held(
    database: Database, lock: str, mode: str = "", *, knows_salt: bool = True
) -> Iterator[int]:
    """Let a role that was granted nothing hold the lock of a name; hand out its server process.

    It may have read the key in pg_locks (`knows_salt`), while a driver was at work.
    """
    salt = database.fetch(SALT)[0][0] if knows_salt else 0
    database.execute(f"CREATE ROLE {STRANGER} LOGIN")
    try:
        url = database.server.url(database.name, user=STRANGER)
        with psycopg.connect(url, autocommit=True, application_name="a job") as connection:
            take = f"SELECT pg_advisory_lock{mode}(hashtextextended('{lock}', {salt}))"
            connection.execute(take.encode())
            yield connection.info.backend_pid
    finally:
        database.execute(f"DROP ROLE {STRANGER}")


def named(pid: int) -> str:
    return f"server process {pid} of the role {STRANGER} (a job, from 127.0.0.1"


@pytest.mark.slow
@pytest.mark.parametrize("engine", ["auto", "alembic"])
def test_who_cannot_read_the_ledger_is_in_nobodys_way(
    fleet: Project, database: Database, engine: str
) -> None:
    locks = ("tenant:acme", "beside:acme", "fleet", "run:2", "run:3", "ledger")
    with ExitStack() as holding:
        database.execute(f"CREATE ROLE {STRANGER} LOGIN")
        holding.callback(database.execute, f"DROP ROLE {STRANGER}")
        url = database.server.url(database.name, user=STRANGER)
        stranger = holding.enter_context(psycopg.connect(url, autocommit=True))
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            stranger.execute(SALT.encode())
        for lock in locks:
            taken = f"SELECT pg_advisory_lock(hashtextextended('tenantmig.{lock}', 0))"
            stranger.execute(taken.encode())
        report = fleet.run("upgrade", "--engine", engine, "--json").json
        fleet.run("-x", "tenant=acme", "downgrade", "r1", program="alembic")
    assert report["counts"] == {"upgraded": 1}


def test_each_ledger_has_keys_of_its_own(database: Database, server: AnyServer) -> None:
    """The version is 4 everywhere, and the keys differ."""
    salts = set()
    with fresh_database(server) as other:
        for one in (database, other):
            with psycopg.connect(one.url, autocommit=True) as connection:
                ledger_schema.create(connection, "tenantmig")
            salts.add(one.fetch(SALT)[0][0])
    assert len(salts) == 2


@pytest.mark.slow
@pytest.mark.parametrize("engine", ["auto", "alembic"])
@pytest.mark.parametrize(
    ("lock", "mode"), [("tenant", ""), ("tenant", "_shared"), ("beside", ""), ("beside", "_shared")]
)
def test_a_stranger_holds_a_tenant(
    fleet: Project, database: Database, engine: str, lock: str, mode: str
) -> None:
    with held(database, f"tenantmig.{lock}:acme", mode) as pid:
        (failed,) = fleet.run("upgrade", "--engine", engine, "--json", expect=3).json["tenants"]
    assert named(pid) in failed["error"]
    assert fleet.run("upgrade", "--json").json["counts"] == {"upgraded": 1}


def test_plain_alembic_meets_a_stranger(fleet: Project, database: Database) -> None:
    with held(database, "tenantmig.tenant:acme") as pid:
        refused = fleet.run("-x", "tenant=acme", "upgrade", "head", program="alembic", expect=None)
    assert refused.code != 0
    assert named(pid) in refused.out + refused.err


@pytest.mark.slow
def test_a_stranger_holds_the_fleet(fleet: Project, database: Database) -> None:
    with held(database, "tenantmig.fleet") as pid:
        refused = fleet.run("upgrade", expect=4)
        assert named(pid) in refused.err
        assert "Nothing was touched." in refused.err
        fleet.run("status", expect=None)  # readers need it not
    assert fleet.run("upgrade", "--json").json["counts"] == {"upgraded": 1}


@pytest.mark.slow
def test_a_stranger_holds_the_next_run(fleet: Project, database: Database) -> None:
    with held(database, "tenantmig.run:2") as pid:
        assert named(pid) in fleet.run("upgrade", expect=4).err
        assert database.fetch("SELECT count(*) FROM tenantmig.run") == [(1,)]  # nothing is kept
        assert fleet.run("upgrade", "--json").json["run"] == 3


@pytest.mark.slow
def test_a_stranger_keeps_a_dead_run_alive(fleet: Project, database: Database) -> None:
    """It looks like the run of a driver that lives; the refusal names the session."""
    database.execute("UPDATE tenantmig.run SET state = 'running', kind = 'upgrade'")
    with held(database, "tenantmig.run:1", "_shared") as pid:
        assert named(pid) in fleet.run("upgrade", expect=4).err
    assert fleet.run("upgrade", "--json").json["counts"] == {"upgraded": 1}


@pytest.mark.slow
@pytest.mark.parametrize("engine", ["auto", "alembic"])
def test_who_holds_a_table_is_named(fleet: Project, database: Database, engine: str) -> None:
    """A long report of the application."""
    reader = database.connect(application_name="a report")
    reader.autocommit = False
    reader.execute("SELECT FROM acme.thing")
    pid = reader.info.backend_pid
    (failed,) = fleet.run("upgrade", "--engine", engine, "--json", expect=3).json["tenants"]
    (kept,) = fleet.run("offboard", "acme", "--yes", "--json", expect=3).json["tenants"]
    reader.close()
    assert f"; there are locks on thing by server process {pid}" in kept["error"]
    assert failed["sqlstate"] == "55P03"
    assert f"; there are locks on thing by server process {pid}" in failed["error"]
    assert "(a report, from 127.0.0.1, idle in transaction since 20" in failed["error"]
    assert fleet.run("upgrade", "--json").json["counts"] == {"upgraded": 1}


@pytest.mark.slow
def test_who_holds_the_ledger_is_named(fleet: Project, database: Database) -> None:
    fleet.environment["TENANTMIG_LOCK_TIMEOUT"] = "200ms"
    holder = database.connect(application_name="a backup of ours")
    holder.autocommit = False
    holder.execute("LOCK TABLE tenantmig.run_tenant")
    for command in ("status", "upgrade"):
        refused = fleet.run(command, expect=3)
        assert "on run_tenant by server process" in refused.err
        assert "(a backup of ours, from 127.0.0.1, idle in transaction since 20" in refused.err
    holder.close()


def test_a_role_that_may_not_read_the_ledger_takes_no_lock(
    fleet: Project, database: Database
) -> None:
    """It would not know the keys; a lock of its own would keep nobody out."""
    fleet.settings('source = "query"\nsource_query = "SELECT \'acme\'"\n')
    database.execute(f"CREATE ROLE {STRANGER} LOGIN; GRANT ALL ON SCHEMA acme TO {STRANGER}")
    try:
        fleet.url = database.server.url(database.name, user=STRANGER)
        for schema in ([], ["-x", "schema=acme"]):
            words = ["-x", "tenant=acme", *schema, "upgrade", "head"]
            refused = fleet.run(*words, program="alembic", expect=None)
            assert refused.code != 0
            said = refused.out + refused.err
            assert f"The role {STRANGER} may not read tenantmig's ledger" in said
            assert "Traceback" not in said
    finally:
        database.execute(f"DROP OWNED BY {STRANGER}; DROP ROLE {STRANGER}")

"""Restore: the same tenant as before and nothing else, or the tenant that is there now."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import sql

from tenantmig.backups.backup import Backups
from tenantmig.backups.backup_file import BackupFacts, read_backup
from tenantmig.backups.client_programs import ClientPrograms
from tenantmig.backups.restore import RestorePlan, restore
from tenantmig.backups.restore_session import RestoreSession
from tenantmig.backups.running_program import Limits
from tenantmig.domain.database_url import DatabaseUrl
from tenantmig.domain.tenant import Tenant, TenantState
from tenantmig.errors import (
    DependentObjectsError,
    RestoreError,
    TenantExistsError,
    TenantLockedError,
)
from tenantmig.ledger.ledger import Ledger
from tenantmig.postgres.connection import SessionOptions, connect
from tenantmig.postgres.session import TenantSession
from tenantmig.tenants import registry
from tests.fixtures.client_programs import arguments, embedded_programs, programs_for, wrapped
from tests.fixtures.database import Database
from tests.fixtures.oracles import catalog, content, untouched_mark
from tests.fixtures.processes import wait_until
from tests.fixtures.sample_schema import ODD_NAMES, SAMPLE, build

LEDGER = "tenantmig"
JOURNAL = sql.SQL(
    "CREATE TABLE IF NOT EXISTS {}.journal (entry text); INSERT INTO {}.journal"
    " VALUES (current_schema())"
).format(*[sql.Identifier(LEDGER)] * 2)
ROWS = "INSERT INTO users (name) SELECT md5(n::text) FROM generate_series(1, 3000) AS n"
SLOW = "CREATE MATERIALIZED VIEW zz_slow AS SELECT pg_sleep(0.6)::text AS slept"


class Bench:
    """A database with a ledger, and a tenant that is changed after its backup was taken."""

    def __init__(self, database: Database, folder: Path, programs: ClientPrograms) -> None:
        self.database = database
        self.programs = programs
        self.options = SessionOptions(
            DatabaseUrl.parse(database.url),
            extension_schemas=("shared",),
            tenant_lock_timeout_s=0.3,
        )
        self.connection = database.connect()
        self.backups = Backups(folder, programs, self.options)
        self.backups.check()
        self.ledger = Ledger(lambda: connect(self.options), LEDGER)
        self.ledger.create()

    def born(self, name: str, statements: str = SAMPLE, schema: str | None = None) -> Tenant:
        tenant = Tenant(name, schema or name, labels={"tier": "gold"})
        build(self.connection, tenant.schema, statements)
        registry.add_tenant(self.connection, LEDGER, tenant)
        return tenant

    def saved(self, tenant: Tenant) -> BackupFacts:
        file = self.backups.write(1, tenant)
        return read_backup(self.programs, file, "alembic_version", Limits.within(60))

    def plan(self, tenant: Tenant, facts: BackupFacts, **changes: Any) -> RestorePlan:
        return replace(RestorePlan(tenant, facts, LEDGER, JOURNAL, 120.0), **changes)

    def state(self, tenant: Tenant) -> Any:
        """All there is of a tenant."""
        return catalog(self.connection, tenant.schema), content(self.connection, tenant.schema)

    def position(self, tenant: Tenant) -> int:
        """Where a sequence stands."""
        table = sql.Identifier(tenant.schema, "users_id_seq")
        row = self.connection.execute(sql.SQL("SELECT last_value FROM {}").format(table)).fetchone()
        assert row is not None
        return int(row[0])

    def journal(self) -> list[str]:
        if self.database.fetch("SELECT to_regclass('tenantmig.journal')") == [(None,)]:
            return []
        return [entry for (entry,) in self.database.fetch("SELECT entry FROM tenantmig.journal")]

    def registered(self) -> dict[str, Tenant]:
        return {tenant.name: tenant for tenant in registry.list_tenants(self.ledger)}

    def change(self, tenant: Tenant) -> None:
        """What a downgrade and its users do to a tenant."""
        build(
            self.connection,
            tenant.schema,
            "DROP TABLE id CASCADE; DROP OPERATOR === (mood, mood); CREATE TABLE later (a int);"
            " UPDATE alembic_version SET version_num = 'b2'; INSERT INTO later VALUES (1)",
        )


@pytest.fixture
def bench(database: Database, tmp_path: Path) -> Iterator[Bench]:
    made = Bench(database, tmp_path / "backups", programs_for(database.url))
    yield made
    made.ledger.close()


# -- what comes back ------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["acme", "x" * 63, "a_b", "a*b", "A.b?", *ODD_NAMES])
def test_a_changed_tenant_is_as_it_was_and_the_others_are_untouched(
    bench: Bench, name: str
) -> None:
    tenant = bench.born(name, SAMPLE + ROWS)
    for neighbour in ("axb", "a_x", "neighbour"):
        bench.born(neighbour)
    before = bench.state(tenant)
    position = bench.position(tenant)
    facts = bench.saved(tenant)
    bench.change(tenant)
    assert bench.state(tenant) != before
    bench.connection.execute("CREATE TABLE tenantmig.journal (entry text)")
    others = untouched_mark(bench.connection, [name])
    restore(bench.options, bench.programs, bench.plan(tenant, facts))
    assert bench.state(tenant) == before
    assert untouched_mark(bench.connection, [name]) == others
    assert bench.journal() == [name]
    assert bench.registered()[name].labels == {"tier": "gold"}
    assert bench.position(tenant) == position == 3002


@pytest.mark.parametrize(
    ("left", "becomes"),
    [
        (None, TenantState.ACTIVE),
        (TenantState.SUSPENDED, TenantState.SUSPENDED),
        (TenantState.OFFBOARDING, TenantState.ACTIVE),
        (TenantState.ONBOARDING, TenantState.ACTIVE),
    ],
)
def test_an_offboarded_tenant_is_registered_again(
    bench: Bench, left: TenantState | None, becomes: TenantState
) -> None:
    tenant = bench.born("acme")
    before, facts = bench.state(tenant), bench.saved(tenant)
    bench.connection.execute("DROP SCHEMA acme CASCADE")
    if left is None:
        registry.remove_tenant(bench.connection, LEDGER, "acme")
    else:
        registry.set_state(bench.connection, LEDGER, ["acme"], left)
    restore(bench.options, bench.programs, bench.plan(tenant, facts))
    assert bench.state(tenant) == before
    assert bench.registered() == {
        "acme": replace(tenant, state=becomes, database=bench.database.name)
    }


def test_another_source_is_not_registered(bench: Bench) -> None:
    tenant = bench.born("acme")
    facts = bench.saved(tenant)
    registry.remove_tenant(bench.connection, LEDGER, "acme")
    restore(bench.options, bench.programs, bench.plan(tenant, facts, registry=None))
    assert bench.registered() == {}


def test_an_owner_who_is_no_superuser_can_restore(bench: Bench, tmp_path: Path) -> None:
    database, role = bench.database, f"owner_{bench.database.name}"
    database.execute(
        f"CREATE ROLE {role} LOGIN; GRANT CREATE ON DATABASE {database.name} TO {role};"
        f"GRANT USAGE ON SCHEMA tenantmig TO {role};"
        f"GRANT SELECT ON tenantmig.ledger_version TO {role}"
    )
    try:
        url = database.server.url(database.name, user=role)
        options = SessionOptions(DatabaseUrl.parse(url))
        bench.connection.execute(f"SET ROLE {role}".encode())
        build(bench.connection, "acme", SAMPLE)
        tenant = Tenant("acme", "acme")
        backups = Backups(tmp_path, bench.programs, options)
        file = backups.write(1, tenant)
        facts = read_backup(bench.programs, file, "alembic_version", Limits.within(60))
        before = bench.state(tenant)
        bench.change(tenant)
        nothing = sql.SQL("SELECT 1")
        plan = bench.plan(tenant, facts, registry=None, extra_sql=nothing)
        restore(options, bench.programs, plan)
        assert bench.state(tenant) == before
    finally:
        bench.connection.execute("RESET ROLE")
        database.execute(f"DROP OWNED BY {role} CASCADE; DROP ROLE {role}")


@pytest.mark.slow
def test_programs_of_18_restore_on_a_server_of_16(database16: Database, tmp_path: Path) -> None:
    bench = Bench(database16, tmp_path / "backups", embedded_programs(18))
    try:
        tenant = bench.born("acme")
        before, facts = bench.state(tenant), bench.saved(tenant)
        bench.change(tenant)
        restore(bench.options, bench.programs, bench.plan(tenant, facts))
        assert bench.state(tenant) == before
    finally:
        bench.ledger.close()


# -- refused or failed: the tenant is as it is ----------------------------------------------


def _refuses(
    bench: Bench, plan: RestorePlan, error: type[Exception], reason: str, **more: Any
) -> None:
    before = bench.state(plan.tenant), bench.journal(), bench.registered()
    others = untouched_mark(bench.connection)
    with pytest.raises(error, match=reason):
        restore(bench.options, more.pop("programs", bench.programs), plan, **more)
    assert (bench.state(plan.tenant), bench.journal(), bench.registered()) == before
    assert untouched_mark(bench.connection) == others


def test_another_schema_than_the_tenants_is_refused(bench: Bench) -> None:
    facts = bench.saved(bench.born("acme"))
    beta = bench.born("beta")
    _refuses(bench, bench.plan(beta, facts), RestoreError, '"acme", but the schema of "beta"')


@pytest.mark.parametrize("other", [Tenant("acme", "elsewhere"), Tenant("other", "acme")])
def test_a_name_or_schema_of_another_tenant_is_refused(bench: Bench, other: Tenant) -> None:
    tenant = bench.born("acme")
    facts = bench.saved(tenant)
    registry.remove_tenant(bench.connection, LEDGER, "acme")
    registry.add_tenant(bench.connection, LEDGER, other)
    reason = f'"{other.name}" with the schema "{other.schema}"'
    _refuses(bench, bench.plan(tenant, facts), TenantExistsError, reason)


def test_objects_outside_that_depend_on_it_are_a_reason_to_refuse(bench: Bench) -> None:
    tenant = bench.born("acme")
    facts = bench.saved(tenant)
    bench.database.execute("CREATE SCHEMA other; CREATE VIEW other.v AS SELECT id FROM acme.users")
    _refuses(bench, bench.plan(tenant, facts), DependentObjectsError, r"view other\.v")


def test_a_tenant_that_is_being_migrated_is_refused(bench: Bench) -> None:
    tenant = bench.born("acme")
    facts = bench.saved(tenant)
    session = TenantSession(bench.options)
    try:
        session.enter("acme")
        _refuses(bench, bench.plan(tenant, facts), TenantLockedError, '"acme"')
    finally:
        session.close()


def test_a_restore_holds_the_tenants_lock_and_waits_for_no_other_long(bench: Bench) -> None:
    tenant = bench.born("acme")
    facts = bench.saved(tenant)
    bench.options = replace(bench.options, lock_timeout_s=0.2)
    with bench.database.connect() as holder, holder.transaction():
        holder.execute("SELECT FROM acme.users")
        _refuses(bench, bench.plan(tenant, facts), RestoreError, "lock timeout")


def test_a_lock_of_a_shared_table_is_not_waited_for_long(bench: Bench) -> None:
    build(bench.connection, "shared", "CREATE TABLE countries (id int PRIMARY KEY)")
    tenant = bench.born("acme", SAMPLE + "; CREATE TABLE fk (a int REFERENCES shared.countries)")
    facts = bench.saved(tenant)
    bench.options = replace(bench.options, lock_timeout_s=0.2)
    bench.connection.execute("DROP TABLE acme.fk")
    with bench.database.connect() as holder, holder.transaction():
        holder.execute("LOCK TABLE shared.countries IN ROW EXCLUSIVE MODE")
        _refuses(bench, bench.plan(tenant, facts), RestoreError, "lock timeout")


def test_a_journal_that_refuses_undoes_all(bench: Bench) -> None:
    tenant = bench.born("acme")
    facts = bench.saved(tenant)
    bench.change(tenant)
    plan = bench.plan(tenant, facts, extra_sql=sql.SQL("SELECT 1 / 0"))
    _refuses(bench, plan, RestoreError, "is as it was: .*division by zero")


def test_a_backup_that_does_not_fit_the_database_any_more_undoes_all(bench: Bench) -> None:
    build(bench.connection, "shared", "CREATE TYPE color AS ENUM ('red')")
    tenant = bench.born("acme", SAMPLE + "; CREATE TABLE c (a shared.color)")
    facts = bench.saved(tenant)
    bench.change(tenant)
    bench.connection.execute("DROP TYPE shared.color CASCADE")
    _refuses(bench, bench.plan(tenant, facts), RestoreError, r"shared\.color")


# -- killed ---------------------------------------------------------------------------------

WITHOUT_VERSION = 'test "$1" != --version || exec "$REAL" "$@"\n'


@pytest.mark.parametrize("part", [0, 300, 2_000, 6_000, 12_000, 100_000, -200, -1])
def test_a_pg_restore_that_dies_leaves_the_tenant_as_it_is(
    bench: Bench, tmp_path: Path, part: int
) -> None:
    tenant = bench.born("acme", SAMPLE + ROWS)
    facts = bench.saved(tenant)
    bench.change(tenant)
    broken = wrapped(
        bench.programs,
        tmp_path / "bin",
        pg_restore=f'{WITHOUT_VERSION}"$REAL" "$@" | head -c {part}; kill -9 $$',
    )
    plan = bench.plan(tenant, facts)
    _refuses(bench, plan, RestoreError, "killed by signal 9", programs=broken)


def _backend(bench: Bench, query: str) -> Callable[[], bool]:
    found = "SELECT FROM pg_stat_activity WHERE application_name = %s AND query LIKE %s"
    values = ["tenantmig restore", query]
    return lambda: len(bench.database.fetch(found, values)) > 0


@pytest.mark.parametrize("query", ["REFRESH MATERIALIZED VIEW%zz_slow%", "%slow_journal%"])
def test_a_session_that_is_killed_leaves_the_tenant_as_it_is(bench: Bench, query: str) -> None:
    tenant = bench.born("acme", SAMPLE + ";" + SLOW)
    facts = bench.saved(tenant)
    bench.change(tenant)
    slow = sql.SQL("SELECT pg_sleep(5) AS slow_journal")
    ended = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = %s"

    def kill() -> None:
        wait_until(_backend(bench, query), "never came so far", 30)
        bench.database.fetch(ended, ["tenantmig restore"])

    killer = threading.Thread(target=kill)
    killer.start()
    plan = bench.plan(tenant, facts, extra_sql=slow)
    _refuses(bench, plan, RestoreError, "is as it was: terminating connection")
    killer.join()


@pytest.mark.parametrize("how", ["stop", "deadline"])
def test_a_restore_can_be_ended(bench: Bench, how: str) -> None:
    tenant = bench.born("acme")
    facts = bench.saved(tenant)
    bench.change(tenant)
    plan = bench.plan(tenant, facts, extra_sql=sql.SQL("SELECT pg_sleep(60)"))
    stop = threading.Event()
    if how == "deadline":
        plan = replace(plan, deadline_s=1.0)
    else:
        threading.Timer(1, stop.set).start()
    _refuses(bench, plan, RestoreError, "stopped|longer than 1 s", stop=stop)


DRIVER = """
import sys
from pathlib import Path
from psycopg import sql
from tenantmig.backups.backup_file import BackupFacts
from tenantmig.backups.client_programs import ClientPrograms
from tenantmig.domain.database_url import DatabaseUrl
from tenantmig.backups.restore import RestorePlan, restore
from tenantmig.postgres.connection import SessionOptions
from tenantmig.domain.tenant import Tenant
url, folder, file = sys.argv[1:]
facts = BackupFacts(Path(file), "acme")
plan = RestorePlan(Tenant("acme", "acme"), facts, "tenantmig", sql.SQL("SELECT 1"), 100.0)
restore(SessionOptions(DatabaseUrl.parse(url)), ClientPrograms(Path(folder), 18), plan)
"""


@pytest.mark.slow
@pytest.mark.parametrize("delay_s", [0.0, 0.1, 0.3, 0.5])
def test_a_driver_that_is_killed_leaves_one_tenant_or_the_other(
    bench: Bench, tmp_path: Path, delay_s: float
) -> None:
    tenant = bench.born("acme", SAMPLE + ";" + SLOW)
    saved, facts = bench.state(tenant), bench.saved(tenant)
    bench.change(tenant)
    old = bench.state(tenant)
    halting = wrapped(
        bench.programs,
        tmp_path / "bin",
        # pg_restore pauses where half of the tables are made, so that the kill falls there
        pg_restore=f'{WITHOUT_VERSION}"$REAL" "$@" | (head -c 6000; test ! -e "$0.read"'
        ' || { touch "$0.half"; sleep 1; }; touch "$0.read"; cat)',
    )
    command = [sys.executable, "-c", DRIVER, bench.database.url, str(halting.folder)]
    driver = subprocess.Popen([*command, str(facts.file)])
    wait_until((halting.folder / "pg_restore.half").exists, "never came so far", 30)
    time.sleep(delay_s)
    driver.kill()
    driver.wait()
    wait_until(lambda: not _backend(bench, "%")(), "the session lives on", 30)
    assert bench.state(tenant) == old
    assert old != saved
    restore(bench.options, bench.programs, bench.plan(tenant, facts))  # nothing is in the way
    assert bench.state(tenant) == saved


def test_a_commit_whose_answer_is_lost_is_found_out(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    tenant = bench.born("acme")
    before, facts = bench.state(tenant), bench.saved(tenant)
    bench.change(tenant)
    commit = RestoreSession.commit

    def lose(session: RestoreSession) -> None:
        commit(session)
        raise psycopg.OperationalError("the connection is lost")

    monkeypatch.setattr(RestoreSession, "commit", lose)
    restore(bench.options, bench.programs, bench.plan(tenant, facts))
    assert bench.state(tenant) == before
    assert bench.journal() == ["acme"]


def test_no_secret_stands_in_an_argument_or_an_error(bench: Bench, tmp_path: Path) -> None:
    tenant = bench.born("acme")
    facts = bench.saved(tenant)
    telling = wrapped(bench.programs, tmp_path / "bin")
    url = bench.database.server.url(bench.database.name, user="postgres", password="hush:hush")
    bench.options = SessionOptions(DatabaseUrl.parse(url))
    plan = bench.plan(tenant, facts, extra_sql=sql.SQL("SELECT 'hush:hush'::int"))
    with pytest.raises(RestoreError) as failed:
        restore(bench.options, telling, plan)
    assert 'integer: "***"' in failed.value.message
    assert "hush:hush" not in f"{failed.value} {arguments(telling)}"
    assert "hush%3Ahush" not in arguments(telling)

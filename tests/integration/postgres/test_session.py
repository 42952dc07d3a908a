"""The tenant session: where it points, what it holds, what it forgets and what it refuses."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace

import psycopg
import pytest
import sqlalchemy as sa
from psycopg import sql

from tenantmig.domain.database_url import DatabaseUrl
from tenantmig.domain.failure import FailureKind, Phase
from tenantmig.errors import (
    ConnectError,
    DatabaseUrlError,
    PoolerError,
    PrivilegeError,
    StandbyError,
    TenantLockedError,
    TenantSchemaMissingError,
    TenantSessionError,
)
from tenantmig.postgres.connection import SessionOptions, connect
from tenantmig.postgres.diagnosis import explain
from tenantmig.postgres.session import TenantSession
from tests.fixtures.database import Database
from tests.fixtures.pooler import Pooler
from tests.fixtures.processes import wait_until
from tests.fixtures.sample_schema import ODD_NAMES
from tests.fixtures.server import AnyServer, Server

Open = Callable[..., TenantSession]
LOCKS = """
    SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND granted
    AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
"""


@pytest.fixture
def session_for(database: Database) -> Iterator[Open]:
    """Open sessions on the database; short waits unless the test says otherwise."""
    opened = []

    def open_session(**options: object) -> TenantSession:
        default = SessionOptions(DatabaseUrl.parse(database.url), tenant_lock_timeout_s=0.2)
        opened.append(TenantSession(replace(default, **options)))  # type: ignore[arg-type]
        return opened[-1]

    yield open_session
    for session in opened:
        session.close()


def _make(database: Database, *schemas: str) -> None:
    for schema in schemas:
        database.connect().execute(sql.SQL("CREATE SCHEMA {}").format(sql.Identifier(schema)))


def _show(session: TenantSession, query: str) -> object:
    with session.outside_transaction() as connection:
        row = connection.execute(query.encode()).fetchone()
    assert row is not None
    return row[0]


def _lockers(database: Database) -> list[int]:
    return [pid for (pid,) in database.fetch(LOCKS)]


# -- where it points ------------------------------------------------------------------------


@pytest.mark.parametrize("schema", ["acme", *ODD_NAMES])
def test_the_path_is_exactly_tenant_extensions_and_pg_temp(
    database: Database, session_for: Open, schema: str
) -> None:
    _make(database, schema, "Ext")
    session = session_for(extension_schemas=("Ext",))
    session.enter(schema)
    path = "SELECT array_agg(x::text) FROM unnest(current_schemas(true)) x"
    assert _show(session, path) == ["pg_catalog", schema, "Ext"]
    quoted = sql.Identifier(schema).as_string()
    if schema in {"acme", "id", "users", "public_", "lower"}:
        quoted = schema
    assert _show(session, "SHOW search_path") == f'{quoted}, "Ext", pg_temp'


def test_between_tenants_no_table_can_land_in_a_schema(
    database: Database, session_for: Open
) -> None:
    _make(database, "acme")
    session = session_for()
    session.lock("acme")
    with session.outside_transaction() as connection, suppress(psycopg.Error):
        connection.execute("CREATE TABLE stray ()")
    stray = "SELECT 1 FROM pg_class WHERE relname = 'stray' AND relpersistence <> 't'"
    assert database.fetch(stray) == []


@pytest.mark.parametrize("schema", ["acme", *ODD_NAMES])
def test_no_schema_and_the_placeholder_mean_the_tenant(
    database: Database, session_for: Open, schema: str
) -> None:
    _make(database, schema, "shared")
    session = session_for()
    session.enter(schema)
    metadata = sa.MetaData()
    for name, where in [("plain", None), ("placed", "tenant"), ("common", "shared")]:
        sa.Table(name, metadata, sa.Column("id", sa.Integer), schema=where)
    with session.sqlalchemy.begin():
        metadata.create_all(session.sqlalchemy)
    tables = "SELECT relnamespace::regnamespace::text, relname FROM pg_class WHERE relkind = 'r'"
    made = f"{tables} AND relnamespace = (SELECT oid FROM pg_namespace WHERE nspname = %s)"
    assert {name for _, name in database.fetch(made, [schema])} == {"plain", "placed"}
    assert {name for _, name in database.fetch(made, ["shared"])} == {"common"}


def test_the_next_tenant_replaces_the_last(database: Database, session_for: Open) -> None:
    _make(database, "acme", "beta")
    session = session_for()
    for schema in ("acme", "beta", "acme"):
        session.enter(schema)
        table = sa.Table("t", sa.MetaData(), sa.Column("id", sa.Integer))
        with session.sqlalchemy.begin():
            table.drop(session.sqlalchemy, checkfirst=True)
            table.create(session.sqlalchemy)
        session.leave()
    found = database.fetch(
        "SELECT relnamespace::regnamespace::text FROM pg_class WHERE relname='t'"
    )
    assert sorted(found) == [("acme",), ("beta",)]


@pytest.mark.parametrize("schema", ["gone", "Gone", "$user", "gone, public"])
def test_a_missing_schema_is_refused_and_nothing_else_taken(
    database: Database, session_for: Open, schema: str
) -> None:
    _make(database, "acme", "postgres")  # the session's user, which "$user" means on a path
    if schema == "$user":
        _make(database, schema)
    session = session_for()
    with pytest.raises((TenantSchemaMissingError, TenantSessionError)) as refused:
        session.enter(schema)
    assert schema in refused.value.message
    session.enter("acme")  # the session is still of use


@pytest.fixture
def role_session(database16: Database, server16: Server) -> Iterator[TenantSession]:
    """A session of a role that owns the schema `acme`, may use no other, and has no TEMP right."""
    role = f"app_{database16.name}"
    database16.execute(
        f"CREATE ROLE {role} LOGIN; CREATE SCHEMA acme AUTHORIZATION {role}; CREATE SCHEMA beta;"
        f" REVOKE TEMP ON DATABASE {database16.name} FROM public"
    )
    url = DatabaseUrl.parse(server16.url(database16.name, user=role))
    try:
        session = TenantSession(SessionOptions(url))
        yield session
        session.close()
    finally:
        database16.execute(f"DROP OWNED BY {role}; DROP ROLE {role}")


def test_a_role_needs_no_right_but_on_its_tenants(role_session: TenantSession) -> None:
    role_session.enter("acme")
    with role_session.sqlalchemy.begin():
        role_session.sqlalchemy.execute(sa.text("CREATE TABLE users ()"))


def test_a_schema_that_the_role_may_not_use_is_refused(role_session: TenantSession) -> None:
    with pytest.raises(PrivilegeError, match=r"may not use .* GRANT USAGE"):
        role_session.enter("beta")


def test_a_session_that_was_led_astray_is_found_out(database: Database, session_for: Open) -> None:
    _make(database, "acme", "beta")
    session = session_for()
    session.enter("acme")
    with session.outside_transaction() as connection:
        connection.execute("SET search_path TO beta")
    with pytest.raises(TenantSessionError, match='in "beta", not in "acme"'):
        session.assert_bound()


# -- the lock -------------------------------------------------------------------------------


def test_the_lock_is_held_by_the_backend_that_migrates(
    database: Database, session_for: Open
) -> None:
    _make(database, "acme")
    session = session_for()
    session.enter("acme")
    with session.sqlalchemy.begin():
        backend = session.sqlalchemy.execute(sa.text("SELECT pg_backend_pid()")).scalar()
    assert _lockers(database) == [backend]


def test_a_second_session_is_told_who_is_in_the_way(database: Database, session_for: Open) -> None:
    _make(database, "acme", "beta")
    first, second = session_for(), session_for()
    first.enter("acme")
    with pytest.raises(TenantLockedError, match='the tenant schema "acme"'):
        second.lock("acme")
    second.enter("beta")  # another tenant is free
    first.leave()
    second.lock("acme")


@pytest.mark.parametrize("how", ["leave", "close", "terminate", "next tenant"])
def test_the_lock_is_free_afterwards(database: Database, session_for: Open, how: str) -> None:
    _make(database, "acme", "beta")
    first, second = session_for(), session_for(tenant_lock_timeout_s=5.0)
    first.enter("acme")
    match how:
        case "leave":
            first.leave()
        case "close":
            first.close()
        case "terminate":
            database.fetch("SELECT pg_terminate_backend(%s)", _lockers(database))
        case _:
            first.enter("beta")
    second.enter("acme")


def test_waiting_for_the_lock_opens_no_transaction_and_queues_nowhere(
    database: Database, session_for: Open
) -> None:
    _make(database, "acme")
    first, second = session_for(), session_for(tenant_lock_timeout_s=30.0)
    first.enter("acme")
    waiting = threading.Thread(target=second.enter, args=("acme",))
    waiting.start()
    pid = second.driver.info.backend_pid
    polls = "SELECT query ~ 'pg_try_advisory_lock' FROM pg_stat_activity WHERE pid = %s"
    idle = "SELECT 1 FROM pg_stat_activity WHERE pid = %s AND xact_start < now() - interval '50ms'"
    wait_until(lambda: database.fetch(polls, [pid]) == [(True,)], "it never polled")
    for _ in range(10):
        assert database.fetch(idle, [pid]) == []
        assert database.fetch("SELECT 1 FROM pg_locks WHERE pid = %s AND NOT granted", [pid]) == []
    first.leave()
    waiting.join(30)
    assert _lockers(database) == [pid]


# -- what it forgets ------------------------------------------------------------------------

LEFT_BEHIND = {
    "role": ("SET ROLE {role}", "SELECT current_user = session_user", True),
    "authorization": (
        "SELECT set_config('session_authorization', '{role}', false)",  # as SET it is refused
        "SELECT session_user <> '{role}' AND current_user <> '{role}'",
        True,
    ),
    "temporary table": (
        "CREATE TEMP TABLE users (id int)",
        "SELECT count(*) FROM pg_class WHERE relpersistence = 't'",
        0,
    ),
    "setting": ("SET work_mem = '3MB'", "SELECT current_setting('work_mem') = '3MB'", False),
    "timeout": ("SET statement_timeout = 0", "SHOW statement_timeout", "15min"),
    "lock timeout": ("SET lock_timeout = 0", "SHOW lock_timeout", "2s"),
    "path": ("SET search_path = public", "SHOW search_path", "beta, pg_temp"),
    "prepared statement": (
        "PREPARE p AS SELECT 1",
        "SELECT count(*) FROM pg_prepared_statements",
        0,
    ),
    "lock": (
        "SELECT pg_advisory_lock(1)",
        "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid()",
        1,
    ),
    "constraint mode": (
        "SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY",
        "SHOW transaction_read_only",
        "off",
    ),
}


@pytest.mark.parametrize(("left", "query", "expected"), LEFT_BEHIND.values(), ids=LEFT_BEHIND)
@pytest.mark.parametrize("is_transactional", [True, False])
def test_what_a_script_left_is_gone_for_the_next_tenant(
    database: Database,
    session_for: Open,
    left: str,
    query: str,
    expected: object,
    is_transactional: bool,
) -> None:
    role = f"left_{database.name}"
    database.execute(f"CREATE ROLE {role}")
    try:
        _make(database, "acme", "beta")
        session = session_for()
        session.enter("acme")
        statement = left.format(role=role)
        if is_transactional:
            with session.sqlalchemy.begin():
                session.sqlalchemy.execute(sa.text(statement))
        else:
            with session.outside_transaction() as connection:
                connection.execute(statement.encode())
        session.leave()
        session.enter("beta")
        assert _show(session, query.format(role=role)) == expected
        session.close()
    finally:
        database.execute(f"DROP ROLE {role}")


def test_an_open_transaction_is_rolled_back_for_the_next_tenant(
    database: Database, session_for: Open
) -> None:
    _make(database, "acme", "beta")
    session = session_for()
    session.enter("acme")
    session.sqlalchemy.execute(sa.text("CREATE TABLE half_done ()"))
    session.enter("beta")
    assert session.sqlalchemy.execute(sa.text("SELECT to_regclass('half_done')")).scalar() is None
    assert database.fetch("SELECT to_regclass('acme.half_done')") == [(None,)]


# -- limits ---------------------------------------------------------------------------------


def test_every_limit_is_set_on_the_server(database: Database, session_for: Open) -> None:
    _make(database, "acme")
    session = session_for(
        lock_timeout_s=1.25,
        statement_timeout_s=60.0,
        idle_timeout_s=7.0,
        application_name="tenantmig run 7",
    )
    session.enter("acme")
    shown = {
        name: _show(session, f"SHOW {name}")
        for name in (
            "lock_timeout",
            "statement_timeout",
            "idle_in_transaction_session_timeout",
            "client_connection_check_interval",
            "application_name",
        )
    }
    assert list(shown.values()) == ["1250ms", "1min", "7s", "1s", "tenantmig run 7"]
    assert session.driver.prepare_threshold is None


def _failure(session: TenantSession, statement: str, database: Database) -> FailureKind:
    with pytest.raises(sa.exc.DBAPIError) as raised, session.sqlalchemy.begin():
        session.sqlalchemy.execute(sa.text(statement))
    return explain(raised.value, session, DatabaseUrl.parse(database.url)).kind


def test_a_statement_that_takes_too_long_is_cancelled(
    database: Database, session_for: Open
) -> None:
    _make(database, "acme")
    session = session_for(statement_timeout_s=0.1)
    session.enter("acme")
    assert _failure(session, "SELECT pg_sleep(60)", database) is FailureKind.PERMANENT
    session.enter("acme")


def test_a_lock_that_is_held_is_given_up(database: Database, session_for: Open) -> None:
    _make(database, "acme")
    database.execute("CREATE TABLE acme.users ()")
    session = session_for(lock_timeout_s=0.1)
    session.enter("acme")
    reader = database.connect()
    with reader.transaction():
        reader.execute("SELECT * FROM acme.users")
        kind = _failure(session, "ALTER TABLE users ADD name text", database)
    assert kind is FailureKind.LOCKED


def test_a_transaction_that_idles_is_ended_and_may_be_tried_again(
    database: Database, session_for: Open
) -> None:
    _make(database, "acme")
    session = session_for(idle_timeout_s=0.1)
    session.enter("acme")
    session.sqlalchemy.execute(sa.text("CREATE TABLE users ()"))
    pid = session.driver.info.backend_pid
    there = "SELECT 1 FROM pg_stat_activity WHERE pid = %s"
    wait_until(lambda: not database.fetch(there, [pid]), "it idles for ever")
    with pytest.raises(sa.exc.DBAPIError) as raised:
        session.sqlalchemy.execute(sa.text("SELECT 1"))
    failure = explain(raised.value, session, DatabaseUrl.parse(database.url))
    assert failure.kind is FailureKind.TRANSIENT
    assert session.is_broken
    assert database.fetch("SELECT to_regclass('acme.users')") == [(None,)]


# -- phases and failures --------------------------------------------------------------------


def test_the_phase_follows_what_is_sent(database: Database, session_for: Open) -> None:
    _make(database, "acme")
    session = session_for()
    session.enter("acme")
    phases = [session.phase]
    with session.sqlalchemy.begin():
        session.sqlalchemy.execute(sa.text("SELECT 1"))
        phases.append(session.phase)
    phases.append(session.phase)
    with session.outside_transaction():
        session.sqlalchemy.execute(sa.text("SELECT 1"))
        phases.append(session.phase)
        session.sqlalchemy.rollback()
    session.enter("acme")
    phases.append(session.phase)
    assert phases == [
        Phase.PREPARE,
        Phase.TRANSACTION,
        Phase.COMMIT,
        Phase.AUTOCOMMIT,
        Phase.PREPARE,
    ]


@pytest.mark.parametrize(
    ("where", "kind"),
    [("transaction", FailureKind.TRANSIENT), ("autocommit", FailureKind.LOST_COMMIT)],
)
def test_a_killed_backend_is_classified_by_its_phase(
    database: Database, session_for: Open, where: str, kind: FailureKind
) -> None:
    _make(database, "acme")
    session = session_for()
    session.enter("acme")
    session.sqlalchemy.rollback()
    session.driver.autocommit = where == "autocommit"
    suicide = sa.text("SELECT pg_terminate_backend(pg_backend_pid()), pg_sleep(10)")
    with pytest.raises(sa.exc.DBAPIError) as raised:
        session.sqlalchemy.execute(suicide)
    assert session.is_broken
    failure = explain(raised.value, session, DatabaseUrl.parse(database.url), "a1")
    assert failure.kind is kind
    assert failure.message.startswith("revision a1: ")
    session.close()


def test_a_connection_lost_in_a_transaction_of_plain_sql_may_have_committed(
    database: Database, session_for: Open
) -> None:
    _make(database, "acme")
    session = session_for()
    session.lock("acme")
    with pytest.raises(psycopg.Error) as raised, session.transaction() as connection:
        connection.execute("SELECT pg_terminate_backend(pg_backend_pid()), pg_sleep(10)")
    failure = explain(raised.value, session, DatabaseUrl.parse(database.url))
    assert failure.kind is FailureKind.LOST_COMMIT


def test_a_failure_tells_no_parameters(database: Database, session_for: Open) -> None:
    _make(database, "acme")
    session = session_for()
    session.enter("acme")
    failing = sa.text("SELECT length(:secret) / 0")
    with pytest.raises(sa.exc.DBAPIError) as raised:
        session.sqlalchemy.execute(failing, {"secret": "hunter2"})
    failure = explain(raised.value, session, DatabaseUrl.parse(database.url))
    assert (failure.kind, failure.sqlstate) == (FailureKind.PERMANENT, "22012")
    assert failure.message == "division by zero"
    assert "hunter2" not in str(raised.value)


# -- what it refuses ------------------------------------------------------------------------


def test_a_refused_connection_tells_no_password(database: Database) -> None:
    url = DatabaseUrl.parse("postgresql://app:hunter2@127.0.0.1:1/x?sslmode=disable")
    with pytest.raises(
        ConnectError, match=r"Cannot connect to postgresql://app:\*\*\*@"
    ) as refused:
        connect(SessionOptions(url))
    assert "hunter2" not in repr(refused.value)
    assert refused.value.__cause__ is None
    assert "\n" not in refused.value.message
    failure = explain(refused.value, None, url)
    assert (failure.kind, failure.phase) == (FailureKind.TRANSIENT, Phase.CONNECT)


def test_an_unknown_libpq_parameter_is_refused(database: Database) -> None:
    with pytest.raises(DatabaseUrlError, match="a parameter that libpq does not know"):
        DatabaseUrl.parse(f"{database.url}?nonsense=1")


def test_the_urls_own_parameters_take_precedence(database: Database) -> None:
    url = DatabaseUrl.parse(f"{database.url}?connect_timeout=3&application_name=mine")
    with connect(SessionOptions(url)) as connection:
        assert connection.info.get_parameters()["connect_timeout"] == "3"
        assert connection.autocommit


@pytest.mark.parametrize("mode", ["transaction", "session"])
def test_a_pooler_is_refused(
    database: Database, server: AnyServer, pgbouncer: Callable[..., Pooler], mode: str
) -> None:
    url = pgbouncer(server, pool_mode=mode).url(database.name)
    with pytest.raises(PoolerError, match=r"direct\) URL"):
        TenantSession(SessionOptions(DatabaseUrl.parse(url)))


@pytest.mark.slow
def test_a_standby_is_refused_until_it_is_promoted() -> None:
    with Server(18) as primary, primary.standby() as standby:
        options = SessionOptions(DatabaseUrl.parse(standby.url()))
        with pytest.raises(StandbyError, match="primary's URL"):
            TenantSession(options)
        standby.promote()
        TenantSession(options).close()


# -- the placeholder -------------------------------------------------------------------------

LIGHT = sa.table("note", sa.column("text", sa.Text), schema="tenant")


def test_a_light_table_is_each_tenants_own(session_for: Open, database: Database) -> None:
    session = session_for()
    for schema in ("acme", "beta", "tenant"):  # the last is what its name says
        database.execute(f"CREATE SCHEMA {schema}; CREATE TABLE {schema}.note (text text)")
    for schema in ("acme", "beta", "tenant"):
        session.enter(schema)
        session.sqlalchemy.execute(LIGHT.insert().values(text=schema))
        session.sqlalchemy.commit()
        assert session.sqlalchemy.execute(sa.select(LIGHT.c.text)).scalars().all() == [schema]
        other = sa.alias(LIGHT, "other")
        rows = sa.select(other.c.text).where(sa.exists().where(LIGHT.c.text == other.c.text))
        assert session.sqlalchemy.execute(rows).scalars().all() == [schema]
        session.sqlalchemy.rollback()


def test_a_light_table_without_a_schema_is_found_on_the_search_path(
    session_for: Open, database: Database
) -> None:
    """As in SQL of one's own: a temporary table, PostgreSQL's, that of an extension schema."""
    session = session_for()
    database.execute("CREATE SCHEMA acme; CREATE SEQUENCE acme.s")
    session.enter("acme")
    bind = session.sqlalchemy
    bind.exec_driver_sql("CREATE TEMP TABLE moves (id int)")
    moves, catalog = sa.table("moves", sa.column("id")), sa.table("pg_class", sa.column("oid"))
    bind.execute(moves.insert().values(id=1))
    assert bind.execute(sa.select(sa.func.count()).select_from(catalog)).scalar_one() > 0
    assert bind.scalar(sa.Sequence("s")) == 1
    assert bind.exec_driver_sql("SELECT id FROM pg_temp.moves").scalar_one() == 1
    bind.rollback()


def test_a_scripts_own_connection_knows_the_placeholder(
    session_for: Open, database: Database
) -> None:
    session = session_for()
    for schema in ("acme", "beta"):
        database.execute(f"CREATE SCHEMA {schema}; CREATE TABLE {schema}.note (text text)")
        database.execute(f"INSERT INTO {schema}.note VALUES ('{schema}')")
    for schema in ("acme", "beta"):
        session.enter(schema)
        with session.sqlalchemy.engine.connect() as own:
            assert own.execute(sa.select(LIGHT.c.text)).scalars().all() == [schema]

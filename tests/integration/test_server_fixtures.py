"""The fixtures and oracles themselves: what the other tests stand on."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator

import psycopg
import pytest

from tests.fixtures.database import Database, fresh_database
from tests.fixtures.oracles import (
    catalog,
    content,
    neutral_setting,
    shared_mark,
    untouched_mark,
)
from tests.fixtures.pooler import Pooler
from tests.fixtures.processes import wait_until
from tests.fixtures.sample_schema import ODD_NAMES, SAMPLE, build
from tests.fixtures.server import SCRAM, AnyServer, ExternalServer, Server


@pytest.fixture(scope="module")
def own_server() -> Iterator[Server]:
    """A server that these tests may restart and lock out."""
    with Server(18) as server:
        yield server


@pytest.fixture
def own_database(own_server: Server) -> Iterator[Database]:
    """A database on it: with the extension `vector`, and no other worker creates roles there."""
    with fresh_database(own_server) as database:
        yield database


def test_each_version_answers_its_version(server: AnyServer, server16: Server) -> None:
    assert server16.execute_admin("SHOW server_version_num")[0][0].startswith("16")
    if isinstance(server, Server):
        assert server.execute_admin("SHOW server_version_num")[0][0].startswith("18")


def test_restart_keeps_address_and_data(own_server: Server) -> None:
    with fresh_database(own_server) as database:
        database.execute("CREATE SCHEMA acme")
        pid = own_server.pid
        own_server.restart("fast")
        assert own_server.pid != pid
        assert database.fetch("SELECT to_regnamespace('acme') IS NOT NULL") == [(True,)]


def test_the_log_shows_sqlstates(own_server: Server) -> None:
    with pytest.raises(psycopg.errors.UndefinedTable):
        own_server.execute_admin("SELECT * FROM nowhere_to_be_found")
    assert " 42P01 ERROR: " in own_server.log_text()


def test_passwords_count_under_scram() -> None:
    with Server(18) as server:
        server.execute_admin("CREATE ROLE app LOGIN PASSWORD 'p@ss:word'")
        server.set_hba(SCRAM)
        with psycopg.connect(server.url(user="app", password="p@ss:word")) as connection:
            assert connection.info.user == "app"
        with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
            psycopg.connect(server.url(user="app", password="wrong"))


@pytest.mark.slow
def test_a_standby_is_in_recovery_until_promoted(own_server: Server) -> None:
    with own_server.standby() as standby:
        assert standby.execute_admin("SELECT pg_is_in_recovery()") == [(True,)]
        assert standby.port != own_server.port
        standby.promote()
        assert standby.execute_admin("SELECT pg_is_in_recovery()") == [(False,)]
    assert not standby.folder.exists()


@pytest.mark.slow
def test_settings_of_ones_own() -> None:
    with Server(16, settings={"max_locks_per_transaction": "10"}) as server:
        assert server.execute_admin("SHOW max_locks_per_transaction") == [("10",)]


@pytest.mark.slow
def test_a_killed_test_process_leaves_no_server() -> None:
    script = (
        "import os, signal\n"
        "from tests.fixtures.server import Server\n"
        "server = Server(18).__enter__()\n"
        "print(server.pid, server.folder, flush=True)\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    command = [sys.executable, "-c", script]
    killed = subprocess.run(command, capture_output=True, text=True, check=False)
    pid, folder = killed.stdout.split()
    wait_until(lambda: not os.path.exists(f"/proc/{pid}"), "the server still runs")
    wait_until(lambda: not os.path.exists(folder), "its folder still exists")


def test_an_external_address_keeps_all_but_the_database() -> None:
    external = ExternalServer("postgresql://me:secret@db.example:6543/postgres?sslmode=require")
    assert external.url("x y") == "postgresql://me:secret@db.example:6543/x%20y?sslmode=require"
    assert external.url("x", user="a", password="b@") == (
        "postgresql://a:b%40@db.example:6543/x?sslmode=require"
    )


def test_a_clean_database_passes_post_flight(own_database: Database) -> None:
    own_database.execute("CREATE EXTENSION vector SCHEMA public; CREATE SCHEMA acme")
    assert own_database.leftovers() == []


@pytest.mark.parametrize(
    ("statement", "name", "found"),
    [
        ("CREATE TABLE stray (id int)", "stray", "table public.stray"),
        ('CREATE TABLE "Odd one" ()', '"Odd one"', 'table public."Odd one"'),
        ("CREATE TYPE mood AS ENUM ('fine')", "mood", "type public.mood"),
        (
            "CREATE FUNCTION f(int) RETURNS int RETURN 1",
            "f(integer)",
            "function public.f(integer)",
        ),
    ],
)
def test_post_flight_sees_what_appears_in_public(
    database: Database, statement: str, name: str, found: str
) -> None:
    database.execute(statement)
    assert database.leftovers() == [found]
    database.allow_public(name)
    assert database.leftovers() == []


def test_post_flight_sees_sessions_and_locks(database: Database) -> None:
    session = database.connect(application_name="tenantmig:acme")
    session.execute("SELECT pg_advisory_lock(7)")
    left = database.leftovers(wait_s=0)
    assert len(left) == 2
    assert "tenantmig:acme" in left[0]
    assert left[1].startswith("advisory lock (0, 7)")
    session.close()
    assert database.leftovers() == []


def test_post_flight_sees_invalid_indexes(database: Database) -> None:
    database.execute(
        "CREATE SCHEMA acme; CREATE TABLE acme.t (a int); INSERT INTO acme.t VALUES (1), (1)"
    )
    with pytest.raises(psycopg.errors.UniqueViolation):
        database.execute("CREATE UNIQUE INDEX CONCURRENTLY ix ON acme.t (a)")
    assert database.leftovers() == ["INVALID index acme.ix"]
    database.allow_invalid_index("acme.ix")
    assert database.leftovers() == []


def test_post_flight_fails_the_test_and_drops_the_database(server: AnyServer) -> None:
    stray = pytest.raises(pytest.fail.Exception, match=r"table public\.stray")
    with stray, fresh_database(server) as database:
        database.execute("CREATE TABLE stray ()")
    assert (database.name,) not in server.execute_admin("SELECT datname FROM pg_database")


def test_database_on_16(database16: Database) -> None:
    assert database16.fetch("SELECT current_database()::text") == [(database16.name,)]


@pytest.mark.slow
def test_transaction_pooler_is_in_between(
    database: Database, server: AnyServer, pgbouncer: Callable[..., Pooler]
) -> None:
    pooler = pgbouncer(server)
    with psycopg.connect(pooler.url(database.name), autocommit=True) as connection:
        row = connection.execute("SELECT pg_backend_pid(), current_database()").fetchone()
        assert row is not None
        assert row[0] != connection.info.backend_pid
    assert row[1] == database.name


@pytest.mark.parametrize("major", [16, 18])
def test_schemas_of_equal_content_are_described_equally(
    request: pytest.FixtureRequest, major: int
) -> None:
    database: Database = request.getfixturevalue("database16" if major == 16 else "database")
    connection = database.connect()
    for schema in ["acme", *ODD_NAMES]:
        build(connection, schema, SAMPLE)
    expected = catalog(connection, "acme")
    for schema in ODD_NAMES:
        assert catalog(connection, schema) == expected
        assert content(connection, schema) == content(connection, "acme")
    assert expected["version"] == {"alembic_version": ["(a1)"]}
    assert expected["types"]["mood"]["labels"] == ["sad", "fine"]
    assert all(expected[kind] for kind in expected if kind != "default privileges")
    assert "acme" not in json.dumps(expected, default=str)


@pytest.mark.parametrize(
    ("kind", "change"),
    [
        ("columns", "ALTER TABLE id ADD extra int"),
        ("columns", "ALTER TABLE id ALTER users TYPE varchar(9)"),
        ("columns", "ALTER TABLE id ALTER users SET DEFAULT 'y'"),
        ("columns", "ALTER TABLE users ALTER name DROP NOT NULL"),
        ("columns", "ALTER TABLE users ALTER big SET GENERATED BY DEFAULT"),
        ("columns", "COMMENT ON COLUMN users.name IS 'named'"),
        ("columns", "ALTER TABLE users DROP n, ADD n positive"),
        ("constraints", "ALTER TABLE id DROP CONSTRAINT id_id_check"),
        ("constraints", "ALTER TABLE id ADD CHECK (id > 1) NOT VALID"),
        ("constraints", "ALTER DOMAIN positive ADD CHECK (VALUE < 9)"),
        ("indexes", "DROP INDEX ix"),
        (
            "indexes",
            "UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'ix'::regclass",
        ),
        (
            "relations",
            "CREATE OR REPLACE VIEW v AS SELECT 1 AS id, 'x' AS l, 1::bigint AS last_value",
        ),
        ("relations", "ALTER TABLE users SET (fillfactor = 50)"),
        ("relations", "ALTER TABLE users FORCE ROW LEVEL SECURITY"),
        ("relations", "COMMENT ON TABLE users IS 'people'"),
        ("relations", "ALTER TABLE part DETACH PARTITION part_1"),
        ("relations", "GRANT SELECT ON users TO public"),
        (
            "routines",
            "CREATE OR REPLACE FUNCTION lower(mood) RETURNS text IMMUTABLE RETURN 'o'",
        ),
        ("routines", "ALTER FUNCTION f SET search_path = public"),
        ("routines", "ALTER FUNCTION f SECURITY DEFINER"),
        ("triggers", "ALTER TABLE users DISABLE TRIGGER tr"),
        ("triggers", "DROP TRIGGER tr ON users"),
        ("rules", "DROP RULE r ON id"),
        ("policies", "ALTER POLICY p ON users USING (true)"),
        ("sequences", "ALTER SEQUENCE tickets INCREMENT 6"),
        ("sequences", "ALTER SEQUENCE tickets OWNED BY users.id"),
        ("types", "ALTER TYPE mood ADD VALUE 'better' BEFORE 'sad'"),
        ("types", "ALTER DOMAIN positive SET DEFAULT 2"),
        ("statistics", "DROP STATISTICS st"),
        ("others", "DROP OPERATOR === (mood, mood)"),
        ("version", "UPDATE alembic_version SET version_num = 'b2'"),
        (
            "schema",
            "DO $$ BEGIN EXECUTE format('COMMENT ON SCHEMA %I IS ''x''', current_schema); END $$",
        ),
        (
            "default privileges",
            "ALTER DEFAULT PRIVILEGES IN SCHEMA id GRANT SELECT ON TABLES TO public",
        ),
    ],
)
def test_every_change_is_told_apart(database: Database, kind: str, change: str) -> None:
    connection = database.connect()
    for schema in ("acme", "id"):
        build(connection, schema, SAMPLE)
    marks = [untouched_mark(connection, exclude_schemas=[s]) for s in ("acme", "id")]
    if "indisvalid" in change:
        database.allow_invalid_index("id.ix")
    build(connection, "id", change)
    one, other = catalog(connection, "acme"), catalog(connection, "id")
    assert one[kind] != other[kind]
    assert untouched_mark(connection, exclude_schemas=["id"]) == marks[1]
    if kind not in {"version", "schema", "default privileges", "statistics", "others"}:
        assert untouched_mark(connection, exclude_schemas=["acme"]) != marks[0]


def test_a_column_added_and_dropped_again_leaves_its_mark(database: Database) -> None:
    connection = database.connect()
    build(connection, "acme", SAMPLE)
    before, mark = catalog(connection, "acme"), untouched_mark(connection)
    connection.execute("VACUUM ANALYZE")
    build(connection, "acme", "INSERT INTO users (name) VALUES ('eve')")
    assert untouched_mark(connection) == mark
    build(connection, "acme", "ALTER TABLE users ADD tmp int; ALTER TABLE users DROP tmp")
    assert catalog(connection, "acme") == before
    assert untouched_mark(connection) != mark


def test_content_tells_rows_apart(database: Database) -> None:
    connection = database.connect()
    build(connection, "acme", SAMPLE)
    before = content(connection, "acme")
    assert len(before["users"]) == 2
    build(connection, "acme", "UPDATE users SET name = 'eve' WHERE name = 'ann'")
    assert content(connection, "acme")["users"] != before["users"]


@pytest.mark.parametrize(
    ("change", "undo"),
    [
        ("CREATE ROLE oracle_role", "DROP ROLE oracle_role"),
        ("CREATE EXTENSION vector", "DROP EXTENSION vector"),
        ("CREATE TABLE public.shared (id int)", "DROP TABLE public.shared"),
    ],
)
def test_shared_mark_sees_roles_extensions_and_public(
    own_database: Database, change: str, undo: str
) -> None:
    connection = own_database.connect()
    build(connection, "acme", SAMPLE)
    before = shared_mark(connection)
    build(connection, "id", SAMPLE)
    assert shared_mark(connection) == before
    own_database.execute(change)
    try:
        assert shared_mark(connection) != before
    finally:
        own_database.execute(undo)
    assert shared_mark(connection) == before


def test_oracles_leave_search_path_and_transactions_alone(database: Database) -> None:
    database.execute("CREATE SCHEMA acme")
    with psycopg.connect(database.url) as connection:
        connection.execute("SET search_path TO acme")
        catalog(connection, "acme")
        assert connection.execute("SHOW search_path").fetchone() == ("acme",)
        with pytest.raises(LookupError, match="no schema 'nowhere'"):
            catalog(connection, "nowhere")


@pytest.mark.parametrize(
    ("setting", "neutral"),
    [
        ("search_path=acme, pg_temp", ["search_path", [None, "pg_temp"]]),
        (
            'search_path="$user", "acme", acme2',
            ["search_path", ["$user", None, "acme2"]],
        ),
        ("work_mem=1MB", ["work_mem", "1MB"]),
    ],
)
def test_a_functions_search_path_is_neutral(setting: str, neutral: object) -> None:
    assert neutral_setting(setting, "acme") == neutral

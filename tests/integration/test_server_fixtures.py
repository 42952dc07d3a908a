"""The fixtures and oracles themselves: what the other tests stand on."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator

import psycopg
import pytest

from tests.fixtures.database import Database, fresh_database
from tests.fixtures.server import SCRAM, AnyServer, ExternalServer, Server, wait_until


@pytest.fixture(scope="module")
def own_server() -> Iterator[Server]:
    """A server that these tests may restart and lock out."""
    with Server(18) as server:
        yield server


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


def test_a_standby_is_in_recovery_until_promoted(own_server: Server) -> None:
    with own_server.standby() as standby:
        assert standby.execute_admin("SELECT pg_is_in_recovery()") == [(True,)]
        assert standby.port != own_server.port
        standby.promote()
        assert standby.execute_admin("SELECT pg_is_in_recovery()") == [(False,)]
    assert not standby.folder.exists()


def test_settings_of_ones_own() -> None:
    with Server(16, settings={"max_locks_per_transaction": "10"}) as server:
        assert server.execute_admin("SHOW max_locks_per_transaction") == [("10",)]


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


def test_a_clean_database_passes_post_flight(database: Database) -> None:
    database.execute("CREATE EXTENSION vector SCHEMA public; CREATE SCHEMA acme")
    assert database.leftovers() == []


@pytest.mark.parametrize(
    ("statement", "name", "found"),
    [
        ("CREATE TABLE stray (id int)", "stray", "table public.stray"),
        ('CREATE TABLE "Odd one" ()', '"Odd one"', 'table public."Odd one"'),
        ("CREATE TYPE mood AS ENUM ('fine')", "mood", "type public.mood"),
        ("CREATE FUNCTION f(int) RETURNS int RETURN 1", "f(integer)", "function public.f(integer)"),
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

"""The proxy itself: each of its faults, as plain psycopg meets it."""

from __future__ import annotations

import os
import socket
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import nullcontext

import psycopg
import pytest

from tests.fixtures.database import Database, Row
from tests.fixtures.processes import wait_until
from tests.fixtures.proxy import Connection, Fate, Proxy

INSERT = "INSERT INTO thing VALUES (1)"
ROWS = "SELECT count(*) FROM thing"


@pytest.fixture
def proxy(database: Database) -> Iterator[Proxy]:
    database.execute("CREATE SCHEMA s; CREATE TABLE s.thing (id int)")
    with Proxy(database.server) as proxy:
        yield proxy


@pytest.fixture
def client(proxy: Proxy, database: Database) -> Iterator[psycopg.Connection[Row]]:
    with psycopg.connect(proxy.url(database.name), options="-c search_path=s") as connection:
        yield connection
        connection.close()


def count(database: Database) -> int:
    return int(database.fetch("SELECT count(*) FROM s.thing")[0][0])


def fired(proxy: Proxy) -> list[Fate]:
    return [fate for fate, _ in proxy.fired]


def test_it_is_transparent(proxy: Proxy, client: psycopg.Connection[Row]) -> None:
    (pid,) = client.execute("SELECT pg_backend_pid()").fetchone() or ()
    assert pid == client.info.backend_pid == proxy.connections[0].backend_pid
    assert client.execute("SELECT %s::int + 1", [1]).fetchall() == [(2,)]
    with client.cursor().copy("COPY thing FROM STDIN") as copy:
        copy.write("1\n2\n")
    assert client.execute(ROWS).fetchall() == [(2,)]
    assert proxy.connections[0].statements[:2] == ["BEGIN", "SELECT pg_backend_pid()"]
    assert proxy.statements == len(proxy.connections[0].statements) == 5


def test_it_passes_cancel_requests_on(proxy: Proxy, client: psycopg.Connection[Row]) -> None:
    timer = threading.Timer(0.3, client.cancel_safe)
    timer.start()
    with pytest.raises(psycopg.errors.QueryCanceled):
        client.execute("SELECT pg_sleep(60)")
    timer.join()
    assert proxy.cancel_requests == 1


def test_a_server_that_is_down_is_down_behind_it_too(proxy: Proxy) -> None:
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(proxy.url("no_such_database"))


@pytest.mark.parametrize("fate", [Fate.CUT, Fate.RESET])
def test_a_commit_that_does_not_arrive(
    proxy: Proxy, client: psycopg.Connection[Row], database: Database, fate: Fate
) -> None:
    client.execute(INSERT)
    client.commit()
    proxy.at_commit(fate, after="INSERT")
    client.execute("SELECT 1")
    client.commit()
    client.execute(INSERT)
    with pytest.raises(psycopg.OperationalError, match="server closed the connection"):
        client.commit()
    assert fired(proxy) == [fate]
    assert count(database) == 1


@pytest.mark.parametrize(("fate", "is_reset"), [(Fate.CUT, False), (Fate.RESET, True)])
def test_what_the_clients_socket_is_told(
    proxy: Proxy, client: psycopg.Connection[Row], fate: Fate, is_reset: bool
) -> None:
    """Below libpq, which says the same of both."""
    proxy.at_statement("SELECT 1", fate)
    query = b"SELECT 1\0"
    with socket.socket(fileno=os.dup(client.fileno())) as raw:
        raw.setblocking(True)
        raw.sendall(b"Q" + struct.pack("!i", len(query) + 4) + query)
        with pytest.raises(ConnectionResetError) if is_reset else nullcontext():
            assert raw.recv(1) == b""
    assert fired(proxy) == [fate]


def test_the_kth_commit(proxy: Proxy, client: psycopg.Connection[Row], database: Database) -> None:
    proxy.at_commit(Fate.CUT, k=2)
    client.execute(INSERT)
    client.commit()
    client.execute(INSERT)
    with pytest.raises(psycopg.OperationalError):
        client.commit()
    assert (fired(proxy), count(database)) == ([Fate.CUT], 1)


def test_a_commit_whose_answer_is_lost(
    proxy: Proxy, client: psycopg.Connection[Row], database: Database
) -> None:
    proxy.at_commit(Fate.LOSE_ANSWER)
    client.execute(INSERT)
    with pytest.raises(psycopg.OperationalError):
        client.commit()
    assert (fired(proxy), count(database)) == ([Fate.LOSE_ANSWER], 1)


def test_an_abandoned_statement_goes_on(
    proxy: Proxy, client: psycopg.Connection[Row], database: Database
) -> None:
    client.autocommit = True
    proxy.at_statement("pg_sleep", Fate.ABANDON)
    with pytest.raises(psycopg.OperationalError):
        client.execute("SELECT pg_sleep(60)")
    pid = proxy.connections[0].backend_pid
    alive = "SELECT count(*) FROM pg_stat_activity WHERE pid = %s"
    time.sleep(0.3)
    assert database.fetch(f"{alive} AND wait_event = 'PgSleep'", [pid]) == [(1,)]
    database.execute("SELECT pg_cancel_backend(%s)", [pid])
    proxy.heal()
    wait_until(lambda: database.fetch(alive, [pid]) == [(0,)], "the session lives on")


@pytest.mark.parametrize(("fate", "rows"), [(Fate.SWALLOW, 0), (Fate.SILENCE, 1)])
@pytest.mark.parametrize("parameters", [None, [1]])
def test_a_black_hole(
    proxy: Proxy,
    client: psycopg.Connection[Row],
    database: Database,
    fate: Fate,
    rows: int,
    parameters: list[int] | None,
) -> None:
    client.autocommit = True
    proxy.at_statement("INSERT", fate)
    insert = "INSERT INTO thing VALUES (%s)" if parameters else INSERT
    ended = threading.Event()

    def execute() -> None:
        with pytest.raises(psycopg.OperationalError):
            client.execute(insert, parameters)
        ended.set()

    thread = threading.Thread(target=execute)
    thread.start()
    assert not ended.wait(1)
    assert (fired(proxy), count(database)) == ([fate], rows)
    proxy.heal()
    thread.join(10)
    assert ended.is_set()


def test_a_callback_sees_every_statement_and_may_take_its_time(
    proxy: Proxy, client: psycopg.Connection[Row]
) -> None:
    seen = []

    def delay(ordinal: int, text: str, connection: Connection) -> None:
        seen.append((ordinal, text, connection.backend_pid))
        time.sleep(0.2)

    proxy.on_statement(delay)
    began = time.monotonic()
    client.execute("SELECT 1")
    assert time.monotonic() - began >= 0.4
    pid = client.info.backend_pid
    assert seen == [(1, "BEGIN", pid), (2, "SELECT 1", pid)]
    assert proxy.fired == []

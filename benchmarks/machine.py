"""The server of a benchmark: its databases, its processor time, its statements, its programs."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
from psycopg import sql

from tests.fixtures.client_programs import embedded_programs
from tests.fixtures.processes import wait_until
from tests.fixtures.server import Server

TICK_MS = 1000 / os.sysconf("SC_CLK_TCK")
VERSION = 18
SETTINGS = {
    "autovacuum": "off",  # it would fall on one contender or another
    "max_wal_size": "8GB",
    "shared_buffers": "256MB",
}
DURABLE = {"fsync": "on", "full_page_writes": "on"}
STATEMENT = re.compile(r"LOG:  (?:statement|execute [^:]+):")
ROUND_TRIPS = 50


class BenchServer:
    """A server with templates, and copies of them for one contender each.

    Nothing is dropped while it runs: on ext4 a DROP DATABASE slows whatever comes after it.
    """

    def __init__(self, server: Server) -> None:
        self.server = server
        self._admin = psycopg.connect(server.url(), autocommit=True)
        self._made = 0
        self._is_durable = self._show("fsync") == "on"

    def create(self, template: str = "template1") -> str:
        """Make a database and write everything out, so that each contender begins alike.

        A tenant has about 90 files: they are flushed all at once at the end, not one by one.
        """
        self._made += 1
        name = f"bench_{self._made}"
        statement = sql.SQL("CREATE DATABASE {} TEMPLATE {} STRATEGY FILE_COPY")
        with self._unflushed():
            self._admin.execute(statement.format(sql.Identifier(name), sql.Identifier(template)))
        self._admin.execute("CHECKPOINT")
        os.sync()
        return name

    @contextmanager
    def _unflushed(self) -> Iterator[None]:
        if not self._is_durable:
            yield
            return
        self._set_fsync("off")
        try:
            yield
        finally:
            self._set_fsync("on")

    def _set_fsync(self, value: str) -> None:
        """Change it, and wait until this session and new ones have heard of it."""
        self._admin.execute(f"ALTER SYSTEM SET fsync = {value}".encode())
        self._admin.execute("SELECT pg_reload_conf()")
        wait_until(
            lambda: {self._show("fsync"), self._show_new("fsync")} == {value}, f"fsync {value}"
        )

    def _show(self, setting: str) -> str:
        row = self._admin.execute("SELECT current_setting(%s)", [setting]).fetchone()
        return str(row[0]) if row else ""

    def _show_new(self, setting: str) -> str:
        return str(self.server.execute_admin(f"SHOW {setting}")[0][0])

    def url(self, database: str) -> str:
        """The address of one database."""
        return self.server.url(database)

    def version(self) -> str:
        """The version of the server, such as 18.4."""
        return self._show("server_version").split()[0]

    def program(self, name: str) -> str:
        """The path of a program of the server's own version: psql, pgbench, pg_dump."""
        return str(embedded_programs(VERSION).folder / name)

    def cpu_ms(self) -> float:
        """The processor time that the server has taken so far, ended backends included."""
        pid = self.server.pid
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        own = _ticks(pid, 4)
        return TICK_MS * (own + sum(_ticks(int(child), 2) for child in children))

    def log_statements(self, database: str) -> None:
        """Let the server log every statement of new connections to a database: it is slow then."""
        statement = sql.SQL("ALTER DATABASE {} SET log_statement = 'all'")
        self._admin.execute(statement.format(sql.Identifier(database)))

    def statements(self) -> int:
        """The number of statements logged so far."""
        return len(STATEMENT.findall(self.server.log_text()))


def round_trip_ms(url: str) -> float:
    """The shortest time that a statement took that does nothing, in milliseconds."""
    times = []
    with psycopg.connect(url, autocommit=True) as connection:
        for _ in range(ROUND_TRIPS):
            began = time.perf_counter()
            connection.execute("SELECT")
            times.append(time.perf_counter() - began)
    return 1000 * min(times)


def _ticks(pid: int, fields: int) -> int:
    """The first `fields` of utime, stime, cutime, cstime (proc(5), the name may hold blanks)."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:  # ended since; its parent has its time
        return 0
    return sum(int(field) for field in stat.rpartition(")")[2].split()[11 : 11 + fields])

"""The server of a benchmark: its databases, its processor time, its statements, its programs."""

from __future__ import annotations

import os
import re
import time
from pathlib import Path

import psycopg
from psycopg import sql

from tests.fixtures.client_programs import embedded_programs
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

    def create(self, template: str = "template1") -> str:
        """Make a database and write everything out, so that each contender begins alike."""
        self._made += 1
        name = f"bench_{self._made}"
        statement = sql.SQL("CREATE DATABASE {} TEMPLATE {} STRATEGY FILE_COPY")
        self._admin.execute(statement.format(sql.Identifier(name), sql.Identifier(template)))
        self._admin.execute("CHECKPOINT")
        return name

    def url(self, database: str) -> str:
        """The address of one database."""
        return self.server.url(database)

    def version(self) -> str:
        """The version of the server, such as 18.4."""
        row = self._admin.execute("SHOW server_version").fetchone()
        return str(row[0]).split()[0] if row else ""

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

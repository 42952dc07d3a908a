"""The server of a benchmark: its databases, its processor time, and what the tenants came to."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import psycopg
from psycopg import sql

from tests.fixtures.server import Server

TICK_MS = 1000 / os.sysconf("SC_CLK_TCK")
SETTINGS = {
    "autovacuum": "off",  # it would fall on one contender or another
    "max_wal_size": "8GB",
    "shared_buffers": "256MB",
}
DURABLE = {"fsync": "on", "full_page_writes": "on"}


class BenchServer:
    """A server with templates, and copies of them for one contender each."""

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

    def cpu_ms(self) -> float:
        """The processor time that the server has taken so far, ended backends included."""
        pid = self.server.pid
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        own = _ticks(pid, 4)
        return TICK_MS * (own + sum(_ticks(int(child), 2) for child in children))


def _ticks(pid: int, fields: int) -> int:
    """The first `fields` of utime, stime, cutime, cstime (proc(5), the name may hold blanks)."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:  # ended since; its parent has its time
        return 0
    return sum(int(field) for field in stat.rpartition(")")[2].split()[11 : 11 + fields])


def wrong_tenants(url: str, expected: dict[str, str]) -> list[str]:
    """Return the tenant schemas that are not at the revision expected of them.

    Asks the version tables and for what the last revisions made; knows nothing of tenantmig.
    """
    with psycopg.connect(url, autocommit=True) as connection:
        heads = {name: _version(connection, name) for name in expected}
        done = {
            schema
            for (schema,) in connection.execute(
                "SELECT a.table_schema FROM information_schema.columns a"
                " JOIN information_schema.views v ON v.table_schema = a.table_schema"
                " AND v.table_name = 'project_progress'"
                " JOIN information_schema.table_constraints c ON c.table_schema = a.table_schema"
                " AND c.constraint_name = 'ck_invoices_total_not_negative'"
                " WHERE a.table_name = 'users' AND a.column_name = 'time_zone'"
            )
        }
    return [
        name
        for name, revision in expected.items()
        if heads[name] != revision or (name in done) != (revision == HEAD)
    ]


def _version(connection: psycopg.Connection, schema: str) -> str:
    table = sql.Identifier(schema, "alembic_version")
    try:
        rows = connection.execute(sql.SQL("SELECT version_num FROM {}").format(table)).fetchall()
    except psycopg.errors.UndefinedTable:
        return "no version table"
    return ",".join(row[0] for row in rows)


BEFORE, HEAD = "0012", "0015"


def tenant_names(count: int) -> Sequence[str]:
    """The names of the tenants."""
    return [f"tenant_{number:04d}" for number in range(1, count + 1)]

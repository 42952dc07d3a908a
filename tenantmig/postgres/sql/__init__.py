"""Named queries: one .sql file each, with `{ledger}` where the ledger's schema belongs.

A query is called `room/name`; its file is `tenantmig/room/sql/name.sql`.
"""

from __future__ import annotations

from functools import cache
from importlib.resources import files

from psycopg import sql


@cache
def text(name: str) -> str:
    """Return the text of the query `room/name`."""
    room, _, file = name.partition("/")
    return (files("tenantmig") / room / "sql" / f"{file}.sql").read_text(encoding="utf-8")


@cache
def query(name: str, ledger: str = "tenantmig") -> sql.Composed:
    """Return the query `name` with the ledger's schema filled in as a quoted identifier."""
    return sql.SQL(text(name)).format(ledger=sql.Identifier(ledger))


def quoted(*names: str) -> sql.SQL:
    """Quote a name for a query with parameters: psycopg takes a % in it for one, so double it."""
    return sql.SQL(sql.Identifier(*names).as_string().replace("%", "%%"))

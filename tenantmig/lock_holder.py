"""The holder of an advisory lock: which session it is, in words for who waits for it.

Any login role of the server can take an advisory lock of any key; whoever is kept waiting should
read by whom.
"""

from __future__ import annotations

from typing import Any

import psycopg
from psycopg.rows import namedtuple_row

from tenantmig.connection import salt_of
from tenantmig.sql import query


def name_holder(connection: psycopg.Connection, *locks: str) -> str:
    """Say who holds locks of these names (`tenantmig.tenant:acme`), or did a moment ago."""
    facts = {"names": list(locks), "salt": salt_of(connection)}
    with connection.cursor(row_factory=namedtuple_row) as cursor:
        rows: list[Any] = cursor.execute(query("lock_holder"), facts).fetchall()
    holders = (
        f"server process {row.pid} of the role {row.role}"
        f" ({row.application or 'no application_name'}{_where(row.address)}{_when(row)})"
        for row in rows
    )
    return " and ".join(holders) or "a session that has ended since"


def _where(address: str | None) -> str:
    return f", from {address}" if address else ""


def _when(row: Any) -> str:
    """Since when it has done what it does; another role's may be hidden."""
    return f", {row.state} since {row.since:%Y-%m-%d %H:%M:%S %Z}" if row.state else ""

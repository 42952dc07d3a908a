"""The holders of a lock: which session it is, in words for who waits for it.

Any login role of the server can take an advisory lock of any key; whoever is kept waiting should
read by whom.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import psycopg
from psycopg.rows import namedtuple_row

from tenantmig.domain.counting import counted
from tenantmig.postgres.connection import salt_of
from tenantmig.postgres.sql import query

SHOWN = 3  # sessions


def name_holder(connection: psycopg.Connection, *locks: str) -> str:
    """Say who holds locks of these names (`tenantmig.tenant:acme`), or did a moment ago."""
    facts = {"names": list(locks), "salt": salt_of(connection)}
    with connection.cursor(row_factory=namedtuple_row) as cursor:
        rows: list[Any] = cursor.execute(query("postgres/lock_holder"), facts).fetchall()
    return " and ".join(map(_session, rows)) or "a session that has ended in the meantime"


def name_table_holders(
    connection: psycopg.Connection, schemas: Sequence[str], *besides: int
) -> str:
    """Say who holds locks on tables of the first of these schemas in which anybody does, or "".

    `besides` are server processes of ours that are not told of. Asked after a lock timeout:
    PostgreSQL's error names neither the lock nor its holder.
    """
    with connection.cursor(row_factory=namedtuple_row) as cursor:
        mine = [connection.info.backend_pid, *besides]
        facts = {"schemas": list(schemas), "besides": mine}
        rows: list[Any] = cursor.execute(query("postgres/table_lock_holders"), facts).fetchall()
    first = next((s for s in schemas if any(row.schema == s for row in rows)), None)
    held = [row for row in rows if row.schema == first]
    if not held:
        return ""
    told = [f"{row.tables} by {_session(row)}" for row in held[:SHOWN]]
    more = f", and by {counted(len(held) - SHOWN, 'more session')}" if len(held) > SHOWN else ""
    return f"there are locks on {' and on '.join(told)}{more}"


def _session(row: Any) -> str:
    return (
        f"server process {row.pid} of the role {row.role}"
        f" ({row.application or 'no application_name'}{_where(row.address)}{_when(row)})"
    )


def _where(address: str | None) -> str:
    return f", from {address}" if address else ""


def _when(row: Any) -> str:
    """Since when it has done what it does; another role's may be hidden."""
    return f", {row.state} since {row.since}" if row.state else ""

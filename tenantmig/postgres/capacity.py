"""Capacity: how many tenants at once this server and this machine bear."""

from __future__ import annotations

import os
from collections.abc import Sequence

import psycopg

from tenantmig.postgres.sql import query
from tenantmig.postgres.version_table import CHUNK

MOST = 16
RESERVE = 3  # connections left for people and for the control connection
SAMPLE = 8  # tenants whose relations are counted
READERS = 3  # of version tables
READ_BY_ONE = 1000  # version tables; below that another connection costs more than it gains
CATALOGS_READ_BY_ONE = 100
LOCKED_BY_READER = 2 * CHUNK  # a version table and its primary key
OWN_LOCKS = 16  # that a worker takes beside a tenant's: the ledger's, and the tenant's own lock


def free_connections(connection: psycopg.Connection) -> int:
    """Return how many more connections the server, the database and this role admit."""
    row = connection.execute(query("postgres/free_connections")).fetchone()
    return int(row[0]) if row else 0


def reading_helpers(connection: psycopg.Connection, tenants: int) -> int:
    """Return how many more connections should read the version tables of so many tenants."""
    wanted = min(READERS - 1, (tenants - 1) // READ_BY_ONE)
    if wanted <= 0:
        return 0
    free, (room, _) = free_connections(connection) - RESERVE, _lock_table(connection)
    return max(0, min(wanted, free, room // 2 // LOCKED_BY_READER - 1))


def catalog_helpers(connection: psycopg.Connection, tenants: int) -> int:
    """Return how many more connections should read the catalogs of so many tenants."""
    wanted = min(READERS - 1, (tenants - 1) // CATALOGS_READ_BY_ONE)
    return max(0, min(wanted, free_connections(connection) - RESERVE)) if wanted > 0 else 0


def default_parallel(
    connection: psycopg.Connection, tenants: int, schemas: Sequence[str] = ()
) -> int:
    """Return how many tenants to work on at once: two a core, within half of what is free.

    That is half the free connections, and half the lock table if each worker locks all that there
    is in the largest of a few of these `schemas`.
    """
    free = max(1, (free_connections(connection) - RESERVE) // 2)
    locks = _within_lock_table(connection, schemas)
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return max(1, min(2 * (cores or 1), free, locks, MOST, tenants))


def _within_lock_table(connection: psycopg.Connection, schemas: Sequence[str]) -> int:
    """Return how many workers leave the lock table half free."""
    step = max(1, len(schemas) // SAMPLE)
    room, most = _lock_table(connection, schemas[::step][:SAMPLE])
    return room // 2 // (most + OWN_LOCKS)


def _lock_table(connection: psycopg.Connection, schemas: Sequence[str] = ()) -> tuple[int, int]:
    """Return how many locks the server has room for, and the most that one of `schemas` has.

    (docs 19.12, Lock Management)
    """
    row = connection.execute(query("postgres/lock_table"), {"schemas": list(schemas)}).fetchone()
    room, most = row or (0, 0)
    return int(room), int(most or 0)

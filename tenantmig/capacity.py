"""Capacity: how many tenants at once this server and this machine bear."""

from __future__ import annotations

import os
from collections.abc import Sequence

import psycopg

from tenantmig.sql import query

MOST = 16
RESERVE = 3  # connections left for people and for the control connection
SAMPLE = 8  # tenants whose relations are counted
OWN_LOCKS = 16  # that a worker takes beside a tenant's: the ledger's, and the tenant's own lock


def free_connections(connection: psycopg.Connection) -> int:
    """Return how many more connections the server, the database and this role admit."""
    row = connection.execute(query("free_connections")).fetchone()
    return int(row[0]) if row else 0


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
    """Return how many workers leave the lock table half free (docs 19.12, Lock Management)."""
    step = max(1, len(schemas) // SAMPLE)
    facts = {"schemas": list(schemas[::step][:SAMPLE])}
    row = connection.execute(query("lock_table"), facts).fetchone()
    room, most = row or (0, 0)
    return int(room) // 2 // (int(most) + OWN_LOCKS)

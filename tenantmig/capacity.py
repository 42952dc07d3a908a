"""Capacity: how many tenants at once this server and this machine bear."""

from __future__ import annotations

import os

import psycopg

from tenantmig.sql import query

MOST = 16
RESERVE = 3  # connections left for people and for the control connection


def free_connections(connection: psycopg.Connection) -> int:
    """Return how many more connections the server, the database and this role admit."""
    row = connection.execute(query("free_connections")).fetchone()
    return int(row[0]) if row else 0


def default_parallel(connection: psycopg.Connection, tenants: int) -> int:
    """Return how many tenants to work on at once: two a core, within half the free connections."""
    free = max(1, (free_connections(connection) - RESERVE) // 2)
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return max(1, min(2 * (cores or 1), free, MOST, tenants))

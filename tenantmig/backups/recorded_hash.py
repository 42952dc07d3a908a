"""Hashes of backups in the ledger: what tenantmig wrote, it knows again. Knows no file."""

from __future__ import annotations

from contextlib import suppress

import psycopg
from psycopg import sql

from tenantmig.backups.proof import TABLE
from tenantmig.errors import PrivilegeError
from tenantmig.postgres.rights import missing_grants


def prepare_record(connection: psycopg.Connection, ledger: str) -> bool:
    """Make the table of the ledger that knows backups, if it is missing; false if that is not ours
    to do. It is no part of the ledger's version: an older tenantmig has no use for it.
    """
    table = sql.Identifier(ledger, TABLE)
    if is_recorded(connection, ledger):
        return True
    with suppress(psycopg.errors.InsufficientPrivilege, psycopg.errors.InvalidSchemaName):
        connection.execute(
            sql.SQL(
                "CREATE TABLE IF NOT EXISTS {} (sha256 text PRIMARY KEY, run bigint NOT NULL,"
                " tenant text NOT NULL, created_at timestamptz NOT NULL DEFAULT clock_timestamp())"
            ).format(table)
        )
    return is_recorded(connection, ledger)


def is_recorded(connection: psycopg.Connection, ledger: str) -> bool:
    """True when the ledger has the table that knows backups."""
    named = sql.SQL("SELECT to_regclass({}) IS NOT NULL").format(
        sql.Literal(sql.Identifier(ledger, TABLE).as_string(connection))
    )
    row = connection.execute(named).fetchone()
    return bool(row and row[0])


def record_hash(
    connection: psycopg.Connection, ledger: str, digest: str, run: int, tenant: str
) -> None:
    """Let the ledger know a backup."""
    statement = sql.SQL(
        "INSERT INTO {} (sha256, run, tenant) VALUES ({}, {}, {}) ON CONFLICT DO NOTHING"
    ).format(sql.Identifier(ledger, TABLE), *map(sql.Literal, (digest, run, tenant)))
    connection.execute(statement)


def is_known_hash(connection: psycopg.Connection, ledger: str, digest: str) -> bool:
    """True when a run of this ledger took the backup with this hash."""
    if not is_recorded(connection, ledger):
        return False
    statement = sql.SQL("SELECT count(*) FROM {} WHERE sha256 = {}").format(
        sql.Identifier(ledger, TABLE), sql.Literal(digest)
    )
    try:
        row = connection.execute(statement).fetchone()
    except psycopg.errors.InsufficientPrivilege as error:
        grants = missing_grants(connection, ledger, {TABLE: frozenset({"SELECT"})})
        raise PrivilegeError(
            f"The role {connection.info.user} may not read which backups the ledger knows: "
            f"{error.diag.message_primary}. Grant it: {grants} Nothing was touched."
        ) from error
    return bool(row and row[0])

"""The ledger's own schema: made where there is none, and brought to this version. Knows no run."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import psycopg

from tenantmig import sql
from tenantmig.connection import BoundedConnection, read_lock_salt
from tenantmig.errors import LedgerError, PrivilegeError

VERSIONS: Final[tuple[Callable[[str], psycopg.sql.Composed], ...]] = (
    lambda schema: sql.query("ledger_v1", schema),
    lambda schema: sql.query("ledger_v2", schema),
    lambda schema: sql.query("ledger_v3", schema),
    lambda schema: sql.query("ledger_v4", schema),
)
"""What brings a ledger from each version to the next."""
LEDGER_VERSION = len(VERSIONS)
SALTED: Final = 4
"""From this version on, locks have other keys; drivers of an older one would not heed them."""
CREATION_LOCK: Final = "SELECT pg_advisory_xact_lock(hashtextextended('tenantmig.ledger', 0))"


def exists(connection: psycopg.Connection, schema: str) -> bool:
    """True when the ledger is there; an older one is brought to this version.

    Raises:
        LedgerError: a newer tenantmig wrote it, or somebody works under locks of an older one.
        PrivilegeError: this role may not read it.
    """
    current = _version(connection, schema)
    if current > LEDGER_VERSION:
        raise LedgerError(
            f'The ledger "{schema}" has version {current} and this tenantmig knows'
            f" {LEDGER_VERSION}; upgrade tenantmig. Nothing was touched."
        )
    if 0 < current < LEDGER_VERSION:
        _bring_to_this_version(connection, schema)
    if current > 0:
        _learn_salt(connection, schema)
    return current > 0


def create(connection: psycopg.Connection, schema: str) -> None:
    """Make the ledger where there is none.

    Idempotent: yes, also for several callers at once.
    Raises:
        PrivilegeError: this role may not create a schema in the database.
    """
    if exists(connection, schema):
        return
    try:
        _bring_to_this_version(connection, schema)
        _learn_salt(connection, schema)
    except psycopg.errors.InsufficientPrivilege as error:
        raise PrivilegeError(
            f'The ledger schema "{schema}" cannot be created:'
            f" {error.diag.message_primary}. Grant CREATE on the database to this role,"
            " or have its owner create the schema and give it to this role."
        ) from error


def _bring_to_this_version(connection: psycopg.Connection, schema: str) -> None:
    with connection.transaction():
        connection.execute(CREATION_LOCK)
        current = _version(connection, schema)
        if current < SALTED:
            _refuse_other_keys(connection, schema, has_runs=current > 0)
        if current == 0:
            _create_schema(connection, schema)
        for bring in VERSIONS[current:]:
            connection.execute(bring(schema))


def _learn_salt(connection: psycopg.Connection, schema: str) -> None:
    """Let a connection know the keys of a ledger that is younger than itself."""
    if isinstance(connection, BoundedConnection) and not connection.lock_salt:
        read_lock_salt(connection, schema)


def _refuse_other_keys(connection: psycopg.Connection, schema: str, *, has_runs: bool) -> None:
    """Leave the ledger as it is while somebody works under locks with the keys of before.

    Raises:
        LedgerError: a driver of an older version does, or Alembic where there is no ledger yet.
    """
    connection.execute("SELECT pg_advisory_xact_lock(hashtextextended('tenantmig.fleet', 0))")
    runs = connection.execute(sql.query("older_runs", schema)).fetchall() if has_runs else []
    for tenant_schema, pids in connection.execute(sql.query("older_locks")).fetchall():
        raise LedgerError(
            f'Another session is migrating the tenant schema "{tenant_schema}" (server process'
            f' {", ".join(map(str, pids))}), and began before the ledger "{schema}" had locks of'
            " its own; run again when it has ended. Nothing was touched."
        )
    for run, kind in runs:
        raise LedgerError(
            f"Run {run} ({kind}) of an older tenantmig is at work, whose locks this version does"
            " not share; run again when it has ended. Nothing was touched."
        )


def _version(connection: psycopg.Connection, schema: str) -> int:
    # a scan of pg_class: to_regclass may answer from a stale cache inside a transaction
    found = connection.execute(
        "SELECT EXISTS (SELECT FROM pg_class JOIN pg_namespace AS n ON n.oid = relnamespace"
        " WHERE nspname = %s AND relname = 'ledger_version')",
        [schema],
    ).fetchone()
    if not (found and found[0]):
        return 0
    try:
        version = connection.execute(sql.query("ledger_version", schema)).fetchone()
    except psycopg.errors.InsufficientPrivilege as error:
        raise PrivilegeError(
            f'The role {connection.info.user} may not read tenantmig\'s ledger "{schema}":'
            f" {error.diag.message_primary}. Grant it USAGE on it and SELECT on its tables."
        ) from error
    return int(version[0]) if version and version[0] else 0


def _create_schema(connection: psycopg.Connection, schema: str) -> None:
    """Create the schema unless its owner made it: IF NOT EXISTS asks for the right."""
    lookup = "SELECT FROM pg_namespace WHERE nspname = %s::text"
    if connection.execute(lookup, [schema]).rowcount == 0:
        create = psycopg.sql.SQL("CREATE SCHEMA {}")
        connection.execute(create.format(psycopg.sql.Identifier(schema)))

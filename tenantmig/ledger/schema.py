"""The ledger's own schema: made where there is none, and brought to this version. Knows no run."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

import psycopg

from tenantmig.errors import LedgerError, PrivilegeError
from tenantmig.postgres import rights, sql
from tenantmig.postgres.connection import BoundedConnection

VERSIONS: Final[tuple[Callable[[str], psycopg.sql.Composed], ...]] = (
    lambda schema: sql.query("ledger/ledger_v1", schema),
    lambda schema: sql.query("ledger/ledger_v2", schema),
    lambda schema: sql.query("ledger/ledger_v3", schema),
    lambda schema: sql.query("ledger/ledger_v4", schema),
)
"""What brings a ledger from each version to the next."""
LEDGER_VERSION = len(VERSIONS)
SALTED: Final = 4
"""From this version on, locks have other keys; drivers of an older one would not heed them."""
VERSION: Final = "ledger_version"
TABLES: Final = ("run", "run_tenant", "tenant", "part", "doubt")
DAMAGED: Final = frozenset({"21", "22", "42"})
"""Classes of SQLSTATE of statements that are sound where the tables are as we made them."""
CREATION_LOCK: Final = "SELECT pg_advisory_xact_lock(hashtextextended('tenantmig.ledger', 0))"


def exists(connection: psycopg.Connection, schema: str) -> bool:
    """True when the ledger is there; an older one is brought to this version.

    Raises:
        LedgerError: a newer tenantmig wrote it, or somebody works under locks of an older one.
        PrivilegeError: this role may not read it, or not bring it to this version.
    """
    current = _version(connection, schema)
    if current > LEDGER_VERSION:
        raise LedgerError(
            f'The ledger "{schema}" has version {current}, but this tenantmig only knows '
            f"versions up to {LEDGER_VERSION}. Upgrade tenantmig. Nothing was touched."
        )
    if 0 < current < LEDGER_VERSION:
        with _refusing_upgrade(connection, schema, current):
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
            f" {error.diag.message_primary}. Grant CREATE on the database to this role"
            f" ({rights.grant_on_database(connection, 'CREATE')}), or have its owner create the"
            " schema and give it to this role."
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
        connection.unasked_ledger = schema


def _refuse_other_keys(connection: psycopg.Connection, schema: str, *, has_runs: bool) -> None:
    """Leave the ledger as it is while somebody works under locks with the keys of before.

    Raises:
        LedgerError: a driver of an older version does, or Alembic where there is no ledger yet.
    """
    connection.execute("SELECT pg_advisory_xact_lock(hashtextextended('tenantmig.fleet', 0))")
    runs = connection.execute(sql.query("ledger/older_runs", schema)).fetchall() if has_runs else []
    for tenant_schema, pids in connection.execute(sql.query("ledger/older_locks")).fetchall():
        raise LedgerError(
            f'Another session is migrating the tenant schema "{tenant_schema}" (server '
            f'process {", ".join(map(str, pids))}). It began before the ledger "{schema}" '
            "had its own locks. Run again when that session has ended. Nothing was touched."
        )
    for run, kind in runs:
        raise LedgerError(
            f"Run {run} ({kind}) of an older tenantmig is still running, and this version "
            "does not use the same locks. Run again when it has ended. Nothing was touched."
        )


def _version(connection: psycopg.Connection, schema: str) -> int:
    # a scan of pg_class: to_regclass may answer from a stale cache inside a transaction
    rows = connection.execute(
        "SELECT relname FROM pg_class JOIN pg_namespace AS n ON n.oid = relnamespace"
        " WHERE nspname = %s AND relname = ANY(%s) AND relkind IN ('r', 'p')",
        [schema, [VERSION, *TABLES]],
    )
    found = {name for (name,) in rows}
    if VERSION not in found:
        if found:
            raise _damage(
                schema, f"it has no table {VERSION}, but it has {', '.join(sorted(found))}"
            )
        return 0
    with refusing_damage(schema), _refusing_strangers(connection, schema):
        told = [row[0] for row in connection.execute(sql.query("ledger/ledger_version", schema))]
    numbers = [int(text) for text in told if text and text.isdecimal() and len(text) < 10]
    if len(numbers) != len(told) or 0 in numbers or not (numbers or not found - {VERSION}):
        said = ", ".join("NULL" if text is None else repr(text[:20]) for text in told) or "nothing"
        raise _damage(schema, f"its table {VERSION} says {said}, which is not a version")
    return max(numbers, default=0)


@contextmanager
def _refusing_strangers(connection: psycopg.Connection, schema: str) -> Iterator[None]:
    try:
        yield
    except psycopg.errors.InsufficientPrivilege as error:
        raise refused(
            connection, schema, rights.needs_of("ledger/ledger_version"), error
        ) from error


@contextmanager
def _refusing_upgrade(connection: psycopg.Connection, schema: str, current: int) -> Iterator[None]:
    """Say in words that only the owner of an older ledger can bring it to this version."""
    try:
        yield
    except (psycopg.errors.InsufficientPrivilege, psycopg.errors.ReadOnlySqlTransaction) as error:
        owner = connection.execute(sql.query("ledger/ledger_owner"), {"schema": schema}).fetchone()
        raise PrivilegeError(
            f'The ledger "{schema}" has version {current}, but this tenantmig needs '
            f"{LEDGER_VERSION}. The role {connection.info.user} cannot upgrade it: "
            f"{error.diag.message_primary}. Run any command once as the owner of its tables "
            f"({owner[0] if owner else 'unknown'}), for example `tenantmig runs`. Nothing "
            "was touched."
        ) from error


def refused(
    connection: psycopg.Connection, schema: str, needs: rights.Needs, error: psycopg.Error
) -> PrivilegeError:
    """Say which GRANTs a role lacks on the ledger that was refused something."""
    grants = rights.missing_grants(connection, schema, needs)
    listed = "; ".join(f"{', '.join(sorted(p))} on {table}" for table, p in needs.items())
    verb = "read" if set().union(*needs.values()) == {"SELECT"} else "write to"
    return PrivilegeError(
        f'The role {connection.info.user} may not {verb} tenantmig\'s ledger "{schema}":'
        f" {error.diag.message_primary}. Grant it: {grants or f'USAGE, and {listed}.'}"
    )


def require(connection: psycopg.Connection, schema: str, needs: rights.Needs) -> None:
    """Refuse a role that lacks a right on the ledger which it may need later.

    Raises:
        PrivilegeError: with every GRANT that it lacks, or because its sessions only read; nothing
            was touched.
    """
    told = connection.info.parameter_status  # the server reports both by itself
    if told("default_transaction_read_only") == "on":
        raise PrivilegeError(
            f"Sessions of the role {connection.info.user} are read-only"
            " (default_transaction_read_only is on), so it cannot write to tenantmig's ledger"
            f' "{schema}". Set it to off for this role. Nothing was touched.'
        )
    is_superuser = told("is_superuser") == "on"
    if not is_superuser and (grants := rights.missing_grants(connection, schema, needs)):
        raise PrivilegeError(
            f'The role {connection.info.user} may not write to tenantmig\'s ledger "{schema}".'
            f" Grant it: {grants} Nothing was touched."
        )


@contextmanager
def refusing_damage(schema: str) -> Iterator[None]:
    """Say in words that the ledger's tables are not as tenantmig made them.

    Raises:
        LedgerError: a table or column is not there, or holds what does not fit.
    """
    try:
        yield
    except psycopg.Error as error:
        state = error.sqlstate
        is_ours = state is None and isinstance(error, psycopg.DataError | psycopg.ProgrammingError)
        is_server = (state or "")[:2] in DAMAGED and state != "42501"
        if not (is_ours or is_server):
            raise
        reason = error.diag.message_primary or " ".join(str(error).split())
        raise _damage(schema, reason) from error


def _damage(schema: str, reason: str) -> LedgerError:
    return LedgerError(
        f'The ledger "{schema}" is not as tenantmig created it: {reason}. Repair it, or '
        "restore the schema from a backup of the database."
    )


def _create_schema(connection: psycopg.Connection, schema: str) -> None:
    """Create the schema unless its owner made it: IF NOT EXISTS asks for the right."""
    lookup = "SELECT FROM pg_namespace WHERE nspname = %s::text"
    if connection.execute(lookup, [schema]).rowcount == 0:
        create = psycopg.sql.SQL("CREATE SCHEMA {}")
        connection.execute(create.format(psycopg.sql.Identifier(schema)))

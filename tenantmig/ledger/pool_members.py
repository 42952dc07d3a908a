"""The pool in the ledger: finished schemas that wait for a tenant, and the claim that takes one.

Owns the rows of the pool and the functions on the server. How a schema is created and what must be
proved of it is not known here.
"""

from __future__ import annotations

import json
import os
import platform
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from importlib.metadata import version
from typing import Final

import psycopg
from psycopg.sql import SQL
from psycopg.types.json import Jsonb

from tenantmig.domain.tenant import POOL, Tenant
from tenantmig.errors import PrivilegeError, ReadBackError
from tenantmig.ledger.schema import CREATION_LOCK
from tenantmig.postgres import sql

MISSING: Final = (psycopg.errors.UndefinedTable, psycopg.errors.InvalidSchemaName)
REFUSAL: Final = "tenantmig: "


@dataclass(frozen=True, slots=True)
class PoolRow:
    """What the ledger says of one member, and what was found out about its schema now."""

    schema: str
    revision: str
    history: str
    files: Mapping[str, str]
    rows: Mapping[str, object]
    run: int
    created_at: datetime | None = None
    is_there: bool = True
    is_untouched: bool = True


@dataclass(frozen=True, slots=True)
class Claim:
    """What a sign-up asks for: the tenant, and the members that would be right for it."""

    tenant: Tenant
    is_kept: bool
    """The tenant is registered; another source than the registry lists it otherwise."""
    wanted: str
    destination: str
    history: str
    version_table: str
    known: tuple[str, ...]
    """Every revision of the history."""
    server: str
    token: str


@dataclass(frozen=True, slots=True)
class Claimed:
    """What was found after a claim."""

    run: int
    started_at: datetime
    duration_s: float


def new_name() -> str:
    """Return the name of a new member, which nobody can guess and no script contains."""
    return f"{POOL}{secrets.token_hex(10)}"


def create_pool(connection: psycopg.Connection, ledger: str) -> None:
    """Create the table and the functions of the pool, or leave those of their owner.

    Idempotent: yes.
    Raises:
        PrivilegeError: this role may not create them.
    """
    try:
        with connection.transaction():
            connection.execute(CREATION_LOCK)
            connection.execute(sql.query("ledger/pool_tables", ledger))
    except psycopg.errors.InsufficientPrivilege as error:
        table = sql.quoted(ledger, "pool_member").as_string(connection)
        row = connection.execute("SELECT to_regclass(%s) IS NOT NULL", [table]).fetchone()
        if not (row and row[0]):
            raise PrivilegeError(
                f"The pool's table cannot be created: {error.diag.message_primary}. Run "
                f'`tenantmig pool fill` once as the owner of the schema "{ledger}".'
            ) from error


def list_members(connection: psycopg.Connection, ledger: str) -> list[PoolRow]:
    """Return the members of the pool; none where there never was a pool."""
    try:
        rows = connection.execute(sql.query("ledger/pool_members", ledger)).fetchall()
    except (*MISSING, psycopg.errors.UndefinedFunction):
        return []
    return [
        PoolRow(schema, revision, history, json.loads(files), json.loads(held), *facts)
        for schema, revision, history, files, held, *facts in rows
    ]


def add_member(connection: psycopg.Connection, ledger: str, row: PoolRow) -> None:
    """Take a finished schema into the pool and out of the registry, in one transaction."""
    facts = {
        "schema": row.schema,
        "revision": row.revision,
        "history": row.history,
        "files": Jsonb(dict(row.files)),
        "rows": Jsonb(dict(row.rows)),
        "run": row.run,
    }
    with connection.transaction():
        connection.execute(sql.query("ledger/add_member", ledger), facts)


def forget_member(connection: psycopg.Connection, ledger: str, schema: str) -> bool:
    """Take a member out, in the caller's transaction; false if a claim has it or had it."""
    forget = SQL(
        "DELETE FROM {}.pool_member WHERE schema = (SELECT schema FROM {}.pool_member"
        " WHERE schema = %s FOR UPDATE SKIP LOCKED)"
    ).format(sql.quoted(ledger), sql.quoted(ledger))
    return connection.execute(forget, [schema]).rowcount == 1


def forget_birth(connection: psycopg.Connection, ledger: str, schema: str) -> None:
    """Forget the registration of a birth for the pool that was cut off."""
    forget = SQL("DELETE FROM {}.tenant WHERE schema = %s").format(sql.quoted(ledger))
    connection.execute(forget, [schema])


def leftovers(connection: psycopg.Connection, ledger: str) -> list[str]:
    """Return the schemas whose birth for the pool was cut off."""
    rows = connection.execute(sql.query("ledger/pool_leftovers", ledger), {"prefix": POOL})
    return [schema for (schema,) in rows.fetchall()]


def claim_member(connection: psycopg.Connection, ledger: str, claim: Claim) -> int | None:
    """Give a member to a tenant: one statement, so one transaction. Returns the run, or None.

    Locks: the tenant's and the member's; the fleet's, which claims share; until the COMMIT.
    Raises:
        psycopg.Error: the server refused it, or the connection was lost.
    """
    facts = {
        "tenant": claim.tenant.name,
        "tenant_schema": claim.tenant.schema,
        "labels": Jsonb(dict(claim.tenant.labels)),
        "is_kept": claim.is_kept,
        "wanted": claim.wanted,
        "destination": claim.destination,
        "history": claim.history,
        "version_table": claim.version_table,
        "known": list(claim.known),
        "facts": Jsonb(
            {
                "host": platform.node(),
                "driver_pid": os.getpid(),
                "tool_version": version("tenantmig"),
                "server": claim.server,
                "options": {"claim": claim.token},
            }
        ),
    }
    row = connection.execute(sql.query("ledger/claim_member", ledger), facts).fetchone()
    return None if row is None else row[0]


def read_claimed(
    connection: psycopg.Connection, ledger: str, claim: Claim, least: int = 0
) -> Claimed | None:
    """Look, after the COMMIT, what a claim left; None if it left nothing.

    Raises:
        ReadBackError: the tenant is not there, or not at the target.
    """
    text = SQL(sql.text("ledger/claimed_member")).format(
        ledger=sql.quoted(ledger), table=sql.quoted(claim.tenant.schema, claim.version_table)
    )
    facts = {
        "tenant": claim.tenant.name,
        "tenant_schema": claim.tenant.schema,
        "claim": claim.token,
        "least": least,
    }
    try:
        row = connection.execute(text, facts).fetchone()
    except psycopg.errors.UndefinedTable as error:
        if not least:
            return None
        raise ReadBackError(_told(claim, "its version table does not exist")) from error
    if row is None:
        if not least:
            return None
        raise ReadBackError(_told(claim, "the journal has no row for it"))
    run, started_at, revision, outcome, duration_s, versions, is_registered = row
    if versions != claim.wanted:
        raise ReadBackError(_told(claim, f"its version table says {versions or 'base'}"))
    if revision != claim.wanted or outcome != "onboarded":
        raise ReadBackError(_told(claim, f"the journal says {outcome} at {revision or 'base'}"))
    if claim.is_kept and not is_registered:
        raise ReadBackError(_told(claim, "it is not registered"))
    return Claimed(run, started_at, duration_s)


def _told(claim: Claim, problem: str) -> str:
    return (
        f'"{claim.tenant.name}" was given a schema of the pool, but after the COMMIT {problem}, '
        f"not {claim.wanted}. The state of the tenant is therefore in doubt."
    )


def refusal_of(error: psycopg.Error) -> str:
    """Say on one line why the server refused a claim."""
    message = error.diag.message_primary or " ".join(str(error).split())
    return message.removeprefix(REFUSAL)

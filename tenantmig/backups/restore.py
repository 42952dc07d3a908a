"""Restore: one tenant brought back from a backup file, in one transaction.

The backup is read first, by PostgreSQL's own parser; what does not belong in it is refused before
anything is touched. Then its statements are run one by one. Only this module ends the transaction.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, replace
from functools import partial

import psycopg
from psycopg import sql

from tenantmig.backups.client_programs import ClientPrograms
from tenantmig.backups.dump_targets import DumpFacts
from tenantmig.backups.dump_wall import Wall
from tenantmig.backups.restore_roles import Mark, choose_role, read_mark, read_roles
from tenantmig.backups.restore_script import Pouring, look_through, script_of
from tenantmig.backups.restore_session import RestoreSession, restore_session
from tenantmig.backups.restore_statements import (
    RestorePlan,
    RestoreStatements,
    register,
    rendered,
    take_over,
)
from tenantmig.backups.running_program import POLL_S, Limits
from tenantmig.domain.tenant import Tenant
from tenantmig.errors import (
    BackupFileError,
    ClientProgramError,
    DependentObjectsError,
    RestoreError,
    RestoreInDoubtError,
    TenantExistsError,
    TenantLockedError,
    TenantmigError,
)
from tenantmig.postgres.connection import SessionOptions, connect
from tenantmig.postgres.retry import survive_restart

__all__ = ["RestorePlan", "rendered", "restore"]

SETTLING_S = 60.0
CURRENT = "SELECT pg_catalog.pg_current_xact_id()::text"
USERS = "SELECT current_user OPERATOR(pg_catalog.=) session_user"


def restore(
    options: SessionOptions,
    programs: ClientPrograms,
    plan: RestorePlan,
    stop: threading.Event | None = None,
) -> None:
    """Replace a tenant schema by what its backup holds, and register the tenant.

    One transaction: whatever is killed at whatever instant, there is the old tenant or the
    restored one. Nothing is left to be cleaned up.

    Locks: the tenant's advisory lock; ACCESS EXCLUSIVE on all that is dropped; what its foreign
    keys to shared tables need. Each is waited for at most `lock_timeout`.
    Raises:
        BackupRefusedError: the backup holds something that is none of a tenant's backup.
        RestoreError: it failed or was stopped; the message says how the tenant was found then.
        RestoreInDoubtError: it cannot be found out whether its COMMIT arrived.
        TenantLockedError: another session is migrating the tenant.
        DependentObjectsError: objects outside the tenant schema would be dropped or cut.
        TenantExistsError: the name or the schema is registered for another tenant.
    """
    limits = Limits.within(plan.deadline_s, stop)
    way, statements = _prepare(options, programs, plan, limits)
    named = replace(options, application_name=plan.application_name)
    trial = _Trial()
    try:
        with restore_session(named, limits) as session:
            pour = partial(_pour, session, programs, plan, limits, way)
            _carry_out(session, statements, plan, trial, pour)
    except (TenantLockedError, DependentObjectsError):
        raise
    except (TenantmigError, psycopg.Error, OSError) as error:
        if not trial.is_ending or not _is_committed(options, plan.tenant, str(trial.xid)):
            raise RestoreError(_failed(options, plan, way.before, error)) from error


def _prepare(
    options: SessionOptions, programs: ClientPrograms, plan: RestorePlan, limits: Limits
) -> tuple[_Way, RestoreStatements]:
    """Read the backup and ask the server; refuse what cannot be restored."""
    try:
        facts = plan.held or look_into(options, programs, plan, limits)
    except ClientProgramError as error:
        raise RestoreError(
            f'The tenant "{plan.tenant.name}" was not restored: {error.message.rstrip(".")}.'
            " Nothing was touched."
        ) from error
    with closing(connect(options)) as connection:
        _refuse_registered(connection, plan)
        roles = read_roles(connection, plan.tenant.schema, {*facts.owners, plan.role or ""})
        role = choose_role(facts, roles, plan.role, plan.tenant.schema, is_proven=plan.is_proven)
        statements = RestoreStatements(connection, options, plan)
    return _Way(options, role, facts, statements.bind, roles.mark), statements


def outside_of(options: SessionOptions, plan: RestorePlan) -> frozenset[str]:
    """Return the schemas that a backup may use besides its own."""
    return frozenset({*options.extension_schemas, *plan.outside})


def look_into(
    options: SessionOptions, programs: ClientPrograms, plan: RestorePlan, limits: Limits
) -> DumpFacts:
    """Read the whole backup; see `look_through`.

    Raises:
        RestoreError: it holds another schema than the tenant's.
    """
    _refuse_other_schema(plan)
    outside = outside_of(options, plan)
    return look_through(programs, plan.backup.file, plan.tenant.schema, outside, limits)


@dataclass(slots=True)
class _Trial:
    """How far a restore has come: its transaction, and whether the COMMIT was sent."""

    xid: str | None = None
    is_ending: bool = False


@dataclass(frozen=True, slots=True)
class _Way:
    """How a backup is poured: the role of the tenant's code, and what the wall has seen."""

    options: SessionOptions
    role: str | None
    facts: DumpFacts
    bind: str
    before: Mark | None


def _carry_out(
    session: RestoreSession,
    statements: RestoreStatements,
    plan: RestorePlan,
    trial: _Trial,
    pour: Callable[[], None],
) -> None:
    """Run the transaction, and end it if nobody else has."""
    session.run("BEGIN")
    take_over(session, statements, plan.tenant, statements.patience_s)
    trial.xid = session.ask(CURRENT)
    pour()
    if (session.ask(CURRENT), session.ask(USERS)) != (trial.xid, True):
        raise ClientProgramError("the backup left its transaction or its role")
    register(session, statements, plan)
    trial.is_ending = True
    session.commit()


def _refuse_other_schema(plan: RestorePlan) -> None:
    if plan.tenant.schema != plan.backup.schema:
        raise RestoreError(
            f'{plan.backup.file} holds the schema "{plan.backup.schema}", but the schema of '
            f'"{plan.tenant.name}" is "{plan.tenant.schema}"; nothing was touched.'
        )


def _refuse_registered(connection: psycopg.Connection, plan: RestorePlan) -> None:
    if plan.registry is None:
        return
    statement = sql.SQL(
        "SELECT name, schema FROM {}.tenant WHERE (name = %s OR schema = %s)"
        " AND NOT (name = %s AND schema = %s)"
    ).format(sql.Identifier(plan.registry))
    key = [plan.tenant.name, plan.tenant.schema]
    for name, schema in connection.execute(statement, key * 2):
        raise TenantExistsError(
            f'The registry has a tenant "{name}" with the schema "{schema}", so '
            f'"{plan.tenant.name}" cannot be restored into "{plan.tenant.schema}"; nothing '
            "was touched."
        )


def _pour(
    session: RestoreSession, programs: ClientPrograms, plan: RestorePlan, limits: Limits, way: _Way
) -> None:
    """Run all that the backup holds. It is looked at again: the file may be another one by now."""
    schema = plan.tenant.schema
    wall = Wall(schema, outside_of(way.options, plan))
    pouring = Pouring(
        session,
        schema,
        way.role,
        way.bind,
        has_code=way.facts.has_code,
        is_named=plan.role is not None,
    )
    pouring.begin()
    with script_of(programs, plan.backup.file, limits, session) as script:
        for statement in script:
            pouring.pour(statement, wall.look(statement))
    if wall.targets.facts != way.facts:
        raise BackupFileError("the backup file changed while it was being read")
    pouring.end()


def _failed(
    options: SessionOptions, plan: RestorePlan, before: Mark | None, error: Exception
) -> str:
    """Say that a restore failed, and how the tenant was found afterwards."""
    tenant = plan.tenant
    reason = error.message if isinstance(error, TenantmigError) else str(error)
    reason = options.url.redact(reason)
    try:
        after = survive_restart(lambda: _found(options, tenant.schema))
    except (TenantmigError, psycopg.Error):
        return (
            f'The tenant "{tenant.name}" was not restored. Its schema could not be read '
            f"afterwards: {reason}"
        )
    if after == before:
        return f'The tenant "{tenant.name}" was not restored and is as it was: {reason}'
    return (
        f'The tenant "{tenant.name}" was not restored, but its schema is not as it was '
        "before: somebody else changed it in the meantime. Check it before you run again: "
        f"{reason}"
    )


def _found(options: SessionOptions, schema: str) -> Mark | None:
    with closing(connect(options)) as connection:
        return read_mark(connection, schema)


def _is_committed(options: SessionOptions, tenant: Tenant, xid: str) -> bool:
    """Find out whether a transaction whose end was not seen is committed, waiting for its end.

    Raises:
        RestoreInDoubtError: the server does not say.
    """
    try:
        status = survive_restart(lambda: _settled_status(options, xid))
    except (TenantmigError, psycopg.Error) as error:
        raise RestoreInDoubtError(
            f'It is not known whether "{tenant.name}" was restored: the connection was lost '
            "during the COMMIT. It is either unchanged or restored. Check it before you run "
            "again."
        ) from error
    return status == "committed"


def _settled_status(options: SessionOptions, xid: str) -> str:
    deadline = time.monotonic() + SETTLING_S
    with closing(connect(options)) as connection:
        while True:
            row = connection.execute("SELECT pg_xact_status(%s::xid8)", [xid]).fetchone()
            status = row[0] if row else None
            if status in {"committed", "aborted"}:
                return str(status)
            if time.monotonic() >= deadline:
                raise RestoreInDoubtError
            time.sleep(POLL_S)

"""Restore: one tenant brought back from a backup file, in one transaction of one psql session.

psql reads its script from this process, which sends COMMIT only when pg_restore has come to a good
end and every statement has been carried out. So `--single-transaction` is not used: psql commits
when its input ends, also when it ends because its writer was killed.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import threading
import time
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass

import psycopg
from psycopg import sql
from psycopg.types.json import Jsonb

from tenantmig.backup_file import FORMAT, BackupFacts
from tenantmig.client_programs import POLL_S, ClientPrograms, Connecting, Limits
from tenantmig.connection import SessionOptions, binding, connect, salt_of
from tenantmig.errors import (
    ClientProgramError,
    DependentObjectsError,
    RestoreError,
    RestoreInDoubtError,
    TenantExistsError,
    TenantLockedError,
    TenantmigError,
)
from tenantmig.psql_session import PsqlSession, psql_session
from tenantmig.retry import survive_restart
from tenantmig.session import TENANT_LOCK
from tenantmig.sql import query
from tenantmig.tenant import UNFINISHED, Tenant, TenantState

# pg_restore switches every limit of the session off (and knows some that an older server lacks)
SWITCHED_OFF = re.compile(rb"SET \w+_timeout = 0;\s*")
FIRST_OBJECT = (b"-- Name: ", b"-- Data for Name: ")
SETTLING_S = 60.0


@dataclass(frozen=True, slots=True)
class RestorePlan:
    """One restore. `registry` is the ledger's schema, None where another source lists tenants.

    `extra_sql` runs at the end of the transaction, in the tenant schema: the journal's statements,
    with their parameters filled in (`rendered`). Whatever it raises undoes the restore.
    """

    tenant: Tenant
    backup: BackupFacts
    registry: str | None
    extra_sql: sql.Composable
    deadline_s: float
    application_name: str = "tenantmig restore"


def rendered(
    connection: psycopg.Connection,
    statement: sql.SQL | sql.Composed,
    parameters: Mapping[str, object],
) -> sql.Composable:
    """Fill the parameters of a statement in, as literals."""
    text = psycopg.ClientCursor(connection).mogrify(statement, parameters)
    return sql.SQL(text)


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
        RestoreError: it failed or was stopped; the tenant is as it was.
        RestoreInDoubtError: it cannot be found out whether its COMMIT arrived.
        TenantLockedError: another session is migrating the tenant.
        DependentObjectsError: objects outside the tenant schema would be dropped or cut.
        TenantExistsError: the name or the schema is registered for another tenant.
    """
    _refuse_other_schema(plan)
    limits = Limits.within(plan.deadline_s, stop)
    with closing(connect(options)) as connection:
        _refuse_registered(connection, plan)
        statements = _Statements(connection, options, plan)
    connecting = Connecting(options.url, plan.application_name, options.connect_timeout_s)
    xid = None
    try:
        with psql_session(programs, connecting, limits) as session:
            session.send("BEGIN;\n")
            _take_over(session, statements, plan.tenant, options.tenant_lock_timeout_s)
            _pour(session, programs, plan.backup, limits)
            _register(session, statements, plan)
            xid = session.ask("SELECT pg_current_xact_id()")
            session.send("COMMIT;\n")
            session.finish()
    except (ClientProgramError, OSError) as error:
        reason = error.message if isinstance(error, TenantmigError) else str(error)
        if xid is None or not _is_committed(options, plan.tenant, xid):
            raise RestoreError(
                f'The tenant "{plan.tenant.name}" was not restored and is as it was: {reason}'
            ) from error


class _Statements:
    """The statements of one restore, as text."""

    def __init__(
        self, connection: psycopg.Connection, options: SessionOptions, plan: RestorePlan
    ) -> None:
        def text(statement: sql.SQL | sql.Composed, **parameters: object) -> str:
            return rendered(connection, statement, parameters).as_string(connection)

        tenant, name = plan.tenant, plan.application_name
        schema = sql.Identifier(tenant.schema)
        bind = query("bind_session")
        outside = query("outside_dependents")
        lock = sql.SQL(f"SELECT pg_try_advisory_xact_lock({TENANT_LOCK})")
        count = sql.SQL("SELECT to_json(ARRAY({}))").format(outside)
        self.bind = text(bind, **binding(options, (), name))
        self.lock = text(lock, schema=tenant.schema, salt=salt_of(connection))
        self.dependents = text(count, schema=tenant.schema)
        self.drop = text(sql.SQL("DROP SCHEMA IF EXISTS {} CASCADE").format(schema))
        self.bind_tenant = text(bind, **binding(options, (tenant.schema,), name))
        self.extra = plan.extra_sql.as_string(connection)
        state = TenantState.ACTIVE if tenant.state in UNFINISHED else tenant.state
        self.register = plan.registry and text(
            query("register_restored", plan.registry),
            name=tenant.name,
            schema=tenant.schema,
            state=state.value,
            labels=Jsonb(dict(tenant.labels)),
        )


def _refuse_other_schema(plan: RestorePlan) -> None:
    if plan.tenant.schema != plan.backup.schema:
        raise RestoreError(
            f'{plan.backup.file} holds the schema "{plan.backup.schema}", and the schema of'
            f' "{plan.tenant.name}" is "{plan.tenant.schema}"; nothing was touched.'
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
            f'The registry has a tenant "{name}" with the schema "{schema}", so'
            f' "{plan.tenant.name}" cannot be restored into "{plan.tenant.schema}";'
            " nothing was touched."
        )


def _take_over(
    session: PsqlSession, statements: _Statements, tenant: Tenant, patience_s: float
) -> None:
    """Lock the tenant, and drop what there is of it."""
    session.send(f"{statements.bind};\n")
    deadline = time.monotonic() + patience_s
    while session.ask(statements.lock) != "t":  # never by blocking
        if time.monotonic() >= deadline:
            raise TenantLockedError(
                f'Another session is migrating the tenant schema "{tenant.schema}";'
                " run again when it has ended. Nothing was touched."
            )
        time.sleep(POLL_S)
    objects = json.loads(session.ask(statements.dependents))
    if objects:
        raise DependentObjectsError(
            f'Objects outside the tenant schema "{tenant.schema}" depend on it:'
            f" {'; '.join(objects)}. Drop or move them first; nothing was dropped."
        )
    session.send(f"{statements.drop};\n")


def _pour(
    session: PsqlSession, programs: ClientPrograms, backup: BackupFacts, limits: Limits
) -> None:
    """Send all that the backup holds from pg_restore to psql, through a buffer of fixed size."""
    file = str(backup.file.absolute())
    with (
        programs.start("pg_restore", FORMAT, "-f", "-", file, stdout=subprocess.PIPE) as source,
        session.watching(source),
    ):
        script = source.process.stdout
        assert script is not None
        with session.explained():
            for line in script:
                if not SWITCHED_OFF.fullmatch(line):
                    session.input.write(line)
                if line.startswith(FIRST_OBJECT):
                    break
            shutil.copyfileobj(script, session.input, 1 << 16)
        source.finish(limits)


def _register(session: PsqlSession, statements: _Statements, plan: RestorePlan) -> None:
    session.send("SET client_encoding = 'UTF8'; SET row_security = on;\n")
    session.send(f"{statements.bind_tenant};\n")
    if json.loads(session.ask("SELECT to_json(current_schema())")) != plan.tenant.schema:
        raise ClientProgramError(f'the backup made no schema "{plan.tenant.schema}"')
    if statements.register and session.ask(statements.register) != "1":
        raise ClientProgramError("the tenant was registered with another schema meanwhile")
    session.send(f"{statements.extra}\n;\n")


def _is_committed(options: SessionOptions, tenant: Tenant, xid: str) -> bool:
    """Find out whether a transaction whose end was not seen is committed, waiting for its end.

    Raises:
        RestoreInDoubtError: the server does not say.
    """
    try:
        status = survive_restart(lambda: _settled_status(options, xid))
    except (TenantmigError, psycopg.Error) as error:
        raise RestoreInDoubtError(
            f'It is not known whether "{tenant.name}" was restored: the connection was lost in the'
            " COMMIT; it is the old tenant or the restored one. Look at it before you run again."
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

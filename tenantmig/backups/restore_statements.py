"""The statements that a restore adds to those of the backup, and the plan they are written from."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass

import psycopg
from psycopg import sql
from psycopg.types.json import Jsonb

from tenantmig.backups.backup_file import BackupFacts
from tenantmig.backups.dump_targets import DumpFacts
from tenantmig.backups.restore_script import PATH
from tenantmig.backups.restore_session import RestoreSession
from tenantmig.backups.running_program import POLL_S
from tenantmig.domain.tenant import UNFINISHED, Tenant, TenantState
from tenantmig.errors import ClientProgramError, DependentObjectsError, TenantLockedError
from tenantmig.postgres.connection import SessionOptions, binding, salt_of
from tenantmig.postgres.lock_holder import name_holder
from tenantmig.postgres.sql import query
from tenantmig.postgres.tenant_lock import TENANT_LOCK


@dataclass(frozen=True, slots=True)
class RestorePlan:
    """One restore. `registry` is the ledger's schema, None where another source lists tenants.

    `extra_sql` runs at the end of the transaction, in the tenant schema: the journal's statements,
    with their parameters filled in (`rendered`). Whatever it raises undoes the restore.

    `outside` are schemas that the backup may use besides those for extensions, `role` is the one
    as which the tenant's code runs, and `is_proven` says that the file is known to be ours. `held`
    is what the file was seen to hold, if it was read already; a file that holds something else when
    it is restored is refused then.
    """

    tenant: Tenant
    backup: BackupFacts
    registry: str | None
    extra_sql: sql.Composable
    deadline_s: float
    application_name: str = "tenantmig restore"
    outside: tuple[str, ...] = ()
    role: str | None = None
    is_proven: bool = False
    held: DumpFacts | None = None


def rendered(
    connection: psycopg.Connection,
    statement: sql.SQL | sql.Composed,
    parameters: Mapping[str, object],
) -> sql.Composable:
    """Fill the parameters of a statement in, as literals."""
    given = parameters or None  # without any, psycopg leaves a % alone
    return sql.SQL(psycopg.ClientCursor(connection).mogrify(statement, given))


class RestoreStatements:
    """The statements of one restore, as text."""

    def __init__(
        self, connection: psycopg.Connection, options: SessionOptions, plan: RestorePlan
    ) -> None:
        def text(statement: sql.SQL | sql.Composed, **parameters: object) -> str:
            return rendered(connection, statement, parameters).as_string(connection)

        tenant, name = plan.tenant, plan.application_name
        schema = sql.Identifier(tenant.schema)
        bind = query("postgres/bind_session")
        outside = query("postgres/outside_dependents")
        lock = sql.SQL(f"SELECT pg_try_advisory_xact_lock({TENANT_LOCK})")
        count = sql.SQL("SELECT ARRAY({})").format(outside)
        self.bind = text(bind, **binding(options, (), name))
        self.lock = text(lock, schema=tenant.schema, salt=salt_of(connection))
        self.dependents = text(count, schema=tenant.schema)
        self.drop = text(sql.SQL("DROP SCHEMA IF EXISTS {} CASCADE").format(schema))
        self.bind_tenant = text(bind, **binding(options, (tenant.schema,), name))
        self.extra = plan.extra_sql.as_string(connection)
        self.patience_s = options.tenant_lock_timeout_s
        state = TenantState.ACTIVE if tenant.state in UNFINISHED else tenant.state
        self.register = plan.registry and text(
            query("backups/register_restored", plan.registry),
            name=tenant.name,
            schema=tenant.schema,
            state=state.value,
            labels=Jsonb(dict(tenant.labels)),
        )


def take_over(
    session: RestoreSession, statements: RestoreStatements, tenant: Tenant, patience_s: float
) -> None:
    """Lock the tenant, and drop what there is of it."""
    session.run(statements.bind)
    deadline = time.monotonic() + patience_s
    while not session.ask(statements.lock):  # never by blocking
        if time.monotonic() >= deadline:
            holder = name_holder(session.connection, f"tenantmig.tenant:{tenant.schema}")
            raise TenantLockedError(
                f'Another session is migrating the tenant schema "{tenant.schema}": '
                f"{holder}; run again when that session has ended. Nothing was touched."
            )
        time.sleep(POLL_S)
    objects = session.ask(statements.dependents)
    if objects:
        raise DependentObjectsError(
            f'Objects outside the tenant schema "{tenant.schema}" depend on it:'
            f" {'; '.join(objects)}. Drop or move them first; nothing was dropped."
        )
    session.run(statements.drop)


def register(session: RestoreSession, statements: RestoreStatements, plan: RestorePlan) -> None:
    """Write what the restore means for the registry and the journal; nothing of the tenant runs."""
    session.run(statements.bind)
    if statements.register and session.ask(statements.register) != 1:
        raise ClientProgramError("the tenant was registered with another schema in the meantime")
    session.run(statements.bind_tenant)
    if session.ask("SELECT pg_catalog.current_schema()") != plan.tenant.schema:
        raise ClientProgramError(f'the backup did not create the schema "{plan.tenant.schema}"')
    session.run_texts(statements.extra)
    session.run(PATH)

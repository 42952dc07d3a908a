"""Onboarding: who may be born, and what is left of one that was not. All or nothing per tenant."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from contextlib import suppress

import psycopg

from tenantmig.errors import PrivilegeError, TenantExistsError, TenantmigError
from tenantmig.registry import abandon_onboarding
from tenantmig.session import SessionOptions, TenantSession
from tenantmig.tenant import NameRules, Tenant, TenantState


def check_new_tenants(
    connection: psycopg.Connection,
    tenants: Sequence[Tenant],
    fleet: Sequence[Tenant],
    rules: NameRules,
) -> None:
    """Refuse the whole list before anything is touched if one of its tenants cannot be born.

    A tenant whose onboarding was cut off may be onboarded again; what it left is dropped then.

    Raises:
        TenantNameError: a name or schema that the rules refuse.
        TenantExistsError: a tenant or schema that exists, also in another case of letters.
        PrivilegeError: this role may not create schemas in the database.
    """
    for tenant in tenants:
        rules.check(tenant.name)
        rules.check(tenant.schema, "tenant schema")
    _refuse_twice(tenants)
    unfinished = {t.schema for t in fleet if t.state is TenantState.ONBOARDING}
    settled = [t for t in fleet if t.state is not TenantState.ONBOARDING]
    names = {t.name.casefold() for t in settled}
    schemas = {t.schema.casefold() for t in settled} | _existing(connection, tenants, unfinished)
    for tenant in tenants:
        if tenant.name.casefold() in names:
            raise TenantExistsError(
                f'The tenant "{tenant.name}" exists already; nothing was touched.'
            )
        if tenant.schema.casefold() in schemas:
            raise TenantExistsError(
                f'The schema "{tenant.schema}" exists already; nothing was touched.'
                " If it is a tenant's, list it in the source; else choose another with --schema."
            )
    _refuse_without_privilege(connection)


def _refuse_twice(tenants: Sequence[Tenant]) -> None:
    for what in ("name", "schema"):
        counted = Counter(getattr(tenant, what).casefold() for tenant in tenants)
        twice = [value for value, times in counted.items() if times > 1]
        if twice:
            raise TenantExistsError(f'The {what} "{twice[0]}" is given twice; nothing was touched.')


def _existing(
    connection: psycopg.Connection, tenants: Sequence[Tenant], unfinished: set[str]
) -> set[str]:
    rows = connection.execute(
        "SELECT nspname FROM pg_namespace WHERE nspname = ANY(%s)",
        [[tenant.schema for tenant in tenants if tenant.schema not in unfinished]],
    )
    return {schema.casefold() for (schema,) in rows}


def _refuse_without_privilege(connection: psycopg.Connection) -> None:
    row = connection.execute(
        "SELECT has_database_privilege(current_database(), 'CREATE'), current_user,"
        " current_database()"
    ).fetchone()
    if row and not row[0]:
        raise PrivilegeError(
            f'The role "{row[1]}" may not create schemas; nothing was touched.'
            f' Grant it: GRANT CREATE ON DATABASE "{row[2]}" TO "{row[1]}".'
        )


def undo_onboarding(options: SessionOptions, ledger: str, tenant: Tenant) -> None:
    """Leave nothing of a tenant whose onboarding failed: no schema, no registration.

    If the server cannot be reached now, the registry keeps it as `onboarding`; the next
    `onboard` of that name drops what is left first.
    """
    with suppress(TenantmigError, psycopg.Error):
        session = TenantSession(options)
        try:
            session.lock(tenant.schema)
            with session.outside_transaction() as connection:
                abandon_onboarding(connection, ledger, tenant)
        finally:
            session.close()

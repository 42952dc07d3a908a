"""The rows of an onboarding in the registry: as it begins, ends, or is given up.

Each is written in the transaction of its caller; nothing is run for the tenant here.
"""

from __future__ import annotations

import psycopg
from psycopg import sql

from tenantmig.domain.tenant import Tenant, TenantState
from tenantmig.ledger.journal import forget_parts
from tenantmig.postgres.tenant_extensions import DEFAULT_HOME
from tenantmig.postgres.tenant_schema import create_schema, drop_schema
from tenantmig.tenants.registry import add_tenant, remove_tenant, set_state


def begin_onboarding(
    connection: psycopg.Connection,
    ledger: str,
    tenant: Tenant,
    owner: str | None = None,
    home: str = DEFAULT_HOME,
) -> None:
    """Register a tenant as `onboarding` and create its schema, in one transaction.

    The schema belongs to `owner`, by default to the connected role.

    What an onboarding of this tenant left that was cut off is dropped first: the registry's own
    word `onboarding` says that no customer has seen it. Locks: the caller holds the tenant's lock.

    Raises:
        TenantExistsError: the tenant, or a schema of that name, exists.
    """
    with connection.transaction():
        abandon_onboarding(connection, ledger, tenant, home)
        born = Tenant(
            tenant.name, tenant.schema, state=TenantState.ONBOARDING, labels=tenant.labels
        )
        add_tenant(connection, ledger, born)
        create_schema(connection, tenant.schema, owner)


def end_onboarding(
    connection: psycopg.Connection, ledger: str, tenant: Tenant, *, keep: bool
) -> None:
    """Make an onboarded tenant active; or, where another source lists tenants, forget it here."""
    if keep:
        set_state(connection, ledger, [tenant.name], TenantState.ACTIVE)
    else:
        remove_tenant(connection, ledger, tenant.name)


def abandon_onboarding(
    connection: psycopg.Connection, ledger: str, tenant: Tenant, home: str = DEFAULT_HOME
) -> None:
    """Drop the schema and the registration of a tenant that is `onboarding`, and of no other.

    An extension that was made in it, and that something else uses by now, is moved to `home`.
    Idempotent: yes. Locks: the caller holds the tenant's lock.
    """
    statement = sql.SQL(
        "DELETE FROM {}.tenant WHERE name = %s AND schema = %s AND state = 'onboarding'"
    ).format(sql.Identifier(ledger))
    with connection.transaction():
        if connection.execute(statement, [tenant.name, tenant.schema]).rowcount == 1:
            drop_schema(connection, tenant.schema, home, is_half_born=True)
            forget_parts(connection, ledger, tenant.schema)

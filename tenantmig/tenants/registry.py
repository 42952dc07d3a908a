"""The registry: the table of tenants that tenantmig keeps. Owns its rows; knows no other source."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Final

import psycopg
from psycopg import sql
from psycopg.types.json import Jsonb

from tenantmig.domain.tenant import POOL, Tenant, TenantState
from tenantmig.errors import LedgerRowError, TenantExistsError
from tenantmig.ledger.ledger import Ledger
from tenantmig.ledger.rows import Row

NAMELESS: Final = "(without a name)"


def list_tenants(ledger: Ledger) -> list[Tenant]:
    """Return every tenant of the registry by name, whatever its state.

    One whose row cannot be used has a `problem`, and the others none. A schema that is being
    created for the pool is no tenant.
    """
    if not ledger.exists:
        return []
    found: dict[str, Tenant] = {}
    for row in ledger.query("tenants/list_tenants"):
        tenant = _read(row.facts, row.database)
        if tenant.schema.startswith(POOL):
            continue
        if tenant.name in found:
            why = (
                f"The registry has several rows for the tenant {tenant.name!r}. Keep one "
                "and delete the others."
            )
            tenant = replace(found[tenant.name], problem=why)
        found[tenant.name] = tenant
    schemas = Counter(tenant.schema for tenant in found.values())
    return [
        tenant
        if tenant.problem or schemas[tenant.schema] == 1
        else replace(tenant, problem=f"The registry lists its schema {tenant.schema!r} twice.")
        for tenant in found.values()
    ]


def _read(facts: str, database: str) -> Tenant:
    """Read a row; what cannot be used is a tenant's problem."""
    name, schema, database = NAMELESS, "", str(database)
    try:
        row = Row(facts, "A row of the registry")
        schema = row.optional_text("schema") or ""
        name = row.required("name")
        row.what = f"The row of {name!r} in the registry"
        labels = row.mapping("labels")
        return Tenant(
            name, row.required("schema"), database, row.one_of("state", TenantState), labels
        )
    except LedgerRowError as error:
        return Tenant(name, schema, database, problem=error.message)


def add_tenant(connection: psycopg.Connection, ledger: str, tenant: Tenant) -> None:
    """Register a tenant in the caller's transaction.

    Raises:
        TenantExistsError: the name or the schema is registered already.
    """
    statement = sql.SQL(
        "INSERT INTO {}.tenant (name, schema, state, labels) VALUES (%s, %s, %s, %s)"
        " ON CONFLICT DO NOTHING"
    ).format(sql.Identifier(ledger))
    values = [tenant.name, tenant.schema, tenant.state.value, Jsonb(dict(tenant.labels))]
    if connection.execute(statement, values).rowcount != 1:
        raise TenantExistsError(
            f'The tenant "{tenant.name}" (schema "{tenant.schema}") is registered already.'
        )


def remove_tenant(connection: psycopg.Connection, ledger: str, name: str) -> None:
    """Forget a tenant in the caller's transaction.

    Idempotent: yes.
    """
    statement = sql.SQL("DELETE FROM {}.tenant WHERE name = %s").format(sql.Identifier(ledger))
    connection.execute(statement, [name])


def set_state(
    connection: psycopg.Connection, ledger: str, names: Collection[str], state: TenantState
) -> None:
    """Move tenants to a state.

    Idempotent: yes.
    """
    statement = sql.SQL(
        "UPDATE {}.tenant SET state = %s, updated_at = clock_timestamp() WHERE name = ANY(%s)"
    ).format(sql.Identifier(ledger))
    connection.execute(statement, [state.value, list(names)])


def set_labels(
    connection: psycopg.Connection,
    ledger: str,
    names: Collection[str],
    labels: Mapping[str, str],
    removed: Sequence[str] = (),
) -> None:
    """Put labels on tenants, replacing those of the same key, and take the keys `removed` off.

    Idempotent: yes.
    """
    statement = sql.SQL(
        "UPDATE {}.tenant SET labels = (labels || %s) - %s::text[], updated_at = clock_timestamp()"
        " WHERE name = ANY(%s)"
    ).format(sql.Identifier(ledger))
    connection.execute(statement, [Jsonb(dict(labels)), list(removed), list(names)])

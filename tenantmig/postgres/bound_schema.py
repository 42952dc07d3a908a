"""The check that unqualified names of a connection mean a tenant's, with what a role lacks for it.

Knows one connection and the name of a schema.
"""

from __future__ import annotations

import psycopg

from tenantmig.errors import PrivilegeError, TenantSchemaMissingError, TenantSessionError
from tenantmig.postgres.connection import in_catalog
from tenantmig.postgres.rights import missing_grants, missing_membership


def assert_current(connection: psycopg.Connection, schema: str | None) -> None:
    """Make sure that the current schema is this one; outside a transaction.

    Raises:
        TenantSchemaMissingError: the schema does not exist.
        PrivilegeError: this role may not use it.
        TenantSessionError: the current schema is another one.
    """
    row = connection.execute(
        "SELECT CASE WHEN pg_catalog.has_schema_privilege(oid, 'USAGE')"
        " THEN pg_catalog.current_schema() END FROM pg_catalog.pg_namespace"
        " WHERE nspname OPERATOR(pg_catalog.=) %s::pg_catalog.text",
        [schema],
    ).fetchone()
    current = row[0] if row else None
    if current == schema:
        return
    if row and current is None:
        raise PrivilegeError(
            f'This role may not use the tenant schema "{schema}":'
            f" {_missing_grants(connection, schema or '')}"
        )
    if current is None:
        raise TenantSchemaMissingError(
            f'The tenant schema "{schema}" does not exist; onboard the tenant, or correct'
            " the schema in its source."
        )
    raise TenantSessionError(f'The session is in "{current}", not in "{schema}".')


def _missing_grants(connection: psycopg.Connection, schema: str) -> str:
    with in_catalog(connection):
        grants = missing_grants(connection, schema, {})
        owner = missing_membership(connection, schema)
    return f"to read it: {grants}{' to change it: ' if owner else ''}{owner}"

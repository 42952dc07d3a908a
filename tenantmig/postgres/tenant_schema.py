"""Creating and dropping a tenant schema: the statements that can lose data or mix tenants."""

from __future__ import annotations

from collections.abc import Sequence

import psycopg
from psycopg import sql

from tenantmig.errors import (
    DependentObjectsError,
    PrivilegeError,
    TenantExistsError,
    TenantNameError,
)
from tenantmig.postgres import rights
from tenantmig.postgres.sql import query
from tenantmig.postgres.tenant_extensions import DEFAULT_HOME, drop_unused, move_out


def schema_exists(connection: psycopg.Connection, schema: str) -> bool:
    """True when a schema of exactly this name exists."""
    found = connection.execute("SELECT FROM pg_namespace WHERE nspname = %s::text", [schema])
    return found.rowcount == 1


def create_schema(connection: psycopg.Connection, schema: str, owner: str | None = None) -> None:
    """Create a tenant schema in the caller's transaction and read its name back.

    It belongs to `owner`, by default to the connected role.

    Never IF NOT EXISTS: two names that PostgreSQL truncates to the same 63 bytes would become
    one schema and look like two successes.

    Raises:
        TenantExistsError: a schema of that name exists.
        PrivilegeError: this role may not create a schema.
        TenantNameError: PostgreSQL kept another name.
    """
    try:
        create = sql.SQL("CREATE SCHEMA {}").format(sql.Identifier(schema))
        if owner is not None:
            create += sql.SQL(" AUTHORIZATION {}").format(sql.Identifier(owner))
        connection.execute(create)
    except psycopg.errors.DuplicateSchema as error:
        raise TenantExistsError(f'The schema "{schema}" already exists.') from error
    except psycopg.errors.InsufficientPrivilege as error:
        raise PrivilegeError(
            f'The schema "{schema}" cannot be created: {error.diag.message_primary}.'
            " Grant CREATE on the database to this role:"
            f" {rights.grant_on_database(connection, 'CREATE')}"
        ) from error
    if not schema_exists(connection, schema):
        raise TenantNameError(f'PostgreSQL stored another name than "{schema}".')


def refuse_without_create(connection: psycopg.Connection) -> None:
    """Make sure that this role may create schemas.

    Raises:
        PrivilegeError: it may not; nothing was touched.
    """
    row = connection.execute(
        "SELECT has_database_privilege(current_database(), 'CREATE'), current_user,"
        " current_database()"
    ).fetchone()
    if row and not row[0]:
        raise PrivilegeError(
            f'The role "{row[1]}" may not create schemas; nothing was touched.'
            f" Grant it: {rights.database_grant(row[2], row[1], 'CREATE')}"
        )


def refuse_without_drop(connection: psycopg.Connection, schema: str) -> None:
    """Make sure that this role may drop a tenant schema, if there is one.

    Raises:
        PrivilegeError: it has not the privileges of the owner; nothing was touched.
    """
    row = connection.execute(query("postgres/missing_membership"), {"schema": schema}).fetchone()
    if row:
        statement, owner = row
        remedy = f"Grant it: {statement};" if statement else "Only a superuser may do it."
        raise PrivilegeError(
            f'The role {connection.info.user} may not drop the tenant schema "{schema}", '
            f'whose owner is "{owner}"; nothing was touched. {remedy}'
        )


def drop_schema(
    connection: psycopg.Connection,
    schema: str,
    home: str = DEFAULT_HOME,
    *,
    is_half_born: bool = False,
) -> None:
    """Drop a tenant schema and all it holds, in the caller's transaction.

    An extension that lies in it is moved to the schema `home`. If the tenant `is_half_born` (never
    active), it is dropped, unless something else uses it.

    Idempotent: yes; a schema that is not there is fine.
    Raises:
        DependentObjectsError: objects of other schemas would be dropped or cut with it, or an
            extension cannot be moved; nothing was dropped.
    """
    if not schema_exists(connection, schema):
        return
    with connection.transaction():
        moved, staying = move_out(connection, schema, home, is_half_born=is_half_born)
        _drop(connection, schema, [f"extension {name}" for name in staying])
        if is_half_born:
            drop_unused(connection, moved)


def _drop(connection: psycopg.Connection, schema: str, known: Sequence[str]) -> None:
    objects = [one for one in outside_dependents(connection, schema) if one not in known]
    if objects:
        raise DependentObjectsError(
            f'Objects outside the tenant schema "{schema}" depend on it: {"; ".join(objects)}.'
            " Drop or move them first; nothing was dropped."
        )
    connection.execute(sql.SQL("DROP SCHEMA {} CASCADE").format(sql.Identifier(schema)))


def outside_dependents(connection: psycopg.Connection, schema: str) -> list[str]:
    """Return up to 20 objects outside the schema that dropping it would take or cut."""
    return [
        row[0]
        for row in connection.execute(query("postgres/outside_dependents"), {"schema": schema})
    ]

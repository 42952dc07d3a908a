"""Extensions that a revision made in a tenant's schema: what becomes of them when it is dropped.

An extension belongs to the database: other tenants may have columns of its types. DROP SCHEMA with
CASCADE would take the extension, and those columns. So it is moved out of the schema first.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import psycopg
from psycopg import sql

from tenantmig.errors import DependentObjectsError
from tenantmig.postgres.sql import query

DEFAULT_HOME = "public"


class TenantExtension(NamedTuple):
    """An extension whose schema is a tenant's. `is_wider`: it has objects in other schemas too."""

    name: str
    is_movable: bool
    is_wider: bool


def home_of(extension_schemas: Sequence[str]) -> str:
    """Return the schema into which extensions are moved: the first of the setting, or `public`."""
    return extension_schemas[0] if extension_schemas else DEFAULT_HOME


def move_out(
    connection: psycopg.Connection, schema: str, home: str, *, is_half_born: bool
) -> tuple[Sequence[str], Sequence[str]]:
    """Move the extensions of a tenant schema to `home`, in the caller's transaction.

    Returns the names of those that were moved, and of those that cannot be moved and go with the
    schema if nothing else uses them. The latter only of a tenant that was never active
    (`is_half_born`): before its onboarding there was no such extension.

    Raises:
        DependentObjectsError: one must be kept and cannot be moved.
    """
    moved, staying = [], []
    for found in connection.execute(
        query("postgres/tenant_extensions"), {"schema": schema}
    ).fetchall():
        extension = TenantExtension(*found)
        problem = _move(connection, extension, home)
        if problem is None:
            moved.append(extension.name)
        elif is_half_born and not extension.is_wider:
            staying.append(extension.name)
        else:
            raise DependentObjectsError(
                f'The extension "{extension.name}" is in the tenant schema "{schema}". '
                f'Other tenants may use it, and it cannot be moved to "{home}" ({problem}). '
                "Move it with ALTER EXTENSION ... SET SCHEMA, or drop it. Nothing was "
                "dropped."
            )
    return moved, staying


def _move(connection: psycopg.Connection, extension: TenantExtension, home: str) -> str | None:
    """Move an extension, or say why that is not possible."""
    if not extension.is_movable:
        return "it is not relocatable"
    move = sql.SQL("ALTER EXTENSION {} SET SCHEMA {}").format(
        sql.Identifier(extension.name), sql.Identifier(home)
    )
    try:
        with connection.transaction():
            connection.execute(move)
    except psycopg.errors.LockNotAvailable:
        raise
    except psycopg.Error as error:
        if error.sqlstate is None:
            raise
        return str(error.diag.message_primary)
    return None


def drop_unused(connection: psycopg.Connection, names: Sequence[str]) -> None:
    """Drop extensions, but for those that something still uses (never with CASCADE)."""
    for name in reversed(names):
        drop = sql.SQL("DROP EXTENSION {} RESTRICT").format(sql.Identifier(name))
        try:
            with connection.transaction():
                connection.execute(drop)
        except psycopg.errors.DependentObjectsStillExist:
            continue  # a column of another tenant, or another extension

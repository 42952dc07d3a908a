"""Writing the version table of one tenant schema, where nothing there can run as the migrator."""

from __future__ import annotations

from collections.abc import Collection

import psycopg
from psycopg import sql

from tenantmig.errors import VersionTableError
from tenantmig.postgres.connection import in_catalog, trusts, version_length
from tenantmig.postgres.sql import quoted
from tenantmig.postgres.version_rows import read_facts


def write_version(
    connection: psycopg.Connection, schema: str, version_table: str, heads: Collection[str]
) -> None:
    """Make the version table say `heads`, in the caller's transaction; create it if it is missing.

    The table is the one Alembic makes, its column as wide as the setting `version_length` says.

    Raises:
        VersionTableError: something else is in its place, or would run as the migrator.
    """
    table = sql.Identifier(schema, version_table)
    if not refuse_danger(connection, schema, version_table):  # IF NOT EXISTS asks for CREATE
        connection.execute(
            sql.SQL(
                "CREATE TABLE IF NOT EXISTS {} (version_num varchar({}) NOT NULL,"
                " CONSTRAINT {} PRIMARY KEY (version_num))"
            ).format(
                table,
                sql.Literal(version_length(connection)),
                sql.Identifier(f"{version_table}_pkc"),
            )
        )
    connection.execute(sql.SQL("DELETE FROM {}").format(table))
    for revision in heads:
        insert = sql.SQL("INSERT INTO {} VALUES (%s)").format(quoted(schema, version_table))
        connection.execute(insert, [revision])


def refuse_danger(connection: psycopg.Connection, schema: str, version_table: str) -> bool:
    """Make sure that nothing in a tenant schema can run as the migrator where versions are kept.

    Returns whether there is a version table.

    Raises:
        VersionTableError: something can, and the schema is not among `trusted_schemas`.
    """
    with in_catalog(connection):
        facts = read_facts(connection, [schema], version_table).get(schema)
    danger = facts.danger(schema, version_table) if facts else None
    if danger and not trusts(connection, schema):
        raise VersionTableError(danger)
    return facts is not None and facts.has_version_table

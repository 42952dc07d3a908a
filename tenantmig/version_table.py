"""The version table of each tenant schema: read for a whole fleet in chunks, written by a stamp.

One `UNION ALL` over 17,000 schemas has taken a production database down (onyx 8679), so the fleet
is read a few hundred schemas at a time. Knows rows, not what revisions mean.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import psycopg
from psycopg import sql

from tenantmig.plan import Heads
from tenantmig.sql import query

CHUNK = 400  # version tables read by one statement
FACTS_CHUNK = 2000  # schemas looked up in the catalogs by one statement
MISSING_SCHEMA = "the tenant schema does not exist"
EMPTY = (
    "the version table is empty though the schema holds tables; say where it stands with"
    " `tenantmig stamp REV -t NAME`, or, if its tables are older than the history, run the"
    " first revision with `alembic -x tenant=NAME upgrade REV`"
)


@dataclass(frozen=True, slots=True)
class Version:
    """The rows of one version table; `problem` says why they cannot be trusted, if so."""

    heads: Heads = ()
    problem: str | None = None

    @property
    def is_schema_missing(self) -> bool:
        """True when there is no such tenant schema."""
        return self.problem == MISSING_SCHEMA


class _Facts(NamedTuple):
    has_version_table: bool
    has_version_column: bool


def read_versions(
    connection: psycopg.Connection, schemas: Sequence[str], version_table: str
) -> dict[str, Version]:
    """Return the version of each schema, in a statement for every few hundred schemas.

    A few more look at the catalogs, and where version tables are empty.

    A schema without a version table, or with an empty one beside other tables, has a problem:
    Alembic would run its history from base there.
    """
    versions: dict[str, Version] = {}
    for many in _chunks(schemas, FACTS_CHUNK):
        facts = _read_facts(connection, many, version_table)
        for chunk in _chunks(many, CHUNK):
            try:
                versions |= _read_chunk(connection, chunk, facts, version_table)
            except psycopg.Error:  # one of them: dropped meanwhile, or not ours to read
                if connection.broken:
                    raise
                for schema in chunk:
                    versions[schema] = _read_one(connection, schema, version_table)
    return versions


def _read_one(connection: psycopg.Connection, schema: str, version_table: str) -> Version:
    try:
        facts = _read_facts(connection, [schema], version_table)
        return _read_chunk(connection, [schema], facts, version_table)[schema]
    except psycopg.Error as error:
        if connection.broken:
            raise
        reason = error.diag.message_primary
        return Version(problem=f"the version table cannot be read: {reason}")


def _chunks(schemas: Sequence[str], size: int) -> Iterator[Sequence[str]]:
    for start in range(0, len(schemas), size):
        yield schemas[start : start + size]


def _read_facts(
    connection: psycopg.Connection, schemas: Sequence[str], version_table: str
) -> dict[str, _Facts]:
    parameters = {"schemas": list(schemas), "version_table": version_table}
    rows = connection.execute(query("version_tables"), parameters)
    return {schema: _Facts(*facts) for schema, *facts in rows}


def _read_chunk(
    connection: psycopg.Connection,
    schemas: Sequence[str],
    found: Mapping[str, _Facts],
    version_table: str,
) -> dict[str, Version]:
    readable = [s for s in schemas if s in found and found[s].has_version_column]
    rows = _read_rows(connection, readable, version_table)
    empty = [schema for schema in readable if schema not in rows]
    full = _with_tables(connection, empty, version_table)
    versions = {}
    for schema in schemas:
        heads = tuple(sorted(rows.get(schema, ())))
        problem = EMPTY if schema in full else _problem(found.get(schema), version_table)
        versions[schema] = Version(heads, problem)
    return versions


def _with_tables(
    connection: psycopg.Connection, schemas: Sequence[str], version_table: str
) -> set[str]:
    """Return those of the schemas that hold tables beside the version table."""
    if not schemas:
        return set()
    facts = {"schemas": list(schemas), "version_table": version_table}
    return {schema for (schema,) in connection.execute(query("schemas_with_tables"), facts)}


def _read_rows(
    connection: psycopg.Connection, schemas: Sequence[str], version_table: str
) -> dict[str, list[str]]:
    if not schemas:
        return {}
    one = sql.SQL("SELECT {}, version_num::text FROM {}")
    statement = sql.SQL(" UNION ALL ").join(
        one.format(sql.Literal(index), sql.Identifier(schema, version_table))
        for index, schema in enumerate(schemas)
    )
    rows: dict[str, list[str]] = {}
    for index, revision in connection.execute(statement):
        rows.setdefault(schemas[index], []).append(revision)
    return rows


def _problem(facts: _Facts | None, version_table: str) -> str | None:
    if facts is None:
        return MISSING_SCHEMA
    if not facts.has_version_table:
        return (
            f"the schema has no version table ({version_table}); if its tables stand at a"
            " revision, say so with `tenantmig stamp REV -t NAME`"
        )
    if not facts.has_version_column:
        return f"the table {version_table} has no column version_num: it is not Alembic's"
    return None


def write_version(
    connection: psycopg.Connection, schema: str, version_table: str, heads: Collection[str]
) -> None:
    """Make the version table say `heads`, in the caller's transaction; create it if it is missing.

    The table is the one Alembic makes (alembic.runtime.migration, `version_num VARCHAR(32)`).
    """
    table = sql.Identifier(schema, version_table)
    connection.execute(
        sql.SQL(
            "CREATE TABLE IF NOT EXISTS {} (version_num varchar(32) NOT NULL,"
            " CONSTRAINT {} PRIMARY KEY (version_num))"
        ).format(table, sql.Identifier(f"{version_table}_pkc"))
    )
    connection.execute(sql.SQL("DELETE FROM {}").format(table))
    for revision in heads:
        connection.execute(sql.SQL("INSERT INTO {} VALUES (%s)").format(table), [revision])

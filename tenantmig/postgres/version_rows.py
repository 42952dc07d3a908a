"""The rows of version tables, read for one chunk of schemas in few statements. Changes nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import psycopg
from psycopg import sql

from tenantmig.domain.plan import Heads
from tenantmig.postgres.connection import trusts
from tenantmig.postgres.sql import query
from tenantmig.postgres.version import ADOPT, MISSING_SCHEMA, REMEDY, Version

SHOWN = 3
LONGEST = 1000  # characters of what may be a revision
EMPTY = (
    "the version table is empty, but the schema has tables. Set its revision with "
    "`tenantmig stamp REV -t NAME`. If its tables are older than the history, run the first "
    f"revision with `alembic -x tenant=NAME upgrade REV`{ADOPT}"
)


class _Facts(NamedTuple):
    has_version_table: bool
    has_version_column: bool
    shadows: list[str]
    oddities: list[str]

    def danger(self, schema: str, version_table: str) -> str | None:
        """Say what is there that may run as the migrator, and what to do."""
        found = [
            *(f"{thing} has a name that belongs to PostgreSQL" for thing in sorted(self.shadows)),
            *(f"{version_table}: {oddity}" for oddity in self.oddities),
        ]
        if not found:
            return None
        more = f" and {len(found) - SHOWN} more" if len(found) > SHOWN else ""
        return (
            "the tenant schema could run code as the migrator, so nothing was run or read "
            f"there: {'; '.join(found[:SHOWN])}{more}. Drop what should not be there. If it "
            f'is intended, add "{schema}" to `trusted_schemas`'
        )


def read_facts(
    connection: psycopg.Connection, schemas: Sequence[str], version_table: str
) -> dict[str, _Facts]:
    """Return what the catalogs say of each schema that is there, before anything is read there."""
    parameters = {"schemas": list(schemas), "version_table": version_table}
    rows = connection.execute(query("postgres/version_tables"), parameters)
    return {schema: _Facts(*facts) for schema, *facts in rows}


def read_chunk(
    connection: psycopg.Connection,
    schemas: Sequence[str],
    found: Mapping[str, _Facts],
    version_table: str,
) -> dict[str, Version]:
    """Return the version of each schema of a chunk, whose facts were found before."""
    dangers = {
        schema: found[schema].danger(schema, version_table)
        for schema in schemas
        if schema in found and not trusts(connection, schema)
    }
    readable = [
        s for s in schemas if s in found and found[s].has_version_column and not dangers.get(s)
    ]
    rows = _read_rows(connection, readable, version_table)
    empty = [schema for schema in readable if schema not in rows]
    full = _with_tables(connection, empty, version_table)
    versions = {}
    for schema in schemas:
        heads, wrong = _heads(rows.get(schema, ()))
        facts = found.get(schema)
        danger = dangers.get(schema)
        found_wrong = EMPTY if schema in full else wrong or _problem(facts, version_table)
        problem = danger or found_wrong
        is_bare = facts is not None and not facts.has_version_table
        is_unstamped = not danger and (is_bare or schema in full)
        versions[schema] = Version(heads, problem, is_unstamped, is_unsafe=danger is not None)
    return versions


def _heads(rows: Sequence[str | None]) -> tuple[Heads, str | None]:
    """Return the revisions that the rows of a version table name, and what is wrong with them."""
    heads = tuple(sorted({row for row in rows if row and len(row) <= LONGEST}))
    if len(heads) == len(rows):
        return heads, None
    if None in rows:
        found = "NULL"
    elif "" in rows:
        found = "an empty string"
    else:
        is_long = any(row and len(row) > LONGEST for row in rows)
        found = "a text that is too long for a revision" if is_long else "the same revision twice"
    return heads, f"the version table contains {found}; {REMEDY}"


def _with_tables(
    connection: psycopg.Connection, schemas: Sequence[str], version_table: str
) -> set[str]:
    """Return those of the schemas that hold tables beside the version table."""
    if not schemas:
        return set()
    facts = {"schemas": list(schemas), "version_table": version_table}
    return {
        schema for (schema,) in connection.execute(query("postgres/schemas_with_tables"), facts)
    }


def _read_rows(
    connection: psycopg.Connection, schemas: Sequence[str], version_table: str
) -> dict[str, list[str | None]]:
    if not schemas:
        return {}
    one = sql.SQL("SELECT {}, version_num::pg_catalog.text FROM {}")
    statement = sql.SQL(" UNION ALL ").join(
        one.format(sql.Literal(index), sql.Identifier(schema, version_table))
        for index, schema in enumerate(schemas)
    )
    rows: dict[str, list[str | None]] = {}
    for index, revision in connection.execute(statement):
        rows.setdefault(schemas[index], []).append(revision)
    return rows


def _problem(facts: _Facts | None, version_table: str) -> str | None:
    if facts is None:
        return MISSING_SCHEMA
    if not facts.has_version_table:
        return (
            f"the schema has no version table ({version_table}); if its tables are at a "
            f"revision, set it with `tenantmig stamp REV -t NAME`{ADOPT}"
        )
    if not facts.has_version_column:
        return (
            f"the table {version_table} has no column version_num: it is not Alembic's "
            "version table"
        )
    return None

"""The proof of a pool's member: what in a finished schema depends on its name. Changes nothing.

A schema may be renamed if nothing in it spells its name in text: no object, no comment, no row. And
two members, whose names are random, must be the same in all else, so that no value was made from a
name. Only a column whose default takes its value from a clock or at random may differ.
"""

from __future__ import annotations

from collections.abc import Mapping

import psycopg
from psycopg import sql

from tenantmig.catalog.catalog import Catalog, CatalogObject
from tenantmig.drift.reference import Reference
from tenantmig.postgres.connection import in_catalog
from tenantmig.postgres.sql import query

CHANCE = (
    r"^\(*(pg_catalog\.)?(now\(\)|clock_timestamp\(\)|statement_timestamp\(\)"
    r"|transaction_timestamp\(\)|current_timestamp|localtimestamp|current_date|current_time"
    r"|localtime|gen_random_uuid\(\)|uuidv4\(\)|uuidv7\(\)|([a-z_]+\.)?uuid_generate_v4\(\))"
)
"""How a column's default begins that takes its value from a clock or at random."""
ROWS = """
    SELECT count(*)::text || ' '
           || coalesce(md5(string_agg(said, E'\\n' ORDER BY said COLLATE "C")), ''),
           coalesce(bool_or(strpos(lower(whole), {}) > 0), false)
      FROM (SELECT ROW({})::text AS whole, ROW({})::text AS said FROM ONLY {}) AS line
"""
RENDERED = frozenset({"function", "procedure", "statistics"})
"""The kinds of objects whose definition begins with their own name and its schema."""
Rows = Mapping[str, str]


def spelled_in_catalog(reference: Reference) -> str | None:
    """Name an object in which the history spells the schema's own name, or None.

    Where PostgreSQL puts the schema before a name that it renders, nothing is spelled: a rename
    changes that too.
    """
    for one in reference.catalog.values():
        if reference.scratch in one.state or reference.scratch in _stored(one, reference.scratch):
            return " ".join(filter(None, (one.kind, one.part_of, one.name)))
    return None


def _stored(one: CatalogObject, schema: str) -> str:
    """Return what is stored of an object: its definition without the schema before its own name."""
    if one.kind in RENDERED:
        return one.definition.replace(f" {schema}.", " ", 1)
    return one.definition


def spelled_in_texts(connection: psycopg.Connection, schema: str) -> str | None:
    """Name a comment or label that holds the schema's own name, or None."""
    with in_catalog(connection):
        row = connection.execute(query("drift/pool_texts"), {"schema": schema}).fetchone()
    return None if row is None else str(row[0])


def read_rows(connection: psycopg.Connection, schema: str) -> tuple[Rows, str | None]:
    """Return a hash for the rows of each table, and a table with a row that holds the name."""
    with in_catalog(connection):
        facts = {"schema": schema, "chance": CHANCE}
        tables = connection.execute(query("drift/pool_rows"), facts).fetchall()
        rows: dict[str, str] = {}
        spelling = None
        for table, columns, sure in tables:
            text = sql.SQL(ROWS).format(
                schema, _columns(columns), _columns(sure or []), sql.Identifier(schema, table)
            )
            row = connection.execute(text).fetchone()
            assert row is not None
            rows[table] = row[0]
            spelling = table if row[1] else spelling
    return rows, spelling


def _columns(names: list[str]) -> sql.Composed:
    return sql.SQL(", ").join(map(sql.Identifier, names))


def unlike_rows(one: Rows, other: Mapping[str, object]) -> str | None:
    """Name a table whose rows differ between two members, or None."""
    return next((t for t in sorted({*one, *other}) if one.get(t) != other.get(t)), None)


def differing(one: Catalog, other: Catalog) -> str | None:
    """Name an object that is not the same in two catalogs, or None."""
    keys = sorted({*one, *other})
    key = next((key for key in keys if one.get(key) != other.get(key)), None)
    return None if key is None else " ".join(filter(None, key))

"""Likeness: what two schemas of one history have in common, in catalog and rows, whatever they are
called. Knows no engine and changes nothing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import psycopg
from psycopg import sql
from psycopg.rows import tuple_row

from tenantmig.catalog.catalog import Catalog, CatalogReader
from tenantmig.domain.plan import Heads, show_heads
from tenantmig.drift.drift import Change, differences_between, told
from tenantmig.drift.reference import Reference

ANY_NAME = "{schema}"  # stands for the schema's own name in a value
SHOWN = 3  # rows of a table that are named
VERBS = {Change.MISSING: "is missing", Change.EXTRA: "is extra", Change.DIFFERS: "differs"}
TABLES = """
    SELECT c.relname::text, array_agg(a.attname::text ORDER BY a.attname)
    FROM pg_class AS c JOIN pg_attribute AS a ON a.attrelid = c.oid
    WHERE c.relnamespace = (SELECT oid FROM pg_namespace WHERE nspname = %s)
      AND c.relkind IN ('r', 'm') AND a.attnum > 0 AND NOT a.attisdropped
    GROUP BY c.relname ORDER BY c.relname
"""
Row = tuple[str | None, ...]


@dataclass(frozen=True)
class Look:
    """A schema at one moment; of each table the columns, by name, and the rows as text."""

    schema: str
    heads: Heads
    catalog: Catalog
    tables: Mapping[str, tuple[Sequence[str], Sequence[Row]]]

    def values(self, table: str, column: str) -> Counter[str | None]:
        """What stands in a column, in any order."""
        columns, rows = self.tables[table]
        position = list(columns).index(column)
        return Counter(row[position] for row in rows)

    def rows(self, table: str, columns: Sequence[str]) -> Counter[Row]:
        """The rows of some columns, in any order."""
        mine, rows = self.tables[table]
        positions = [list(mine).index(column) for column in columns]
        return Counter(tuple(row[p] for p in positions) for row in rows)


def look(
    connection: psycopg.Connection, reader: CatalogReader, schema: str, heads: Heads, without: str
) -> Look:
    """Look at a schema, without the table `without` (the version table)."""
    found = connection.execute(TABLES, [schema]).fetchall()
    tables = {
        name: (columns, list(_rows(connection, schema, name, columns)))
        for name, columns in found
        if name != without
    }
    return Look(schema, heads, reader.catalog(schema), tables)


def _rows(
    connection: psycopg.Connection, schema: str, table: str, columns: Sequence[str]
) -> Iterator[Row]:
    texts = sql.SQL(", ").join(sql.SQL("{}::text").format(sql.Identifier(c)) for c in columns)
    query = sql.SQL("SELECT {} FROM ONLY {}").format(texts, sql.Identifier(schema, table))
    with connection.cursor(row_factory=tuple_row) as cursor:
        for row in cursor.execute(query):
            yield tuple(value and value.replace(schema, ANY_NAME) for value in row)


@dataclass(frozen=True)
class Chance:
    """What differs between schemas that nothing but chance, the clock or their names set apart."""

    objects: frozenset[str] = frozenset()
    tables: frozenset[str] = frozenset()
    columns: frozenset[tuple[str, str]] = frozenset()

    @property
    def names(self) -> tuple[str, ...]:
        """All of it, for people."""
        columns = {f"{table}.{column}" for table, column in self.columns}
        tables = {f"the rows of {table}" for table in self.tables}
        return tuple(sorted(self.objects | tables | columns))


def find_chance(first: Look, others: Sequence[Look]) -> Chance:
    """Return how schemas differ that were made in the same way."""
    objects: set[str] = set()
    tables: set[str] = set()
    columns: set[tuple[str, str]] = set()
    for other in others:
        objects.update(_unlike_objects(first, other))
        for table in first.tables.keys() & other.tables.keys():
            both = first.tables[table], other.tables[table]
            if both[0][0] != both[1][0]:
                continue  # the catalogs differ
            if len(both[0][1]) != len(both[1][1]):
                tables.add(table)
            for column in both[0][0]:
                if first.values(table, column) != other.values(table, column):
                    columns.add((table, column))
    return Chance(frozenset(objects), frozenset(tables), frozenset(columns))


def unlike(right: Look, found: Look, chance: Chance) -> Iterator[str]:
    """Say how a schema differs from the right one, but for what differs by chance."""
    if right.heads != found.heads:
        stands, should = show_heads(found.heads) or "base", show_heads(right.heads) or "base"
        yield f"is at {stands}, not at {should}"
    for text in _unlike_objects(right, found):
        if text not in chance.objects:
            yield text
    for table in sorted(right.tables.keys() & found.tables.keys()):
        columns = right.tables[table][0]
        if table in chance.tables or columns != found.tables[table][0]:
            continue
        kept = [column for column in columns if (table, column) not in chance.columns]
        yield from _unlike_rows(right, found, table, kept)


def _unlike_objects(right: Look, found: Look) -> Iterator[str]:
    expected = Reference(right.heads, right.catalog, right.schema).of(found.schema, found.schema)
    for one in told(differences_between(expected, found.catalog)):
        yield f"{one.kind} {one.name} {VERBS[one.change]}"


def _unlike_rows(right: Look, found: Look, table: str, columns: Sequence[str]) -> Iterator[str]:
    mine, theirs = found.rows(table, columns), right.rows(table, columns)
    for verb, rows in (("has", mine - theirs), ("lacks", theirs - mine)):
        several = list(rows.elements())
        if several:
            shown = "; ".join(_written(columns, row) for row in several[:SHOWN])
            more = f" and {len(several) - SHOWN} more" if len(several) > SHOWN else ""
            yield f"table {table} {verb} {shown}{more}"


def _written(columns: Sequence[str], row: Row) -> str:
    return ", ".join(
        f"{column} = {'NULL' if value is None else repr(value)}"
        for column, value in zip(columns, row, strict=True)
    )

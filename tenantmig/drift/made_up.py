"""Made-up rows: a few for each table of a scratch schema, by the types of its columns.

Best effort: a table whose constraints they cannot meet stays empty. Knows no history.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import psycopg
from psycopg import sql
from psycopg.rows import namedtuple_row

from tenantmig.postgres.connection import SessionOptions
from tenantmig.postgres.sql import query

NUMBERS: Final = range(101, 104)
"""A row for each; higher than what a history inserts, and within a smallint."""
PASSES: Final = 3  # a table may need rows of one that comes later
MADE: Final[Mapping[str, Callable[[int], str]]] = {
    "bool": lambda n: "true" if n % 2 else "false",
    "float4": lambda n: f"{n}.25",
    "float8": lambda n: f"{n}.25",
    "date": lambda n: f"2024-02-{n % 28 + 1:02}",
    "time": lambda n: f"03:{n % 60:02}",
    "timetz": lambda n: f"03:{n % 60:02}+00",
    "timestamp": lambda n: f"2024-02-{n % 28 + 1:02} 03:04:05",
    "timestamptz": lambda n: f"2024-02-{n % 28 + 1:02} 03:04:05+00",
    "interval": lambda n: f"{n} minutes",
    "uuid": lambda n: f"{n:032}",
    "json": lambda n: f'{{"made_up": {n}}}',
    "jsonb": lambda n: f'{{"made_up": {n}}}',
    "bytea": lambda n: f"\\x{n:04}",
    "inet": lambda n: f"10.0.0.{n % 256}",
    "cidr": lambda n: f"10.0.{n % 256}.0/24",
    "macaddr": lambda n: f"00:00:00:00:00:{n % 100:02}",
    "bit": lambda n: str(n % 2),
    "varbit": lambda n: f"{n:b}",
    "point": lambda n: f"({n},{n})",
    "xml": lambda n: f"<made_up>{n}</made_up>",
    "tsvector": lambda n: f"made up {n}",
    "hstore": lambda n: f"made_up=>{n}",
}
"""How each type is written; what is not here is written as a number, or as text with one."""
TEXTS: Final = frozenset({"text", "varchar", "bpchar", "citext", "name"})
LENGTH: Final = 4  # what PostgreSQL adds to a length, or to a precision and scale


@dataclass(frozen=True, slots=True)
class MadeUp:
    """What fills one table, written as for any schema that has it."""

    table: str
    rows: tuple[sql.Composed, ...]


def make_up(
    connection: psycopg.Connection, options: SessionOptions, schema: str, version_table: str
) -> tuple[list[MadeUp], dict[str, str]]:
    """Fill the tables of a schema that hold no row; return how, and why others stay empty."""
    found = _columns(connection, schema, version_table)
    open_tables = {name: columns for name, columns in found.items() if columns}
    made: list[MadeUp] = []
    reasons: dict[str, str] = {}
    with connection.transaction():
        _bind(connection, options, schema)
        for name in list(open_tables):
            if _has_rows(connection, name):
                del open_tables[name]
        for _ in range(PASSES):
            for name in list(open_tables):
                rows, reason = _fill(connection, name, open_tables[name], schema)
                if rows:
                    made.append(MadeUp(name, rows))
                    reasons.pop(name, None)
                    del open_tables[name]
                else:
                    reasons[name] = reason
    return made, reasons


def repeat(
    connection: psycopg.Connection, options: SessionOptions, schema: str, made: Sequence[MadeUp]
) -> Iterator[tuple[str, str]]:
    """Put the same rows into another schema; yield the tables that refuse them, and why."""
    with connection.transaction():
        _bind(connection, options, schema)
        for one in made:
            try:
                with connection.transaction():
                    for row in one.rows:
                        connection.execute(row)
            except psycopg.Error as error:
                yield one.table, str(error.diag.message_primary or error)


def _bind(connection: psycopg.Connection, options: SessionOptions, schema: str) -> None:
    """Let the schema be found first until the transaction ends, as in a tenant's session."""
    names = (schema, *options.extension_schemas, "pg_temp")
    path = sql.SQL(", ").join(map(sql.Identifier, names)).as_string(connection)
    connection.execute("SELECT set_config('search_path', %s, true)", [path])


def _columns(
    connection: psycopg.Connection, schema: str, version_table: str
) -> dict[str, list[Any]]:
    """The columns of each table; those that refer to no other come first."""
    facts = {"schema": schema, "version_table": version_table}
    with connection.cursor(row_factory=namedtuple_row) as cursor:
        rows = cursor.execute(query("drift/made_up_columns"), facts).fetchall()
    tables: dict[str, list[Any]] = {}
    for row in rows:
        tables.setdefault(str(row[0]), []).append(row)
    return dict(sorted(tables.items(), key=lambda item: sum(bool(c.parent) for c in item[1])))


def _has_rows(connection: psycopg.Connection, table: str) -> bool:
    look = sql.SQL("SELECT FROM {} LIMIT 1").format(sql.Identifier(table))
    return connection.execute(look).rowcount > 0


def _fill(
    connection: psycopg.Connection, table: str, columns: Sequence[Any], schema: str
) -> tuple[tuple[sql.Composed, ...], str]:
    """Insert rows with all columns, or else with the necessary ones alone."""
    reason = ""
    for chosen in (columns, [column for column in columns if column.is_required]):
        rows = tuple(_row(table, chosen, schema, number) for number in NUMBERS)
        try:
            with connection.transaction():
                for row in rows:
                    connection.execute(row)
        except psycopg.Error as error:
            reason = reason or str(error.diag.message_primary or error)
        else:
            return rows, ""
    return (), reason


def _row(table: str, columns: Sequence[Any], schema: str, number: int) -> sql.Composed:
    if not columns:
        return sql.SQL("INSERT INTO {} DEFAULT VALUES").format(sql.Identifier(table))
    return sql.SQL("INSERT INTO {} ({}) VALUES ({})").format(
        sql.Identifier(table),
        sql.SQL(", ").join(sql.Identifier(column.column_name) for column in columns),
        sql.SQL(", ").join(_value(column, schema, number) for column in columns),
    )


def _value(column: Any, schema: str, number: int) -> sql.Composable:
    if column.parent is not None:
        there = () if column.schema_name == schema else (column.schema_name,)
        return sql.SQL("(SELECT {0} FROM {1} ORDER BY {0} OFFSET {2} LIMIT 1)").format(
            sql.Identifier(column.parent_column),
            sql.Identifier(*there, column.parent),
            number - NUMBERS[0],
        )
    return sql.Literal(_written(column, number))


def _written(column: Any, number: int) -> str:
    kind = column.type
    if column.labels:
        return str(column.labels[number % len(column.labels)])
    if kind in MADE:
        return MADE[kind](number)
    if kind in TEXTS:
        text = f"{number % 10} made up {number}"
        return text[: column.modifier - LENGTH] if column.modifier > LENGTH else text
    if kind == "numeric" and column.modifier > LENGTH:
        precision, scale = divmod(column.modifier - LENGTH, 1 << 16)
        return str(number if precision - scale > 2 else number % 10)
    if kind.endswith("range"):
        return "empty"
    return "{}" if kind.startswith("_") else str(number)

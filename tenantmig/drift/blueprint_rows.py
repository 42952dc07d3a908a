"""The rows of a blueprint: those that two births have in common, and what is left to defaults.

A value that differs is left to the default of its column only if that default provably makes such
values: a clock whose value lies between the moments around each birth, or a random uuid. A value
that a clock may have made and that nothing tells apart from a constant is an obstacle.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

import psycopg
from psycopg import sql

from tenantmig.drift.blueprint_reading import Born, Cell, Column, Rows
from tenantmig.engines.template import NotReplayable
from tenantmig.postgres.connection import in_catalog

CLOCK = (
    r"(?:(?:now|clock_timestamp|statement_timestamp|transaction_timestamp)\(\)"
    r"|CURRENT_TIMESTAMP|LOCALTIMESTAMP|CURRENT_DATE)"
)
ZONED = re.compile(
    rf"\(?(?:timezone\('[\w/+-]+'::text, {CLOCK}\)"
    rf"|{CLOCK} AT TIME ZONE '[\w/+-]+'::text|{CLOCK})\)?"
    r"(?:::[a-z ]+)?"
)
"""Defaults that are the clock's time and nothing else."""
MOMENT = re.compile(CLOCK)
CLOCK_TYPES = frozenset(
    {"date", "timestamp without time zone", "timestamp with time zone",
     "time without time zone", "time with time zone"}
)  # fmt: skip
RANDOM = re.compile(r"(\w+\.)?(gen_random_uuid|uuid_generate_v4|uuidv4)\(\)")
AT_ONCE = 100
"""Rows in one INSERT."""
NEAR = "1 day"
MADE = """SELECT bool_and(v::{type} BETWEEN ({begun})::{type} AND ({ended})::{type})
  FROM unnest(%s::text[]) AS v"""
AROUND = """SELECT bool_or(v::{type} BETWEEN %s::timestamptz - interval {near}
                         AND %s::timestamptz + interval {near})
  FROM unnest(%s::text[]) AS v"""
DEFAULT = "DEFAULT"


class _Default:
    """A cell that is left to its column's default."""


LEFT = _Default()
Kept = Cell | _Default


@dataclass(frozen=True, slots=True)
class CommonRows:
    """Finds what the rows of two births have in common. `connection` works out defaults."""

    connection: psycopg.Connection
    first: Born
    second: Born

    def of(self, rows: Rows, other: Rows, table: str) -> list[str]:
        """Return the INSERTs of a table; `table` is its name with a gap.

        Raises:
            NotReplayable: the rows differ, or may differ in the next birth.
        """
        name = rows.table.split(".", 1)[1].strip('"').replace('""', '"')
        if rows.columns != other.columns or len(rows.rows) != len(other.rows):
            raise NotReplayable(f"two births have different rows in {name}")
        columns = {one.name: one for one in self.first.columns if one.relation == name}
        kept: list[list[Kept]] = [[*row] for row in rows.rows]
        for place, column in enumerate(rows.columns):
            mine = [row[place] for row in rows.rows]
            theirs = [row[place] for row in other.rows]
            for number in self._left(columns[column], mine, theirs, name):
                kept[number][place] = LEFT
        return [
            _insert(table, rows.columns, kept[start : start + AT_ONCE])
            for start in range(0, len(kept), AT_ONCE)
        ]

    def _left(
        self, column: Column, mine: Sequence[Cell], theirs: Sequence[Cell], table: str
    ) -> list[int]:
        """Return the rows in which a column is left to its default."""
        differing = [n for n, pair in enumerate(zip(mine, theirs, strict=True)) if len({*pair}) > 1]
        equal = [n for n in range(len(mine)) if n not in set(differing) and mine[n] is not None]
        where = f"{table}.{column.name}"
        is_clock = column.type in CLOCK_TYPES and equal
        if is_clock and self._is_near(column, [mine[n] for n in equal]):
            raise NotReplayable(f"a value of {where} may be made by the clock")
        if not differing:
            return []
        for born, values in ((self.first, mine), (self.second, theirs)):
            if not self._is_made(column, born, [values[n] for n in differing]):
                raise NotReplayable(
                    f"two births have different values in {where}, and its default does not "
                    "make them"
                )
        return differing

    def _is_made(self, column: Column, born: Born, values: Sequence[Cell]) -> bool:
        """True when the default of a column provably makes such values."""
        standard = column.standard or ""
        if column.type == "uuid":
            return RANDOM.fullmatch(standard) is not None and all(map(_is_random, values))
        if column.type not in CLOCK_TYPES or not ZONED.fullmatch(standard) or None in values:
            return False
        begun, ended = (_at(standard, moment) for moment in (born.begun, born.ended))
        asked = sql.SQL(MADE).format(type=sql.SQL(column.type), begun=begun, ended=ended)
        with in_catalog(self.connection):
            row = self.connection.execute(asked, [list(values)]).fetchone()
        return bool(row and row[0])

    def _is_near(self, column: Column, values: Sequence[Cell]) -> bool:
        """True if a clock may have made one of these values around the births."""
        if column.type is None or column.type.startswith("time "):
            return bool(column.standard and MOMENT.search(column.standard))
        births = self.first, self.second
        begun, ended = min(b.begun for b in births), max(b.ended for b in births)
        asked = sql.SQL(AROUND).format(type=sql.SQL(column.type), near=NEAR)
        with in_catalog(self.connection):
            row = self.connection.execute(asked, [begun, ended, list(values)]).fetchone()
        return bool(row and row[0])


def _at(standard: str, moment: object) -> sql.SQL:
    """Write what a default is at a moment."""
    at = sql.Literal(str(moment)).as_string()
    return sql.SQL(MOMENT.sub(lambda _: f"{at}::timestamptz", standard))


def _is_random(value: Cell) -> bool:
    return value is not None and UUID(value).version == 4


def _insert(table: str, columns: Sequence[str], rows: Sequence[Sequence[Kept]]) -> str:
    """Write rows as literals, which the server reads as it reads those of COPY."""
    if not columns:
        return "; ".join(f"INSERT INTO {table} DEFAULT VALUES" for _ in rows)
    names = ", ".join(sql.Identifier(one).as_string() for one in columns)
    values = ", ".join("(" + ", ".join(map(written, row)) + ")" for row in rows)
    into = f"INSERT INTO {table} ({names})"
    return f"{into} OVERRIDING SYSTEM VALUE VALUES {values}"


def written(cell: Kept) -> str:
    """Write a cell as a word of SQL."""
    return DEFAULT if isinstance(cell, _Default) else sql.Literal(cell).as_string().strip()

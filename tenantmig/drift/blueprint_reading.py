"""Reading a finished schema: the statements that make it, and its rows, as pg_dump writes them.

The version table is left out: a birth makes it by itself. So is what says only that the connected
role owns what it has made. Dropped columns, of which pg_dump says nothing, are made and dropped
again, so that the columns get the same numbers.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import psycopg
from psycopg import sql
from psycopg.rows import namedtuple_row

from tenantmig.backups.client_programs import ClientPrograms
from tenantmig.backups.connecting import Connecting
from tenantmig.backups.dump import dump
from tenantmig.backups.dump_kinds import NAMED_BY, RELATION_OF
from tenantmig.backups.dump_names import texts
from tenantmig.backups.dump_script import Statement
from tenantmig.backups.dump_statements import HANDLERS
from tenantmig.backups.restore_script import script_of
from tenantmig.backups.running_program import Limits
from tenantmig.drift.scratch import MARK
from tenantmig.engines.birth_witness import BirthSeen
from tenantmig.engines.template import NotReplayable
from tenantmig.postgres.connection import SessionOptions
from tenantmig.postgres.parsing import enum_name, parse
from tenantmig.postgres.sql import query

KINDS = frozenset({*HANDLERS, *NAMED_BY, *RELATION_OF, "sec_label_stmt"})
"""Statements that the dump of a schema holds: none of them lives longer than its transaction."""
HELD = {"default_tablespace": "", "default_table_access_method": "heap"}
"""Settings that say how tables are kept, as they are where nobody has set them."""
ESCAPES = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}
ESCAPED = re.compile(r"\\(.)", re.DOTALL)
Cell = str | None


class Column(NamedTuple):
    """A column that is or was in a schema. `standard` is its default."""

    relation: str
    number: int
    name: str
    is_dropped: bool
    kind: str
    type: str | None
    standard: str | None


@dataclass(frozen=True, slots=True)
class Rows:
    """The rows of one table, in their order; None is NULL."""

    table: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]


@dataclass(frozen=True, slots=True)
class Born:
    """A finished schema: what makes it. `begun` and `ended` are moments around its birth."""

    schema: str
    parts: tuple[str | Rows, ...]
    columns: tuple[Column, ...]
    begun: Any
    ended: Any
    seen: BirthSeen = field(default_factory=BirthSeen)


@dataclass(frozen=True, slots=True)
class BirthReader:
    """Reads finished schemas with pg_dump."""

    programs: ClientPrograms
    options: SessionOptions
    version_table: str
    deadline_s: float

    def read(
        self, connection: psycopg.Connection, schema: str, begun: object, ended: object
    ) -> Born:
        """Read a schema that nobody changes.

        Raises:
            NotReplayable: it holds what a dump does not, or what no text should do.
            ClientProgramError: pg_dump failed.
        """
        facts = {"schema": schema}
        casts = connection.execute(query("drift/blueprint_casts"), facts).fetchall()
        if casts:
            raise NotReplayable(f"it creates a {casts[0][0]}, which lies in no schema")
        with connection.cursor(row_factory=namedtuple_row) as cursor:
            cursor.execute(query("drift/blueprint_columns"), facts)
            columns = tuple(Column(*row) for row in cursor)
        columns = tuple(one for one in columns if one.relation != self.version_table)
        owner = connection.execute("SELECT current_user").fetchone()
        assert owner is not None
        sorting = Sorting(schema, self.version_table, str(owner[0]), _dropped(columns))
        limits = Limits.within(self.deadline_s)
        connecting = Connecting(self.options.url, "tenantmig", self.options.connect_timeout_s)
        with tempfile.TemporaryDirectory(prefix="tenantmig-") as folder:
            path = Path(folder) / "blueprint.dump"
            path.touch(0o600)
            lock_s = self.options.lock_timeout_s
            dump(self.programs, schema, path, connecting, limits, lock_s)
            with script_of(self.programs, path, limits) as statements:
                parts = tuple(part for one in statements for part in sorting.parts(one))
        return Born(schema, parts, columns, begun, ended)


def _dropped(columns: Sequence[Column]) -> dict[str, list[Column]]:
    """The columns of each table that has dropped ones."""
    found: dict[str, list[Column]] = {}
    for one in columns:
        if one.kind in {"r", "p", "f"}:
            found.setdefault(one.relation, []).append(one)
    return {name: of for name, of in found.items() if any(one.is_dropped for one in of)}


@dataclass(slots=True)
class Sorting:
    """Says of each statement of a dump what a birth sends of it."""

    schema: str
    version_table: str
    owner: str
    dropped: Mapping[str, Sequence[Column]]

    def parts(self, statement: Statement) -> Iterator[str | Rows]:
        """Yield what a birth sends of a statement, if anything."""
        kind, node = statement.kind, statement.node
        if kind in {"variable_set_stmt", "create_schema_stmt"}:
            self._check_setting(kind, node)
        elif kind == "select_stmt":
            if "setval" in statement.text.split("(")[0]:
                yield statement.text
            elif "set_config" not in statement.text.split("(")[0]:
                raise NotReplayable("its dump holds a SELECT")
        elif kind == "copy_stmt":
            if node.relation.relname != self.version_table:
                yield _rows_of(statement)
        elif not self._is_left_out(kind, node, statement.text):
            if kind not in KINDS:
                raise NotReplayable(f"its dump holds a {kind.removesuffix('_stmt')}")
            is_holed = kind == "create_stmt" and node.relation.relname in self.dropped
            if is_holed:
                yield from with_holes(statement.text, self.dropped[node.relation.relname])
            else:
                yield statement.text

    def _check_setting(self, kind: str, node: Any) -> None:
        if kind == "variable_set_stmt" and node.name in HELD:
            values = [one.a_const.sval.sval for one in node.args]
            if values != [HELD[node.name]]:
                raise NotReplayable(f"it needs {node.name} = {', '.join(values)}")

    def _is_left_out(self, kind: str, node: Any, text: str) -> bool:
        if kind == "create_stmt":
            return bool(node.relation.relname == self.version_table)
        if kind == "comment_stmt":
            return enum_name(node, "objtype") == "OBJECT_SCHEMA" and MARK in text
        if kind == "alter_owner_stmt":
            return bool(node.newowner.rolename == self.owner)
        if kind == "alter_table_stmt":
            commands = [one.alter_table_cmd for one in node.cmds]
            subtypes = {enum_name(one, "subtype") for one in commands}
            if subtypes == {"AT_ChangeOwner"}:
                return all(one.newowner.rolename == self.owner for one in commands)
            is_key = subtypes == {"AT_AddConstraint"} and "PRIMARY KEY" in text
            return is_key and node.relation.relname == self.version_table
        return False


def with_holes(text: str, columns: Sequence[Column]) -> Iterator[str]:
    """Make the columns that were dropped, where they stood, and drop them."""
    node = parse(text, is_deep=True).stmts[0].stmt.create_stmt
    made = [one.column_def for one in node.table_elts if one.WhichOneof("node") == "column_def"]
    kept = [one for one in columns if not one.is_dropped]
    if [one.colname for one in made] != [one.name for one in kept]:
        raise NotReplayable(f'it has dropped columns of "{node.relation.relname}", which inherits')
    raw, end, found = text.encode(), 0, b""
    waiting, after = "", list[str]()
    places = iter(made)
    for one in columns:
        hole = sql.Identifier(f"tenantmig.{one.number}").as_string()
        if one.is_dropped:
            waiting += f"{hole} boolean, "
            after.append(hole)
            continue
        start = next(places).location
        found += raw[end:start] + waiting.encode()
        end, waiting = start, ""
    table = sql.Identifier(node.relation.schemaname, node.relation.relname).as_string()
    yield (found + raw[end:]).decode()
    for hole in filter(None, waiting.split(", ")):
        yield f"ALTER TABLE ONLY {table} ADD COLUMN {hole}"
    yield f"ALTER TABLE ONLY {table} " + ", ".join(f"DROP COLUMN {hole}" for hole in after)


def _rows_of(statement: Statement) -> Rows:
    relation, names = statement.node.relation, texts(statement.node.attlist)
    table = sql.Identifier(relation.schemaname, relation.relname).as_string()
    lines = (line.decode().removesuffix("\n") for line in statement.rows)
    rows = (tuple(map(_cell, line.split("\t"))) if names else () for line in lines)
    return Rows(table, names, tuple(rows))


def _cell(text: str) -> Cell:
    """Read a value of COPY's text format (PostgreSQL docs, COPY, "Text Format")."""
    if text == "\\N":
        return None
    return ESCAPED.sub(lambda found: ESCAPES.get(found[1], found[1]), text)

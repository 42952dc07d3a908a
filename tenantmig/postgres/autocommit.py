"""Statements outside a transaction: what each leaves when it is cut off, and how one can tell.

Read by PostgreSQL's own parser (libpg_query), never by patterns. Knows one statement at a time;
`parts` keeps the journal of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import psycopg
from psycopg import sql

from tenantmig.postgres.parsing import UnreadableError, parse_sent


@dataclass(frozen=True, slots=True)
class Statement:
    """A statement in an autocommit_block of which nothing is known: cut off, nobody can tell.

    `is_atomic`: when the server says that it failed, it did nothing. `is_repeatable`: it may be run
    again after it was cut off, once `prepare` has been called.
    """

    is_atomic: bool = True
    is_repeatable: ClassVar[bool] = False
    is_read: ClassVar[bool] = False
    """It asks and changes nothing, unless a function that it calls does."""

    def is_settled(self, connection: psycopg.Connection, schema: str) -> bool:  # noqa: ARG002  for the others
        """True when what it wanted is so: it has been run to its end."""
        return False

    def is_undone(self, connection: psycopg.Connection, schema: str) -> bool:  # noqa: ARG002  the same
        """True when nothing of it is there."""
        return False

    def prepare(self, connection: psycopg.Connection, schema: str) -> None:
        """Clear away what an attempt that was cut off left."""


@dataclass(frozen=True, slots=True)
class IndexBuild(Statement):
    """CREATE INDEX CONCURRENTLY: cut off, it leaves an INVALID index of that name.

    IF NOT EXISTS would take that one for done (PostgreSQL docs, CREATE INDEX, "Building Indexes
    Concurrently").
    """

    is_repeatable: ClassVar[bool] = True
    name: str = ""

    def is_settled(self, connection: psycopg.Connection, schema: str) -> bool:
        """True when the index is there, valid and ready."""
        return index_is_valid(connection, schema, self.name) is True

    def is_undone(self, connection: psycopg.Connection, schema: str) -> bool:
        """True when there is no such index."""
        return index_is_valid(connection, schema, self.name) is None

    def prepare(self, connection: psycopg.Connection, schema: str) -> None:
        """Drop an index of that name that is not valid: it serves nobody."""
        if index_is_valid(connection, schema, self.name) is False:
            drop = sql.SQL("DROP INDEX CONCURRENTLY {}").format(sql.Identifier(schema, self.name))
            connection.execute(drop)


@dataclass(frozen=True, slots=True)
class IndexDrop(Statement):
    """DROP INDEX CONCURRENTLY: cut off, it leaves the index there, INVALID."""

    is_repeatable: ClassVar[bool] = True
    names: tuple[str, ...] = ()

    def is_settled(self, connection: psycopg.Connection, schema: str) -> bool:
        """True when none of the indexes is there."""
        return all(index_is_valid(connection, schema, name) is None for name in self.names)

    def is_undone(self, connection: psycopg.Connection, schema: str) -> bool:
        """True when all are as they were."""
        return all(index_is_valid(connection, schema, name) is True for name in self.names)


@dataclass(frozen=True, slots=True)
class EnumValue(Statement):
    """ALTER TYPE ADD VALUE."""

    is_repeatable: ClassVar[bool] = True
    type_name: str = ""
    value: str = ""

    def is_settled(self, connection: psycopg.Connection, schema: str) -> bool:
        """True when the type has the value."""
        found = connection.execute(
            "SELECT FROM pg_enum JOIN pg_type AS t ON t.oid = enumtypid"
            " JOIN pg_namespace AS n ON n.oid = typnamespace"
            " WHERE nspname = %s::text AND typname = %s::text AND enumlabel = %s::text",
            [schema, self.type_name, self.value],
        )
        return found.rowcount > 0


@dataclass(frozen=True, slots=True)
class Reading(Statement):
    """SELECT, SHOW; SET and RESET, which a later attempt's session needs as well."""

    is_read: ClassVar[bool] = True


@dataclass(frozen=True, slots=True)
class Maintenance(Statement):
    """VACUUM, ANALYZE, REINDEX and their like: running it twice does no harm."""

    is_repeatable: ClassVar[bool] = True


IN_STEPS = Statement(is_atomic=False)
READS = frozenset({"variable_show_stmt", "variable_set_stmt"})
MAINTAINS = frozenset({"vacuum_stmt", "cluster_stmt", "refresh_mat_view_stmt"})
ENDS_TRANSACTION = ("commit", "rollback", "call")
NEVER_BEGAN = frozenset(
    """
    0A000 25001 3F000 42501 42601 42602 42622 42702 42703 42704 42725 42803 42804 42809 42846 42883
    42710 42P01 42P02 42P07 42P13 42P17 42P18 42P22
    """.split()  # noqa: SIM905  fewer quotes
)
"""What the server finds wrong with a statement before it begins to carry it out."""


def never_began(error: BaseException | None) -> bool:
    """True when a statement of several steps was refused before the first of them.

    A function's or procedure's own error has a context, and its internal query another text.
    """
    if not isinstance(error, psycopg.Error):
        return False
    if error.sqlstate is None:  # psycopg could not write its parameters
        return isinstance(error, psycopg.ProgrammingError)
    is_inner = error.diag.context or error.diag.internal_query
    return error.sqlstate in NEVER_BEGAN and not is_inner


def read_statement(text: str, schema: str) -> Statement:
    """Read one statement, as psycopg is given it in the tenant schema `schema`."""
    try:
        parsed = parse_sent(text)
    except UnreadableError:
        return IN_STEPS
    if len(parsed.stmts) != 1:
        return Statement()
    return _read(parsed.stmts[0].stmt, {"", schema})


def _read(node: Any, ours: set[str]) -> Statement:
    kind = node.WhichOneof("node")
    found = getattr(node, kind)
    if kind == "index_stmt" and found.concurrent:
        is_known = found.idxname and found.relation.schemaname in ours
        return (
            IndexBuild(is_atomic=False, name=found.idxname)
            if is_known
            else Statement(is_atomic=False)
        )
    if kind == "drop_stmt" and found.concurrent:
        names = [[part.string.sval for part in o.list.items] for o in found.objects]
        is_known = all(name[0] in ours for name in names if len(name) > 1)
        dropped = IndexDrop(is_atomic=False, names=tuple(name[-1] for name in names))
        return dropped if is_known else IN_STEPS
    if kind == "alter_enum_stmt" and found.new_val and not found.old_val:
        type_name = [part.string.sval for part in found.type_name]
        is_known = len(type_name) == 1 or type_name[0] in ours
        return EnumValue(type_name=type_name[-1], value=found.new_val) if is_known else Statement()
    if kind in READS or (kind == "select_stmt" and not found.HasField("into_clause")):
        return Reading()
    if kind in MAINTAINS:
        return Maintenance()
    if kind == "reindex_stmt":
        return Maintenance(is_atomic=False)
    return IN_STEPS if _has_steps(kind, found) else Statement()


def _has_steps(kind: str, found: Any) -> bool:
    """True when a statement may commit in the middle: a procedure, some DO blocks, a DETACH."""
    if kind == "do_stmt":
        return not _is_one_transaction(found)
    if kind == "alter_table_stmt":
        commands = [getattr(command.alter_table_cmd, "def") for command in found.cmds]
        return any(command.partition_cmd.concurrent for command in commands)
    return kind == "call_stmt"


def _is_one_transaction(block: Any) -> bool:
    """True when a DO block of PL/pgSQL can neither commit nor call a procedure that does.

    The letters must not even stand in it. EXECUTE takes no transaction command, and what it calls
    cannot commit (PostgreSQL docs, 41.8); a block in a block might spell it with escapes.
    """
    options = {item.def_elem.defname: item.def_elem.arg.string.sval for item in block.args}
    body = options.get("as", "").lower()
    is_known = options.get("language", "plpgsql") == "plpgsql" and "\\" not in body
    return is_known and not any(word in body for word in ENDS_TRANSACTION)


def index_is_valid(connection: psycopg.Connection, schema: str, name: str) -> bool | None:
    """True when the index can be used; None when there is none."""
    row = connection.execute(
        "SELECT indisvalid AND indisready FROM pg_index JOIN pg_class AS c ON c.oid = indexrelid"
        " JOIN pg_namespace AS n ON n.oid = relnamespace"
        " WHERE nspname = %s::text AND relname = %s::text",
        [schema, name],
    ).fetchone()
    return bool(row[0]) if row else None

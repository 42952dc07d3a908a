"""The statements of a script, read by PostgreSQL's own parser. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import postgast

from tenantmig.postgres.parsing import UnreadableError, parse

BEGINS = ("TRANS_STMT_BEGIN", "TRANS_STMT_START")
ENDS = ("TRANS_STMT_COMMIT", "TRANS_STMT_ROLLBACK")
EXPRESSIONS = (2, 3, 4, 5)
"""How PL/pgSQL says of a piece of SQL that it is an expression or an assignment (RawParseMode)."""


@dataclass(frozen=True, slots=True)
class Statement:
    """One statement: its tree, and the line of the script from which it was sent.

    `is_outside`: it runs outside any transaction, in an autocommit_block. `is_inner`: it stands in
    the body of a DO block or function, where names are not all the server's.
    """

    line: int
    sql: str
    kind: str
    node: Any
    is_outside: bool = False
    is_inner: bool = False


class Unreadable(NamedTuple):
    """A text that is no SQL, and why."""

    line: int
    reason: str


@dataclass(frozen=True, slots=True)
class Statements:
    """What one direction of a revision sends."""

    all: tuple[Statement, ...] = ()
    unreadable: tuple[Unreadable, ...] = ()

    @property
    def with_inner(self) -> Iterator[Statement]:
        """The statements, and those in bodies of functions and DO blocks."""
        for statement in self.all:
            yield statement
            yield from inner_statements(statement)


def read_statements(texts: Iterable[tuple[int, str]]) -> Statements:
    """Read what a script wrote, as (line, text), in a transaction until it commits."""
    found: list[Statement] = []
    unreadable: list[Unreadable] = []
    is_outside = False
    for line, text in texts:
        try:
            parsed = _parse(text)
        except UnreadableError as error:
            unreadable.append(Unreadable(line, str(error)))
            continue
        for sql, kind, node in parsed:
            if kind == "transaction_stmt":
                word = enum_name(node, "kind")
                is_outside = word in ENDS or (is_outside and word not in BEGINS)
            else:
                found.append(Statement(line, sql, kind, node, is_outside))
    return Statements(tuple(found), tuple(unreadable))


def _parse(text: str) -> list[tuple[str, str, Any]]:
    raw = text.encode()
    parsed = []
    for one in parse(text).stmts:
        end = one.stmt_location + one.stmt_len if one.stmt_len else len(raw)
        kind = one.stmt.WhichOneof("node")
        sql = raw[one.stmt_location : end].decode().strip().rstrip(";")
        parsed.append((sql, kind, getattr(one.stmt, kind)))
    return parsed


def walk(root: Any) -> Iterator[tuple[Any, str, Any]]:
    """Return each node of a tree with its parent and the field in which it stands there."""
    waiting = [root]
    while waiting:
        parent = waiting.pop()
        for field, value in parent.ListFields():
            if field.message_type is not None:
                for child in [value] if hasattr(value, "DESCRIPTOR") else value:
                    node = postgast.unwrap_node(child)
                    yield parent, field.name, node
                    waiting.append(node)


def nodes(root: Any, kind: str) -> Iterator[Any]:
    """Return the nodes of one kind in a tree, such as FuncCall."""
    return (node for _, _, node in walk(root) if type(node).__name__ == kind)


def enum_name(message: Any, field: str) -> str:
    """Return the name of an enum field's value, such as OBJECT_TABLE."""
    descriptor = message.DESCRIPTOR.fields_by_name[field].enum_type
    return str(descriptor.values_by_number[getattr(message, field)].name)


def strings(nodes: Iterable[Any]) -> tuple[str, ...]:
    """Return the parts of a name, which the parser gives as a list of strings."""
    return tuple(node.string.sval for node in nodes if node.WhichOneof("node") == "string")


def option(options: Sequence[Any], name: str) -> Any | None:
    """Return the value of an option (LANGUAGE, AS, SET, ...) of a statement, or None."""
    for each in options:
        if each.def_elem.defname == name:
            value = each.def_elem.arg
            return getattr(value, value.WhichOneof("node")) if value.WhichOneof("node") else None
    return None


# -- bodies ---------------------------------------------------------------------------------------


def inner_statements(statement: Statement) -> Iterator[Statement]:
    """Read the body of a function or of a DO block, as far as it is SQL or PL/pgSQL.

    What a body puts together and runs with EXECUTE is not seen.
    """
    for text in _body(statement):
        try:
            parsed = _parse(text)
        except UnreadableError:
            continue
        for sql, kind, node in parsed:
            yield Statement(statement.line, sql, kind, node, statement.is_outside, is_inner=True)


def _body(statement: Statement) -> Iterable[str]:
    if statement.kind == "do_stmt":
        return _plpgsql(statement.sql)
    if statement.kind != "create_function_stmt":
        return ()
    language, body = _language(statement.node), function_body(statement.node)
    if language == "sql":
        return (body,)
    if language == "plpgsql" and _is_trigger(statement.node):
        return _plpgsql(_as_function(body))
    return _plpgsql(statement.sql) if language == "plpgsql" else ()


def function_body(node: Any) -> str:
    """Return the text of a function's body; it has none if it is written as SQL (BEGIN ATOMIC)."""
    body = option(node.options, "as")
    return strings(body.items)[0] if body is not None else ""


def _language(node: Any) -> str:
    language = option(node.options, "language")
    return str(language.sval).lower() if language is not None else "sql"


def _is_trigger(node: Any) -> bool:
    return strings(node.return_type.names)[-1:] == ("trigger",)


def _as_function(body: str) -> str:
    """Write a trigger's body as one of a function: of a trigger's, libpg_query makes bad JSON."""
    quoted = body.replace("'", "''").replace("\\", "\\\\")
    arguments = "new record, old record"
    return f"CREATE FUNCTION f({arguments}) RETURNS record LANGUAGE plpgsql AS E'{quoted}'"


def _plpgsql(sql: str) -> Iterator[str]:
    try:
        tree = postgast.parse_plpgsql(sql)
    except (postgast.PgQueryError, json.JSONDecodeError):
        return
    yield from _queries(tree)


def _queries(tree: Any) -> Iterator[str]:
    if isinstance(tree, list):
        for branch in tree:
            yield from _queries(branch)
    elif isinstance(tree, dict):
        query = tree.get("query")
        if isinstance(query, str):
            is_expression = tree.get("parseMode") in EXPRESSIONS
            yield f"SELECT {query.partition(':=')[2] or query}" if is_expression else query
        for branch in tree.values():
            yield from _queries(branch)

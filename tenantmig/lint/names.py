"""The names that a statement uses and creates. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from enum import StrEnum
from typing import Any, NamedTuple

import postgast

from tenantmig.lint.statements import Statement, enum_name, nodes, strings, walk

WRITTEN_FIELDS = frozenset(
    {"relation", "relations", "view", "sequence", "table", "typevar", "rel", "objects"}
)
"""Where the tree of a statement holds the relation that it is about, and not one it reads."""
RELATIONS = frozenset({"TABLE", "VIEW", "MATVIEW", "FOREIGN_TABLE", "SEQUENCE"})
PARTS_OF_RELATIONS = frozenset({"COLUMN", "TABCONSTRAINT", "TRIGGER", "POLICY", "RULE"})
RENAMED = {"TYPE": "type", "DOMAIN": "type", "FUNCTION": "function", "PROCEDURE": "function"}
CREATES = {
    "create_stmt": "relation",
    "view_stmt": "relation",
    "create_seq_stmt": "relation",
    "create_table_as_stmt": "relation",
    "select_stmt": "relation",
    "composite_type_stmt": "relation",
    "create_foreign_table_stmt": "relation",
    "create_enum_stmt": "type",
    "create_domain_stmt": "type",
    "create_range_stmt": "type",
    "define_stmt": "function",
    "create_function_stmt": "function",
}


class Role(StrEnum):
    """What a statement does with a name."""

    WRITES = "writes"
    READS = "reads"
    REFERENCES = "references"
    """By a foreign key."""


class Name(NamedTuple):
    """A name as it stands in a statement; `schema` is empty if none is written.

    `what` is relation, type, function or, for names that are looked up in no search path, other.
    """

    what: str
    schema: str
    name: str
    role: Role

    @property
    def full(self) -> str:
        """The name with its schema, if it has one."""
        return f"{self.schema}.{self.name}" if self.schema else self.name


def names_in(statement: Statement) -> Iterator[Name]:
    """Return every name of a relation, type or function in a statement, as it is written."""
    yield from _subject(statement)
    hidden = {cte.ctename for cte in nodes(statement.node, "CommonTableExpr")}
    for parent, field, node in walk(statement.node):
        kind = type(node).__name__
        if kind == "RangeVar" and (node.schemaname or node.relname not in hidden):
            yield Name("relation", node.schemaname, node.relname, _role(parent, field))
        elif kind == "TypeName" and not node.pct_type and type(parent).__name__ != "DefElem":
            yield _named("type", strings(node.names), Role.READS)  # options look like types too
        elif kind == "FuncCall":
            yield _named("function", strings(node.funcname), Role.READS)
    if statement.kind == "create_trig_stmt":
        yield _named("function", strings(statement.node.funcname), Role.READS)


def _named(what: str, parts: tuple[str, ...], role: Role, own: int = 1) -> Name:
    """Make a name of its parts, of which the last `own` stand behind the schema."""
    schema = parts[-own - 1] if len(parts) > own else ""
    return Name(what, schema, parts[-own] if len(parts) >= own else "", role)


def _role(node: Any, field: str) -> Role:
    kind = type(node).__name__
    if field == "pktable":
        return Role.REFERENCES
    is_statement = kind.endswith("Stmt") or kind == "IntoClause"
    is_reading = kind == "CopyStmt" and not node.is_from
    is_written = is_statement and field in WRITTEN_FIELDS and not is_reading
    return Role.WRITES if is_written else Role.READS


# -- objects that the tree names by lists of words ------------------------------------------------


def _subject(statement: Statement) -> Iterator[Name]:
    """Return what a statement is about, where the tree has no relation for it."""
    node, kind = statement.node, statement.kind
    if kind in {"create_enum_stmt", "create_range_stmt", "alter_enum_stmt", "alter_domain_stmt"}:
        yield _named("type", strings(node.type_name), Role.WRITES)
    elif kind == "create_domain_stmt":
        yield _named("type", strings(node.domainname), Role.WRITES)
    elif kind == "create_function_stmt":
        yield _named("function", strings(node.funcname), Role.WRITES)
    elif kind == "define_stmt":
        yield _named("other", strings(node.defnames), Role.WRITES)
    elif kind == "alter_function_stmt":
        yield _named("function", strings(node.func.objname), Role.WRITES)
    elif kind == "drop_stmt":
        for each in node.objects:
            yield from _object(each, enum_name(node, "remove_type"))
    elif kind == "comment_stmt":
        yield from _object(node.object, enum_name(node, "objtype"))
    elif kind in {"rename_stmt", "alter_owner_stmt", "alter_object_schema_stmt"}:
        field = "rename_type" if kind == "rename_stmt" else "object_type"
        yield from _object(node.object, enum_name(node, field))


def _object(node: Any, object_type: str) -> Iterator[Name]:
    found, word = postgast.unwrap_node(node), object_type.removeprefix("OBJECT_")
    kind = type(found).__name__
    if kind == "List":
        parts = strings(found.items)
        own = 2 if word in PARTS_OF_RELATIONS else 1
        what = "relation" if word in RELATIONS | PARTS_OF_RELATIONS else "other"
        yield _named(what, parts, Role.WRITES, own)
    elif kind == "TypeName":
        yield _named("type", strings(found.names), Role.WRITES)
    elif kind == "ObjectWithArgs":
        yield _named("function", strings(found.objname), Role.WRITES)


# -- what a history has created -------------------------------------------------------------------


def created(statement: Statement) -> Iterator[tuple[str, str]]:
    """Return what a statement creates, as (what, name)."""
    if statement.kind == "rename_stmt":
        yield from _renamed(statement.node)
        return
    what = CREATES.get(statement.kind)
    for name in names_in(statement) if what else ():
        if name.role is Role.WRITES:
            yield what or "", name.name
            if statement.kind == "create_range_stmt":
                yield "function", name.name


def _renamed(node: Any) -> Iterable[tuple[str, str]]:
    word = enum_name(node, "rename_type").removeprefix("OBJECT_")
    what = "relation" if word in RELATIONS else RENAMED.get(word)
    return [(what, node.newname)] if what else []

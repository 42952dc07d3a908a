"""The rule about system catalogs that are asked without the tenant's schema. Pure.

`SELECT 1 FROM pg_constraint WHERE conname = 'fk'` finds the constraint of any tenant of the
database: only the first one gets it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tenantmig.domain.tenant import PLACEHOLDER
from tenantmig.lint import Told
from tenantmig.lint.revision import Revision
from tenantmig.lint.statements import Statement, enum_name, nodes, strings, walk

BY_SCHEMA = frozenset(
    """
    pg_attrdef pg_attribute pg_class pg_collation pg_constraint pg_depend pg_description pg_enum
    pg_index pg_indexes pg_inherits pg_matviews pg_opclass pg_operator pg_policies pg_policy pg_proc
    pg_publication_tables pg_rewrite pg_rules pg_sequence pg_sequences pg_stat_all_indexes
    pg_stat_all_tables pg_stat_user_indexes pg_stat_user_tables pg_statistic_ext pg_stats pg_tables
    pg_trigger pg_type pg_views
    """.split()  # noqa: SIM905  thirty quotes less
)
"""Catalogs and views of them that hold the objects of every schema."""
INFORMATION = "information_schema"
SCHEMA_COLUMNS = frozenset({"nspname", "schemaname"})
NAMESPACES = ("namespace", "_schema")
OBJECTS = frozenset(
    """
    conrelid confrelid indrelid indexrelid attrelid tgrelid polrelid adrelid enumtypid seqrelid
    objid refobjid objoid ev_class inhrelid inhparent relid oid contypid atttypid
    """.split()  # noqa: SIM905  twenty quotes less
)
"""Columns that name an object of one schema by its number."""
CURRENT = frozenset({"current_schema", "current_schemas"})
TO_OBJECT = frozenset(
    {"to_regclass", "to_regtype", "to_regproc", "to_regprocedure", "to_regoper", "to_regcollation"}
)
REG_TYPES = frozenset({"regclass", "regtype", "regproc", "regprocedure"})
INSTEAD = (
    "compare the schema too: schemaname or table_schema = current_schema(), connamespace or "
    "relnamespace = current_schema()::regnamespace, conrelid = 'name'::regclass"
)


def catalog_without_schema(revision: Revision) -> Iterator[Told]:
    """A catalog of all schemas that is asked without the schema of the tenant."""
    for statement in revision.with_inner:
        for name in dict.fromkeys(_asked(statement)):
            why = (
                f"{name} lists the objects of all tenants, so the query also finds those of "
                "other tenants"
            )
            yield Told(statement.line, "catalog-without-schema", why, INSTEAD)
        for name in dict.fromkeys(_looked_up(statement, revision)):
            why = f"{name} is looked up in a schema that is not the tenant's"
            yield Told(
                statement.line,
                "catalog-without-schema",
                why,
                f"write quote_ident(current_schema()) || '.{name.rpartition('.')[2]}'",
            )


def _asked(statement: Statement) -> Iterator[str]:
    """Return the catalogs that are asked without a schema, each query by itself."""
    for query in _queries(statement.node):
        own = list(_own(query))
        asked = [name for _, node in own if (name := _catalog(node))]
        if asked and not any(_is_tied(field, node) for field, node in own):
            yield from asked


def _queries(root: Any) -> Iterator[Any]:
    yield root
    yield from (node for _, _, node in walk(root) if type(node).__name__ == "SelectStmt")


def _own(query: Any) -> Iterator[tuple[str, Any]]:
    """Return the nodes of a query without those of the queries in it; its own parts are whole."""
    waiting = [query]
    while waiting:
        parent = waiting.pop()
        for field, node in _children(parent):
            yield field, node
            if type(node).__name__ != "SelectStmt":
                waiting.append(node)


def _children(parent: Any) -> Iterator[tuple[str, Any]]:
    """Return the nodes right below one."""
    for holder, field, node in walk(parent):
        if holder is parent:
            yield field, node


def _catalog(node: Any) -> str | None:
    if type(node).__name__ != "RangeVar":
        return None
    if node.schemaname == INFORMATION:
        return f"{INFORMATION}.{node.relname}" if node.relname != "schemata" else None
    is_one = node.schemaname in {"", "pg_catalog"} and node.relname in BY_SCHEMA
    return str(node.relname) if is_one else None


def _is_tied(_: str, node: Any) -> bool:
    """True for a condition that no object of another tenant fulfils."""
    kind = type(node).__name__
    if kind == "FuncCall":
        return strings(node.funcname)[-1].endswith("_is_visible")
    if kind == "SubLink":  # the query in it is looked at by itself
        return bool(_columns(node.testexpr))
    if kind != "A_Expr" or enum_name(node, "kind") not in {"AEXPR_OP", "AEXPR_IN", "AEXPR_OP_ANY"}:
        return False
    sides = (node.lexpr, node.rexpr)
    return any(_columns(a) and _is_tenants(b) for a, b in (sides, sides[::-1]))


def _columns(side: Any) -> bool:
    """True when a side of a comparison is a column that tells the schema, or an object of one."""
    for name in _column_names(side):
        if name in SCHEMA_COLUMNS | OBJECTS or name.endswith(NAMESPACES):
            return True
    return False


def _column_names(side: Any) -> Iterator[str]:
    if side.WhichOneof("node") == "column_ref":
        fields = strings(side.column_ref.fields)
        if fields:
            yield fields[-1]
    elif side.WhichOneof("node") == "type_cast":
        yield from _column_names(side.type_cast.arg)


def _is_tenants(side: Any) -> bool:
    """True when a side of a comparison means the tenant's schema, or an object found there."""
    kind = side.WhichOneof("node")
    if kind == "a_const":
        return str(side.a_const.sval.sval) == PLACEHOLDER
    if kind == "type_cast":
        cast = side.type_cast
        is_object = strings(cast.type_name.names)[-1] in REG_TYPES
        return is_object or _is_tenants(cast.arg)
    if kind == "func_call":
        name = strings(side.func_call.funcname)[-1]
        return name in CURRENT | TO_OBJECT or any(map(_is_tenants, side.func_call.args))
    if kind == "a_array_expr":
        return all(map(_is_tenants, side.a_array_expr.elements))
    if kind == "list":
        return all(map(_is_tenants, side.list.items))
    return kind in {"sqlvalue_function", "sql_value_function", "param_ref", "sub_link"}


def _looked_up(statement: Statement, revision: Revision) -> Iterator[str]:
    """Return names in to_regclass() and ::regclass that do not lead to the tenant's schema alone.

    Without a schema they lead along the search path: to the tenant's, then to the extensions'.
    """
    for node in nodes(statement.node, "FuncCall"):
        if strings(node.funcname)[-1] == "to_regclass" and node.args:
            yield from _elsewhere(node.args[0], revision)
    for node in nodes(statement.node, "TypeCast"):
        if strings(node.type_name.names)[-1] == "regclass":
            yield from _elsewhere(node.arg, revision)


def _elsewhere(given: Any, revision: Revision) -> Iterator[str]:
    if given.WhichOneof("node") != "a_const":
        return
    name = str(given.a_const.sval.sval)
    schema, dot, _ = name.rpartition(".")
    schema = schema.strip('"')
    is_foreign = bool(dot) and not revision.is_own(schema)
    if name and (is_foreign or (not dot and revision.extension_schemas)):
        yield name

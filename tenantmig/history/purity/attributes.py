"""What asking for an attribute gives, kind by kind.

An attribute is let pass where an allow-list has it, and is a finding otherwise.
"""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

from tenantmig.history.purity import allowed
from tenantmig.history.purity.allowed import matches
from tenantmig.history.purity.values import (
    ELEMENT,
    NOTHING,
    PLAIN,
    TENANT,
    Kind,
    Value,
    Values,
    one,
)

if TYPE_CHECKING:
    from tenantmig.history.purity.expressions import Expressions

METHOD = "method of "
OF_CONNECTION: dict[str, Values] = {"dialect": one(Kind.DIALECT), "get_execution_options": TENANT}
OF_CONTEXT: dict[str, Values] = {
    "bind": one(Kind.CONNECTION),
    "connection": one(Kind.CONNECTION),
    "dialect": one(Kind.DIALECT),
    "impl": one(Kind.IMPL),
    "opts": TENANT,
    "config": one(Kind.CONFIG),
    "environment_context": one(Kind.CONFIG),
    "version_table_schema": TENANT,
}
OF_INSPECTOR: dict[str, Values] = {
    "dialect": one(Kind.DIALECT),
    "default_schema_name": TENANT,
    "bind": one(Kind.CONNECTION),
    "engine": one(Kind.ENGINE),
}
LOGGING = frozenset({"debug", "info", "warning", "warn", "error", "exception", "critical", "log"})


def attribute(at: Expressions, node: ast.Attribute, values: Values, name: str) -> Values:
    """What `values.name` can be."""
    if (
        name.startswith("__")
        and name not in {"__name__", "__doc__", "__tablename__", "__table__"}
        and not (name == "__init__" and {v.path for v in values} == {"project:super"})
    ):
        return at.impure(node, f"it reads {name}")
    found: Values = NOTHING
    for value in values:
        found |= _attribute(at, node, value, name)
    return found


def _attribute(at: Expressions, node: ast.Attribute, value: Value, name: str) -> Values:  # noqa: C901, PLR0912  a case a kind
    match value.kind:
        case Kind.LIBRARY if value.path.startswith("builtins."):
            if name not in {"fromkeys", "maketrans", "fromhex", "from_bytes", "join"}:
                return at.impure(node, f"it calls {name} of {value.path}")
            return one(Kind.LIBRARY, f"{value.path}.{name}")
        case Kind.LIBRARY if f"{value.path}.{name}" == "alembic.context.config":
            return one(Kind.CONFIG)
        case Kind.LIBRARY:
            return at.prover.library(at, node, f"{value.path}.{name}")
        case Kind.MODULE | Kind.CLASS if at.is_environment:
            return one(Kind.FOREIGN, f"{value.path}.{name}")
        case Kind.MODULE:
            return at.prover.member(at, node, value, name)
        case Kind.CLASS:
            return at.prover.classes.member(at, node, value, name)
        case Kind.CONNECTION:
            return _listed(at, node, value, name, allowed.CONNECTION, OF_CONNECTION)
        case Kind.CONTEXT:
            return _listed(at, node, value, name, allowed.CONTEXT, OF_CONTEXT)
        case Kind.INSPECTOR:
            return _listed(at, node, value, name, allowed.INSPECTOR, OF_INSPECTOR)
        case Kind.DIALECT:
            tenant = {"default_schema_name": TENANT}
            return _listed(at, node, value, name, allowed.DIALECT, tenant)
        case Kind.IMPL:
            tenant = {"context_opts": TENANT, "dialect": one(Kind.DIALECT)}
            return _listed(at, node, value, name, frozenset(), tenant)
        case Kind.ENGINE:
            kept = frozenset({"connect", "begin", "dialect", "name", "driver"})
            return _listed(at, node, value, name, kept, {"dialect": one(Kind.DIALECT)})
        case Kind.TABLE:
            columns = one(Kind.SHARED, "sqlalchemy.column")
            known = {"c": columns, "columns": columns}
            return _listed(at, node, value, name, allowed.TABLE, known)
        case Kind.METADATA:
            of_base = {"metadata": frozenset({value})}
            return _listed(at, node, value, name, allowed.METADATA, of_base)
        case Kind.FILE:
            return _listed(at, node, value, name, allowed.FILE, {})
        case Kind.CONFIG:
            return frozenset({value})
        case Kind.TENANT if value.path == "environment":
            is_text = name in {"name", "schema", "search_path_sql"}
            return TENANT if is_text else frozenset({value})
        case Kind.TENANT:
            return frozenset({Value(Kind.TENANT, METHOD + name)})
        case Kind.FOREIGN | Kind.STATE:
            if at.is_environment:
                return one(Kind.FOREIGN)
            return at.impure(
                node, f"it uses {ast.unparse(node.value)}, which tenantmig does not know"
            )
        case Kind.FUNCTION:
            if name == "__name__":
                return PLAIN
            return at.impure(node, f"it stores something on the function {value.path}")
        case Kind.CONSTANT if value.path == ELEMENT:
            return one(Kind.CONSTANT)
        case _:
            return _of_data(at, node, value, name)


def _of_data(at: Expressions, node: ast.Attribute, value: Value, name: str) -> Values:
    """Attributes of data and of constructs."""
    if value.path == "logging.getLogger":
        if name in LOGGING:
            return frozenset({value})
        return at.impure(node, f"it uses {name} of a logger")
    if name in {"default_schema_name", "version_table_schema"}:
        at.findings.formats_tenant = True
        return TENANT
    if (
        value.kind is Kind.MADE
        and value.tells
        and name in {"schema", "fullname", "text", "string", "name"}
    ):
        return TENANT
    if name in allowed.TELLING and not (value.kind is Kind.MADE and name == "session"):
        if name in {"connection", "get_bind", "bind"} and value.kind is Kind.MADE:
            return one(Kind.CONNECTION)
        if not (value.kind is Kind.MADE and name in {"metadata", "info"}):
            return at.impure(node, f"it reads {name} of data")
    return frozenset({value})


def _listed(
    at: Expressions,
    node: ast.Attribute,
    value: Value,
    name: str,
    harmless: frozenset[str],
    known: dict[str, Values],
) -> Values:
    if name in known:
        if known[name] == TENANT:
            at.findings.formats_tenant = True
        if name == "engine":
            at.moment(node, "it opens a connection of its own")
        return known[name]
    if matches(name, harmless):
        return frozenset({Value(value.kind, METHOD + name, tells=value.tells)})
    if value.kind is Kind.CONNECTION and name in allowed.COMMITS:
        at.moment(node, f"it calls {name}() itself")
        return frozenset({Value(value.kind, METHOD + name)})
    if value.kind is Kind.CONNECTION and name == "engine":
        at.moment(node, "it opens a connection of its own")
        return one(Kind.ENGINE)
    return at.impure(node, f"it uses {name} of the {value.kind}")

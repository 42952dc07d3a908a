"""What calling a method gives: of a construct, of what tells the tenant, of data."""

from __future__ import annotations

import ast
from string import Formatter
from typing import TYPE_CHECKING

from tenantmig.history.purity import allowed
from tenantmig.history.purity.builtin_calls import refuse_unknown
from tenantmig.history.purity.handed import called, check_given, check_handed, held_by
from tenantmig.history.purity.values import (
    BOX,
    ELEMENT,
    IMMUTABLE,
    NOTHING,
    PLAIN,
    SHALLOW,
    TENANT,
    Kind,
    Value,
    Values,
    one,
    taken_out,
    tells,
)

if TYPE_CHECKING:
    from tenantmig.history.purity.expressions import Expressions

OF_PROJECT = ("project:", "mapped:")
"""How the path of an object of the project begins; a mapped one belongs to a session."""


def method(at: Expressions, node: ast.Call, function: Value, given: Values) -> Values:
    """A method of a construct, or a construct that is called."""
    name = node.func.attr if isinstance(node.func, ast.Attribute) else ""
    if name in allowed.COMMITS and function.kind is Kind.MADE:
        at.moment(node, f"it calls {name}() itself")
    if function.kind is Kind.METADATA:
        tables = frozenset(v for v in given if v.kind is Kind.TABLE)
        check_given(at, node, given - tables)
        return PLAIN
    if function.path.startswith("operator."):
        return PLAIN | taken_out(held_by(given))
    if function.path.startswith(OF_PROJECT):
        check_handed(at, node, given)
        if tells(given):
            at.asks(node, "passes to a method")
    check_given(at, node, given, tables=True)
    if function.kind is Kind.TABLE:
        return one(Kind.MADE, function.path, tells=tells(given))
    is_told = function.tells or tells(given)
    is_kept = at.is_module or (
        function.kind is Kind.SHARED and function.path.startswith(OF_PROJECT)
    )
    made = one(function.kind if is_kept else Kind.MADE, function.path, tells=is_told)
    return made if at.is_module else made | held_by(given)


def of_tenant(at: Expressions, node: ast.Call, function: Value, positional: list[Values]) -> Values:
    """A method of what tells the tenant: only looking an option up by its name."""
    name = node.func.attr if isinstance(node.func, ast.Attribute) else ""
    at.findings.formats_tenant = True
    is_changing = name.startswith(("set_", "merge_", "remove_"))
    told: Values = frozenset().union(NOTHING, *positional)
    if is_changing and (tells(told) or not at.is_environment):
        at.impure(node, "it changes the configuration")
    first = node.args[0] if node.args else None
    is_text = isinstance(first, ast.Constant) and not isinstance(first.value, int)
    if name in {"get", "get_main_option", "get_section_option"} and is_text:
        rest: Values = frozenset().union(NOTHING, *positional[1:])
        return TENANT | rest
    if function.kind is Kind.CONFIG and at.is_environment:
        return frozenset({function})
    if name in {"get_section", "get_x_argument"}:
        return TENANT
    return at.asks(node, f"calls {name or 'a function'}() of")


def of_plain(at: Expressions, node: ast.Call, base: Values, given: Values) -> Values:
    """A method of data."""
    name = node.func.attr if isinstance(node.func, ast.Attribute) else ""
    refuse_unknown(at, node, name, given)
    called(at, node, given)
    if tells(given) and name not in allowed.CHANGING:
        at.findings.formats_tenant = True
        if (
            (name == "join" and BOX in given)
            or (name == "replace" and not tells(at.eval(node.args[0])))
            or (name == "format" and _is_whole(node))
        ):
            return TENANT
        return at.asks(node, f"calls {name}() with")
    if name in {"items", "values", "keys", "get", "setdefault", "pop", "popitem", "popleft"}:
        return base | given
    if name == "copy":
        kept = any(v.kind is Kind.CONSTANT and v.path != IMMUTABLE for v in base)
        if at.is_module:
            return base
        return (
            frozenset(v for v in base if v.kind is not Kind.CONSTANT or v.path == ELEMENT)
            | {BOX}
            | ({SHALLOW} if kept else set())
        )
    if at.is_module:
        return one(Kind.CONSTANT, "immutable" if name not in {"split", "splitlines"} else "")
    return PLAIN


def _is_whole(node: ast.Call) -> bool:
    """True when `"...".format(...)` puts whole texts in."""
    template = node.func.value if isinstance(node.func, ast.Attribute) else None
    if not (isinstance(template, ast.Constant) and isinstance(template.value, str)):
        return False
    return all(
        not spec and "." not in (field or "") and "[" not in (field or "")
        for _, field, spec, _ in Formatter().parse(template.value)
    )

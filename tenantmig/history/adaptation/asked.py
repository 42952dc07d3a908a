"""What an env.py asks from outside: the keys of `-x`, and values that are not its own. Pure."""

from __future__ import annotations

import ast
import re

from tenantmig.history.adaptation.names import names_of
from tenantmig.history.adaptation.text import loaded

FROM_OUTSIDE = re.compile(
    r"environ|getenv|attributes|get_main_option|get_section|get_x_argument|getenv"
)
KEYS = frozenset({"tenant", "schema"})


def asked_key(value: ast.AST, tree: ast.Module) -> str | None:
    """Return the key of `-x` that an expression asks for itself: tenant or schema."""
    for node in ast.walk(value):
        match node:
            case ast.Call(func=ast.Attribute(value=of, attr="get" | "pop"), args=[key, *_]):
                pass
            case ast.Subscript(value=of, slice=key):
                pass
            case _:
                continue
        is_asked = "get_x_argument" in ast.unparse(of) or (
            isinstance(of, ast.Name) and is_x(of.id, tree)
        )
        if is_asked and isinstance(key, ast.Constant) and key.value in KEYS:
            return str(key.value)
    return None


def asked_itself(value: ast.AST, tree: ast.Module) -> str | None:
    """Return the key if an expression is what was asked for, or a default: nothing made of it."""
    match value:
        case ast.BoolOp(op=ast.Or(), values=[first, *_]):
            return asked_itself(first, tree)
        case ast.Lambda(body=body) | ast.NamedExpr(value=body):
            return asked_itself(body, tree)
        case ast.IfExp(body=body, orelse=orelse):
            return asked_itself(body, tree) or asked_itself(orelse, tree)
        case ast.Call(func=ast.Attribute(value=inner, attr="strip"), args=[]):
            return asked_itself(inner, tree)
        case ast.Call(func=ast.Name(id="str"), args=[inner]):
            return asked_itself(inner, tree)
        case ast.Call(func=ast.Attribute(value=of, attr="get" | "pop")) | ast.Subscript(value=of):
            return asked_key(value, tree) if asked_key(of, tree) is None else None
    return None


def is_x(name: str, tree: ast.Module) -> bool:
    """True for a variable that holds the arguments of `-x`."""
    return any(
        isinstance(node, ast.Assign)
        and names_of(node) == [name]
        and re.search(r"get_x_argument\([^()]*\)$", ast.unparse(node.value)) is not None
        for node in ast.walk(tree)
    )


def is_fixed(value: ast.expr, tree: ast.Module) -> bool:
    """True for what is no tenant's: a constant, or made of what does not come from outside."""
    assigned = {name for node in ast.walk(tree) for name in names_of(node)}
    is_outside = FROM_OUTSIDE.search(ast.unparse(value)) is not None
    return isinstance(value, ast.Constant) or not (is_outside or loaded([value]) & assigned)

"""Signatures: what a call gives each parameter of a function, and which names are its own."""

from __future__ import annotations

import ast
from collections.abc import Iterable
from typing import TYPE_CHECKING

from tenantmig.history.purity.values import BOX, NOTHING, PLAIN, Kind, Value, Values, one

if TYPE_CHECKING:
    from tenantmig.history.purity.expressions import Expressions


def parameters(function: ast.FunctionDef | ast.Lambda) -> list[ast.arg]:
    """Return every parameter of a function, in order."""
    a = function.args
    rest = [arg for arg in (a.vararg, a.kwarg) if arg is not None]
    return [*a.posonlyargs, *a.args, *a.kwonlyargs, *rest]


def bind_arguments(
    at: Expressions,
    function: ast.FunctionDef | ast.Lambda,
    positional: list[Values],
    named: dict[str, Values],
) -> None:
    """Give each parameter what a call gives it; with `*` and `**` each may get any of it."""
    known = parameters(function)
    at.parameters = frozenset(argument.arg for argument in known)
    spread: Values = named.get("**", NOTHING) | named.get("*", NOTHING)
    given = {a.arg: v for a, v in zip(known, positional, strict=False)}
    beyond: Values = frozenset().union(NOTHING, *positional)
    if any(BOX in v for v in positional) or named.get("**"):
        pass
    for argument in known:
        is_rest = argument in {function.args.vararg, function.args.kwarg}
        values = given.get(argument.arg, NOTHING) | named.get(argument.arg, NOTHING) | spread
        if is_rest:
            values |= beyond | frozenset().union(NOTHING, *named.values()) | {BOX}
        at.bind(argument.arg, values or PLAIN)
    outer = at.outer or at
    names = [a.arg for a in function.args.posonlyargs + function.args.args]
    defaults = zip(reversed(names), reversed(function.args.defaults), strict=False)
    keyword = zip((a.arg for a in function.args.kwonlyargs), function.args.kw_defaults, strict=True)
    for name, default in (*defaults, *keyword):
        if default is not None and name not in given and name not in named:
            at.bind(name, _default(outer, default))


def _default(at: Expressions, default: ast.expr) -> Values:
    """A default is made once, when the function is: nobody may change it."""
    if isinstance(default, ast.Constant):
        return PLAIN
    if isinstance(default, ast.List | ast.Dict | ast.Set):
        return one(Kind.CONSTANT)
    return frozenset(
        Value(Kind.CONSTANT)
        if value.kind is Kind.PLAIN
        else Value(Kind.STATE)
        if value.kind is Kind.MADE
        else value
        for value in at.eval(default)
    )


def assigned(function: ast.FunctionDef | ast.Lambda) -> Iterable[str]:
    """The names that are local to a function."""
    found: set[str] = set()
    pending: list[ast.AST] = list(ast.iter_child_nodes(function))
    while pending:
        node = pending.pop()
        match node:
            case ast.Name():
                if isinstance(node.ctx, ast.Store):
                    found.add(node.id)
                continue
            case ast.Constant() | ast.expr_context():
                continue
            case ast.FunctionDef(name=name) | ast.ClassDef(name=name):
                found.add(name)
                continue
            case ast.Lambda():
                continue
            case ast.alias(name=name, asname=asname):
                found.add(asname or name.partition(".")[0])
            case ast.ExceptHandler(name=name) if name:
                found.add(name)
        pending += ast.iter_child_nodes(node)
    return found

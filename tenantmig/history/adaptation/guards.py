"""Conditions and frames of an env.py: which mean nothing without the tenant's own lines. Pure."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable

from tenantmig.history.adaptation.asked import KEYS, asked_itself, is_x
from tenantmig.history.adaptation.lines import ENDING, LOGGING

LOOKING = frozenset(
    {"get_schema_names", "has_schema", "inspect", "execute", "scalar", "scalars", "fetchone",
     "first", "text", "is_offline_mode", "get", "len"}
)  # fmt: skip
"""What a condition calls to see whether a schema is there."""
OPENING = frozenset({"begin", "begin_nested", "connect", "cursor", "closing", "suppress"})
"""What a `with` calls around own lines."""
CLOSING = frozenset({"cursor", "close", *ENDING, *LOGGING})
"""What a listener calls beside them."""
CHANGING = re.compile(r"\b(insert|update|delete|set|create|alter|drop|grant)\b", re.IGNORECASE)


def is_guard(test: ast.expr, names: Iterable[str], tree: ast.Module) -> bool:
    """True for a condition that asks only whether the tenant was given."""
    match test:
        case ast.BoolOp(values=values):
            return all(is_guard(one, names, tree) for one in values)
        case ast.UnaryOp(op=ast.Not(), operand=operand):
            return is_guard(operand, names, tree)
        case ast.Compare(left=ast.Constant(value=key), ops=[ast.In() | ast.NotIn()]):
            of = test.comparators[0]
            is_asked = "get_x_argument" in ast.unparse(of)
            return key in KEYS and (is_asked or (isinstance(of, ast.Name) and is_x(of.id, tree)))
        case ast.Compare(
            left=left,
            ops=[ast.Is() | ast.IsNot() | ast.Eq() | ast.NotEq()],
            comparators=[ast.Constant(value=None | "")],
        ):
            return is_guard(left, names, tree)
        case ast.Name(id=name):
            return name in names
        case ast.Call(func=ast.Name(id=name), args=[]):
            return name in names
    return asked_itself(test, tree) is not None


def is_looking(test: ast.expr) -> bool:
    """True for a condition that changes nothing."""
    is_sql = any(
        isinstance(one, ast.Constant) and isinstance(one.value, str) and CHANGING.search(one.value)
        for one in ast.walk(test)
    )
    return not is_sql and _calls(test) <= LOOKING


def is_plain_frame(block: ast.AST) -> bool:
    """True for a block that does nothing by its head, or its `finally`."""
    match block:
        case ast.If(test=test):
            return is_looking(test)
        case ast.With() | ast.AsyncWith():
            return is_opening(block)
        case ast.Try(finalbody=finalbody):
            return all(_calls(one) <= CLOSING for one in finalbody)
    return True


def is_listener(node: ast.AST) -> bool:
    """True for a function that an event calls."""
    decorators = node.decorator_list if isinstance(node, ast.FunctionDef) else []
    return any("listens_for" in ast.unparse(one) for one in decorators)


def is_opening(statement: ast.With | ast.AsyncWith) -> bool:
    """True for a `with` that opens a connection, a transaction or a cursor, and nothing else."""
    return all(
        isinstance(item.context_expr, ast.Call) and _calls(item.context_expr) <= OPENING
        for item in statement.items
    )


def sets_only_locals(function: ast.FunctionDef) -> bool:
    """True when a listener leaves nothing behind but what it sends."""
    targets = [
        target
        for one in ast.walk(function)
        if isinstance(one, ast.Assign)
        for target in one.targets
    ]
    return all(
        isinstance(one, ast.Name) or (isinstance(one, ast.Attribute) and one.attr == "autocommit")
        for one in targets
    )


def _calls(node: ast.AST) -> set[str]:
    return {
        ast.unparse(one.func).rpartition(".")[2]
        for one in ast.walk(node)
        if isinstance(one, ast.Call)
    }

"""Statements of an env.py, by what they are. Pure."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from tenantmig.history.adaptation.text import Function

ENDING = frozenset({"commit", "rollback"})
LOGGING = frozenset({"print", "echo", "secho", "debug", "info", "warning", "error", "log"})


def body_of(function: Function) -> list[ast.stmt]:
    """Return the statements of a function, without its docstring."""
    first = function.body[0]
    is_told = isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant)
    return function.body[1:] if is_told else function.body


def blocks(statement: ast.stmt) -> Iterator[list[ast.stmt]]:
    """Yield the blocks of a statement."""
    for field in ("body", "orelse", "finalbody"):
        yield from ([block] if (block := getattr(statement, field, None)) else [])


def statements_of(body: list[ast.stmt]) -> Iterator[ast.stmt]:
    """Yield the statements of a scope, without those of functions within."""
    for statement in body:
        yield statement
        if not isinstance(statement, Function | ast.ClassDef):
            for block in blocks(statement):
                yield from statements_of(block)


def is_mapping(call: ast.Call) -> bool:
    """True for `execution_options(schema_translate_map=...)` and nothing beside."""
    is_options = isinstance(call.func, ast.Attribute) and call.func.attr == "execution_options"
    is_named = isinstance(call.func, ast.Attribute) and isinstance(call.func.value, ast.Name)
    return is_options and is_named and [k.arg for k in call.keywords] == ["schema_translate_map"]


def is_soft(statement: ast.stmt) -> bool:
    """True for what stands beside own lines and means nothing without them."""
    if isinstance(statement, ast.Pass | ast.Raise):
        return True
    return is_commit(statement) or (
        isinstance(statement, ast.Expr)
        and isinstance(statement.value, ast.Call)
        and ast.unparse(statement.value.func).rpartition(".")[2] in LOGGING
    )


def is_commit(statement: ast.stmt) -> bool:
    """True for `connection.commit()` or `rollback()`."""
    value = statement.value if isinstance(statement, ast.Expr) else None
    value = value.value if isinstance(value, ast.Await) else value
    return (
        isinstance(value, ast.Call)
        and isinstance(value.func, ast.Attribute)
        and value.func.attr in ENDING
        and not value.args
    )


def is_refusal(statement: ast.stmt) -> bool:
    """True for what ends env.py."""
    is_exit = isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Call) and (
        ast.unparse(statement.value.func) in {"sys.exit", "exit", "quit"}
    )  # fmt: skip
    return is_exit or isinstance(statement, ast.Raise)


def only_returns(function: Function) -> bool:
    """True for a function that only finds out what it returns."""
    plain = ast.Assign | ast.AnnAssign | ast.If | ast.Return | ast.Raise
    return any(isinstance(one, ast.Return) for one in ast.walk(function)) and all(
        isinstance(one, plain) or is_soft(one) for one in statements_of(body_of(function))
    )

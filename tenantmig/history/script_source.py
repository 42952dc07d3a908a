"""The source of a migration script: what can be known of it without running it. Pure."""

from __future__ import annotations

import ast
import marshal
import re
from functools import lru_cache
from pathlib import Path
from types import CodeType

from tenantmig.domain.python_source import parse_source

NO_SOURCE = "only its bytecode exists, so nothing can be proved"


def is_bytecode(file: str) -> bool:
    """True for a script of a `sourceless` history."""
    return not file.endswith(".py")


@lru_cache(maxsize=4096)
def has_autocommit_block(file: str) -> bool:
    """True when the script runs statements outside a transaction (`autocommit_block`)."""
    if is_bytecode(file):
        return "autocommit_block" in _names(_code_of(file))
    return any(
        isinstance(node, ast.Attribute) and node.attr == "autocommit_block"
        for node in ast.walk(parse_source(file))
    )


@lru_cache(maxsize=4096)
def irreversible_reason(file: str) -> str | None:
    """Say why the script's `downgrade()` always refuses, or None.

    It does when it calls `irreversible(...)` or raises as one of its own statements. Compiling it
    offline instead would take every downgrade that reads a row for irreversible: 111 of 162 in one
    published history. Of bytecode alone nothing is known.
    """
    if is_bytecode(file):
        return None
    for node in parse_source(file).body:
        if isinstance(node, ast.FunctionDef) and node.name == "downgrade":
            return next(filter(None, map(_refusal, _reached(node.body))), None)
    return None


def _reached(body: list[ast.stmt]) -> list[ast.stmt]:
    """The statements that are always reached: those before the first `return`."""
    ends = [i for i, statement in enumerate(body) if isinstance(statement, ast.Return)]
    return body[: ends[0]] if ends else body


def _refusal(statement: ast.stmt) -> str | None:
    if isinstance(statement, ast.Raise):
        raised = ast.unparse(statement.exc) if statement.exc else "an error"
        return f"its downgrade() raises {raised}"
    if not (isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Call)):
        return None
    call = statement.value
    name = call.func.attr if isinstance(call.func, ast.Attribute) else ast.unparse(call.func)
    if name != "irreversible":
        return None
    words = [a.value for a in call.args if isinstance(a, ast.Constant)]
    return str(words[0]).rstrip(".") if words else "its script says so"


def without_comments(text: str) -> str:
    """Return a text of SQL with its comments blanked."""
    return re.sub(r"--[^\n]*|/\*.*?\*/", " ", text, flags=re.DOTALL)


def creates_from_models(file: str) -> bool:
    """True when the script creates tables that it does not name (`metadata.create_all`)."""
    nodes = ast.walk(parse_source(file))
    return any(isinstance(node, ast.Attribute) and node.attr == "create_all" for node in nodes)


def _code_of(file: str) -> CodeType:
    """Return the code of a .pyc of this Python (PEP 552: a header of 16 bytes)."""
    code: CodeType = marshal.loads(Path(file).read_bytes()[16:])  # noqa: S302  it is run as well
    return code


def _names(code: CodeType) -> set[str]:
    inner = (each for each in code.co_consts if isinstance(each, CodeType))
    return {*code.co_names, *(name for each in inner for name in _names(each))}

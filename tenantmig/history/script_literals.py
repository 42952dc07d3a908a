"""Literals of SQL in the text of a script, and the names that stand in them. Runs nothing."""

from __future__ import annotations

import ast
import re
from typing import NamedTuple

from tenantmig.domain.python_source import parse_source
from tenantmig.history.script_source import is_bytecode, without_comments


class Literal(NamedTuple):
    """A text that stands in a script as it is, and its line."""

    line: int
    text: str


def sql_literals(file: str, function: str) -> list[Literal]:
    """Return what a function of the script gives to `execute()` or `text()` as it stands."""
    return [
        Literal(node.lineno, node.args[0].value)
        for body in parse_source(file).body
        if isinstance(body, ast.FunctionDef) and body.name == function
        for node in ast.walk(body)
        if isinstance(node, ast.Call)
        and ast.unparse(node.func).rpartition(".")[2] in {"execute", "text"}
        and node.args
        and isinstance(node.args[0], ast.Constant)
        and isinstance(node.args[0].value, str)
    ]


def names_in_literals(file: str) -> set[str]:
    """Return the literals of a script that may be names: of a table, a type or a function."""
    return {
        node.value
        for node in ast.walk(parse_source(file))
        if isinstance(node, ast.Constant)
        and isinstance(node.value, str)
        and node.value.isidentifier()
    }


EXTENSION = re.compile(
    r"""\bcreate\s+extension\s+(?:if\s+not\s+exists\s+)?(?:"([^"]+)"|([a-z_][\w$]*))""",
    re.IGNORECASE,
)


def extensions_made(file: str) -> tuple[str, ...]:
    """Return the extensions that the texts of a script create, each once."""
    if is_bytecode(file):
        return ()
    found: dict[str, None] = {}
    for node in ast.walk(parse_source(file)):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            for quoted, plain in EXTENSION.findall(without_comments(node.value)):
                found[quoted or plain.lower()] = None
    return tuple(found)

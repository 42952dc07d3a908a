"""Which scripts may write rows: all but those whose `upgrade()` only makes objects. Pure.

A script is cleared only by what it calls directly: Alembic's directives for objects, and texts of
statements that begin as those for objects do. Whatever else it calls may write rows.
"""

from __future__ import annotations

import ast
import builtins
import re
from collections.abc import Iterator
from functools import lru_cache

from tenantmig.script_source import is_bytecode, parse_source

OBJECTS = frozenset(
    {"f", "inline_literal", "get_context", "batch_alter_table"}
    | {f"{act}_{what}" for act in ("create", "drop") for what in ("table", "column", "index")}
    | {"add_column", "alter_column", "rename_table", "drop_constraint", "create_check_constraint"}
    | {"create_foreign_key", "create_primary_key", "create_unique_constraint"}
    | {"create_exclude_constraint", "create_table_comment", "drop_table_comment"}
)
"""Directives of `alembic.op`, and of a batch, that write no row of their own."""
SEND = frozenset({"execute", "text"})
HARMLESS = frozenset(dir(builtins)) - {"exec", "eval", "getattr", "__import__", "compile", "open"}
BEGIN = re.compile(
    r"(create|alter|drop|comment|grant|revoke|set|reset|reindex|analyze)\b", re.IGNORECASE
)
FILLED = re.compile(
    r"create\b.*\b(table|materialized)\b.*\bas[\s(]*(select|with|values|table|execute)\b",
    re.IGNORECASE | re.DOTALL,
)
QUOTED = re.compile(r"\$(\w*)\$.*?\$\1\$|'(?:[^']|'')*'|--[^\n]*|/\*.*?\*/", re.DOTALL)


@lru_cache(maxsize=4096)
def may_write_rows(file: str) -> bool:
    """True unless the script shows that its `upgrade()` writes no row."""
    if is_bytecode(file):
        return True
    module = parse_source(file)
    known = set(_harmless_names(module))
    body = [
        node
        for node in module.body
        if not (isinstance(node, ast.FunctionDef) and node.name == "downgrade")
    ]
    return not all(_is_cleared(node, known) for node in body)


def _harmless_names(module: ast.Module) -> Iterator[str]:
    """Yield the names of SQLAlchemy, of the script's own functions, and of batches."""
    yield from HARMLESS
    for node in ast.walk(module):
        if isinstance(node, ast.FunctionDef):
            yield node.name
        if isinstance(node, ast.Import):
            for name in node.names:
                if name.name.partition(".")[0] == "sqlalchemy":
                    yield (name.asname or name.name).partition(".")[0]
        if isinstance(node, ast.ImportFrom) and str(node.module).startswith("sqlalchemy"):
            yield from (name.asname or name.name for name in node.names)


def _is_cleared(node: ast.AST, known: set[str]) -> bool:
    """True when nothing in the node can write a row."""
    if isinstance(node, ast.Call):
        return _is_cleared_call(node, known)
    return all(_is_cleared(inner, known) for inner in ast.iter_child_nodes(node))


def _is_cleared_call(call: ast.Call, known: set[str]) -> bool:
    function = ast.unparse(call.func)
    root, _, name = function.rpartition(".")
    if function == "op.get_context().autocommit_block":
        return True
    if name in SEND and root != "":
        return len(call.args) == 1 and _is_of_objects(call.args[0], known)
    if name in OBJECTS and root:
        return True
    is_known = re.split(r"\W", function, maxsplit=1)[0] in known
    return is_known and all(_is_cleared(inner, known) for inner in ast.iter_child_nodes(call))


def _is_of_objects(argument: ast.expr, known: set[str]) -> bool:
    """True for a text whose statements all begin as those do that make or alter objects."""
    if isinstance(argument, ast.Call):
        name = ast.unparse(argument.func).rpartition(".")[2]
        return name == "text" and _is_cleared_call(argument, known)
    if not (isinstance(argument, ast.Constant) and isinstance(argument.value, str)):
        return False
    bare = QUOTED.sub(lambda found: " " if found[0][:2] in {"--", "/*"} else "''", argument.value)
    statements = filter(None, map(str.strip, bare.split(";")))
    return all(BEGIN.match(one) and not FILLED.match(one) for one in statements)

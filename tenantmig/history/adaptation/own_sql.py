"""SQL in an env.py that the driver sends already: read from the expressions that make it. Pure."""

from __future__ import annotations

import ast
import re

from tenantmig.history.adaptation.names import names_of

OWN_SQL = re.compile(
    r"\s*(create\s+schema\s+(if\s+not\s+exists\s+)?[^\s?]*\?[^\s?]*\s*$"
    r"|set\s+(local\s+|session\s+)?(search_path\b|schema\s)"
    r"|select\s+(pg_catalog\.)?set_config\s*\(\s*'search_path'([^()]|\([^()]*\))*\)\s*$)",
    re.IGNORECASE | re.DOTALL,
)
"""One statement, in which `?` stands for what Python puts in: others stay."""
PUT_BEHIND = re.compile(
    r"search_path\s*(=|\bto\b)[^,]*,.*\?|'search_path'\s*,[^,]*,.*\?", re.IGNORECASE | re.DOTALL
)
"""What Python puts behind the first schema of a search path: another's than the tenant's."""
ENDING_SQL = re.compile(r"\s*(commit|rollback|begin)\s*;?\s*", re.IGNORECASE)
SENDING = frozenset({"execute", "exec_driver_sql", "scalar", "scalars"})


def behind_the_tenant(source: str) -> list[str]:
    """Return the schemas that an env.py puts behind the tenant's on the search path."""
    found: list[str] = []
    for node in ast.walk(ast.parse(source)):
        value = node.value if isinstance(node, ast.Constant) else None
        if isinstance(value, str) and (
            "search_path" in value.lower() or value.lstrip(' "').startswith(",")
        ):
            rest = value.partition(",")[2].partition(";")[0]
            found += [name.strip(' "') for name in rest.split(",")]
    plain = re.compile(r"(?!pg_)[a-z_][a-z0-9_]*")
    return list(dict.fromkeys(name for name in found if plain.fullmatch(name)))


def is_own_sql(text: str) -> bool:
    """True for SQL that creates the tenant's schema or sets the search path, and nothing else."""
    parts = [part for part in text.split(";") if part.strip() and not ENDING_SQL.fullmatch(part)]
    return bool(parts) and all(
        OWN_SQL.match(part) and not PUT_BEHIND.search(part) for part in parts
    )


def is_sending_own(call: ast.Call, tree: ast.Module) -> bool:
    """True for a call that sends such SQL."""
    is_sent = isinstance(call.func, ast.Attribute) and call.func.attr in SENDING
    return is_sent and bool(call.args) and is_own_sql(text_of(call.args[0], tree))


def text_of(node: ast.expr, tree: ast.Module) -> str:
    """Return the SQL that an expression makes, with `?` for what is put in."""
    match node:
        case ast.Constant(value=str(value)):
            return re.sub(r":\w+|%\(\w+\)s|%s|\{[^}]*\}", "?", value)
        case ast.JoinedStr(values=values):
            return "".join(text_of(one, tree) for one in values)
        case ast.BinOp(left=left, op=ast.Mod()):
            return text_of(left, tree)
        case ast.BinOp(left=left, op=ast.Add(), right=right):
            return text_of(left, tree) + text_of(right, tree)
        case ast.Call(func=ast.Attribute(value=value, attr="format" | "bindparams" | "strip")):
            return text_of(value, tree)
        case ast.Call(func=func, args=[first, *_]):
            name = ast.unparse(func).rpartition(".")[2]
            if name == "CreateSchema":
                return "CREATE SCHEMA ?" if not isinstance(first, ast.Constant) else "?"
            return text_of(first, tree) if name in {"text", "DDL", "SQL"} else "?"
        case ast.Name(id=name):
            made = [
                one.value
                for one in ast.walk(tree)
                if isinstance(one, ast.Assign) and names_of(one) == [name]
            ]
            is_text = len(made) == 1 and not isinstance(made[0], ast.Name)
            return text_of(made[0], tree) if is_text else "?"
    return "?"

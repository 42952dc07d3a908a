"""Names that define or read the tenant in an env.py, once the TenantEnv tells it. Pure."""

from __future__ import annotations

import ast
from collections.abc import Callable

from tenantmig.history.adaptation.guards import (
    is_guard,
)
from tenantmig.history.adaptation.lines import (
    is_refusal,
    is_soft,
)
from tenantmig.history.adaptation.names import (
    OF_OURS,
    is_ours,
    names_of,
    put_into,
    readers,
)
from tenantmig.history.adaptation.text import EnvText

NEW = "_TENANT_"
"""Stands for the TenantEnv that is not there yet."""


def only_defines(
    statement: ast.stmt, names: set[str], tenants: dict[str, str], tree: ast.Module
) -> bool:
    """True for what gives names to the tenant, or guards them, and nothing else."""
    match statement:
        case ast.Assign() | ast.AnnAssign():
            given = names_of(statement)
            return len(given) == 1 and given[0] in names and not is_ours(statement)
        case ast.If(test=test):
            inner = [*statement.body, *statement.orelse]
            return is_guard(test, tenants, tree) and all(
                only_defines(one, names, tenants, tree) or is_refusal(one) or is_soft(one)
                for one in inner
            )
        case ast.Assert(test=test):
            return is_guard(test, tenants, tree)
    return False


def ask_ours(
    text: EnvText, name: str | None, tenants: dict[str, str], is_gone: Callable[[ast.AST], bool]
) -> None:
    """Let what still reads the tenant's schema, or name, read it from the TenantEnv."""
    tree, ours = text.tree, name or NEW
    nodes = list(ast.walk(tree))
    asked = {id(n.value) for n in nodes if isinstance(n, ast.Attribute) and n.attr in OF_OURS}
    calls = {id(node.func): node for node in nodes if isinstance(node, ast.Call)}
    texts = [node for node in nodes if isinstance(node, ast.JoinedStr)]
    inside = {id(node): one for one in texts for node in ast.walk(one)}
    for node in readers(tree, tenants):
        if (node.id == name and id(node) in asked) or is_gone(node):
            continue
        told = f"{ours}.{tenants[node.id]}"
        if id(node) in inside:  # places in an f-string are exact from Python 3.12 on
            one = inside[id(node)]
            text.replace(one, put_into(text.replaced(one), node.id, told))
        else:
            text.replace(calls.get(id(node), node), told)  # a function that finds it out

"""The variables of an env.py: which hold the tenant, and what stands in SQL that it sends. Pure."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator

from tenantmig.history.adaptation.text import bound

OF_OURS = frozenset(
    {"schema", "name", "session", "include_name", "search_path_sql", "translate_map", "settings"}
)
"""What is asked of a TenantEnv, and of no text."""


def own_name(tree: ast.Module) -> str | None:
    """Return the variable that holds the TenantEnv of an env.py, if there is one."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign) and is_tenant_env(node.value):
            target = node.targets[0]
            return target.id if isinstance(target, ast.Name) else None
    return None


def is_tenant_env(value: ast.AST) -> bool:
    """True for the call that makes a TenantEnv."""
    return isinstance(value, ast.Call) and ast.unparse(value.func).endswith("TenantEnv")


def free_name(tree: ast.Module) -> str:
    """Return a name for the TenantEnv that means nothing else in the text."""
    taken = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    taken |= {node.arg for node in ast.walk(tree) if isinstance(node, ast.arg)}
    taken |= {name for one in ast.walk(tree) if isinstance(one, ast.stmt) for name in _defined(one)}
    used = own_name(tree)
    return used or next(n for n in ("tenant", "tenant_env", "tenantmig_env") if n not in taken)


def names_of(node: ast.AST) -> list[str]:
    """Return the variables that an assignment gives a value, one by one."""
    targets: list[ast.expr] = []
    if isinstance(node, ast.Assign):
        targets = node.targets
    elif isinstance(node, ast.AnnAssign) and node.value is not None:
        targets = [node.target]
    return [one.id for one in targets if isinstance(one, ast.Name)]


def is_ours(statement: ast.AST) -> bool:
    """True for the statement that makes the TenantEnv."""
    value = getattr(statement, "value", None)
    return isinstance(value, ast.AST) and is_tenant_env(value)


def _defined(statement: ast.stmt) -> set[str]:
    kinds = ast.Import | ast.ImportFrom | ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef
    return bound([statement]) if isinstance(statement, kinds) else set()


def put_in(node: ast.AST, tree: ast.Module) -> Iterator[ast.AST]:
    """Yield what Python puts into a text: the parts of f-strings, of %, format() and +."""
    for each in ast.walk(node):
        match each:
            case ast.FormattedValue(value=value) | ast.BinOp(op=ast.Mod(), right=value):
                yield value
            case ast.BinOp(op=ast.Add(), right=value) if not _is_text(value):
                yield value
            case ast.Call(func=ast.Attribute(attr="format" | "bindparams")):
                yield from (*each.args, *(one.value for one in each.keywords))
            case ast.Call(func=func, args=[first, *_]) if ast.unparse(func).endswith("Schema"):
                yield first
            case ast.Name(id=name):
                for one in ast.walk(tree):
                    if isinstance(one, ast.Assign) and names_of(one) == [name]:
                        is_text = any(isinstance(n, ast.JoinedStr | ast.BinOp | ast.Call)
                                      for n in ast.walk(one.value))  # fmt: skip
                        is_sql = "search_path" in ast.unparse(one.value).lower()
                        if is_text and (is_sql or "schema " in ast.unparse(one.value).lower()):
                            yield from put_in(one.value, tree)


def _is_text(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant | ast.JoinedStr | ast.BinOp)


def values_of(node: ast.expr) -> Iterator[ast.AST]:
    """Yield the parameters of a statement."""
    if isinstance(node, ast.Dict):
        yield from node.values
    elif isinstance(node, ast.Tuple | ast.List):
        yield from node.elts


def readers(tree: ast.Module, names: Iterable[str]) -> Iterator[ast.Name]:
    """Yield where the names are read, but for functions in which they mean something else."""
    wanted = frozenset(names)
    pending: list[tuple[ast.AST, frozenset[str]]] = [(tree, wanted)]
    while pending:
        node, known = pending.pop()
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            given = {one.arg for one in ast.walk(node.args) if isinstance(one, ast.arg)}
            known -= given
        known -= {
            each.id
            for one in getattr(node, "generators", ())
            for each in ast.walk(one.target)
            if isinstance(each, ast.Name)
        }
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load) and node.id in known:
            yield node
        pending += [(child, known) for child in ast.iter_child_nodes(node)]


def put_into(text: str, name: str, told: str) -> str:
    """Put another expression in the place of a name, between the braces of an f-string."""
    word = re.compile(rf"(?<![\w.'\"]){re.escape(name)}\b(\s*\(\))?")
    return re.sub(r"\{[^{}]*\}", lambda part: word.sub(told, part.group()), text)

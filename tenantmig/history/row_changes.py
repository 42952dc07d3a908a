"""Which scripts may write rows: all but those whose `upgrade()` only makes objects. Pure.

A script is cleared only by proof: by calls of Alembic's directives for objects, of SQLAlchemy, of
its own functions, and by texts of statements that make or alter objects. Whatever else it calls,
or names in a way that lets another call it, may write rows.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import TypeGuard

from tenantmig.domain.python_source import parse_source
from tenantmig.history.script_source import is_bytecode
from tenantmig.postgres.parsing import UnreadableError, parse

OBJECTS = frozenset(
    {"f", "inline_literal", "batch_alter_table"}
    | {f"{act}_{what}" for act in ("create", "drop") for what in ("table", "column", "index")}
    | {"add_column", "alter_column", "rename_table", "drop_constraint", "create_check_constraint"}
    | {"create_foreign_key", "create_primary_key", "create_unique_constraint"}
    | {"create_exclude_constraint", "create_table_comment", "drop_table_comment"}
)
"""Directives of `alembic.op`, and of a batch, that write no row of their own."""
BUILTINS = frozenset(
    {"print", "len", "range", "enumerate", "zip", "str", "int", "bool", "float", "repr", "sum"}
    | {"dict", "list", "tuple", "set", "frozenset", "isinstance", "hasattr", "reversed", "sorted"}
    | {"any", "all", "min", "max", "abs", "ValueError", "RuntimeError", "NotImplementedError"}
)
"""Builtins that call nothing they are given but by `key`."""
SENDS = re.compile(
    r"engine|session|connect|begin|event|listen|\brun|exec|(create|drop)_all", re.IGNORECASE
)
"""What of SQLAlchemy may send a statement, or be told to call something."""
STATEMENTS = re.compile(
    r"(create|alter|drop|comment|grant|composite|define|index|rename|rule|variable|view|reindex"
    r"|vacuum)_(?!table_as_stmt|subscription_stmt)\w*"
)
"""The parser's names of statements that make or alter objects."""

OP, BATCH, SQLALCHEMY, FUNCTION, IMPORTED, OTHER = (
    "op", "a batch", "SQLAlchemy", "a function", "imported", "other",
)  # fmt: skip


@lru_cache(maxsize=4096)
def may_write_rows(file: str) -> bool:
    """True unless the script shows that its `upgrade()` writes no row."""
    if is_bytecode(file):
        return True
    body = _read_by_upgrade(parse_source(file))
    names = _Names(tuple(_bindings([one for node in body for one in ast.walk(node)])))
    is_defined = sum(_is_function(node, "upgrade") for node in body) == 1
    is_sole = names.kind("upgrade") == FUNCTION
    return not (is_defined and is_sole and all(_is_cleared(node, names) for node in body))


def _read_by_upgrade(module: ast.Module) -> list[ast.stmt]:
    """Return the script's statements, without a `downgrade()` that nothing else mentions.

    A decorated one stays: its decorator is called when the script is loaded.
    """
    rest = [
        node
        for node in module.body
        if not (_is_function(node, "downgrade") and not getattr(node, "decorator_list", None))
    ]
    used = {one.id for node in rest for one in ast.walk(node) if isinstance(one, ast.Name)}
    return module.body if "downgrade" in used else rest


def _is_function(node: ast.AST, name: str) -> bool:
    return isinstance(node, ast.FunctionDef) and node.name == name


@dataclass(frozen=True)
class _Names:
    """What the names of a script are bound to, wherever it binds them."""

    bound: tuple[tuple[str, str], ...]

    def kind(self, name: str) -> str | None:
        """Return what a name always is; None for one that nothing binds."""
        kinds = [kind for bound, kind in self.bound if bound == name]
        if FUNCTION in kinds and len(kinds) > 1:
            return OTHER
        return kinds[0] if len(set(kinds)) == 1 else OTHER if kinds else None

    def is_directed(self, node: ast.AST) -> bool:
        """True for `op` and for a batch, also where the name is something else besides."""
        return isinstance(node, ast.Name) and any(
            name == node.id and kind in {OP, BATCH} for name, kind in self.bound
        )


def _bindings(nodes: list[ast.AST]) -> Iterator[tuple[str, str]]:
    """Yield each name that is bound, and to what."""
    batches = {id(one.optional_vars) for one in nodes if _is_batch(one)}
    for node in nodes:
        if isinstance(node, ast.Name) and id(node) in batches:
            yield node.id, BATCH
        else:
            yield from _bound(node)


def _is_batch(node: ast.AST) -> TypeGuard[ast.withitem]:
    match node:
        case ast.withitem(context_expr=ast.Call(func=func), optional_vars=ast.Name()):
            return ast.unparse(func).endswith(".batch_alter_table")
    return False


def _bound(node: ast.AST) -> Iterator[tuple[str, str]]:
    """Yield the names that a node binds, and to what."""
    match node:
        case ast.Import() | ast.ImportFrom():
            yield from _imported(node)
        case ast.FunctionDef(name=name):
            yield name, FUNCTION
        case ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name) | ast.arg(arg=name):
            yield name, OTHER
        case ast.Name(id=name, ctx=ast.Store() | ast.Del()):
            yield name, OTHER
        case ast.ExceptHandler(name=str(name)) | ast.MatchAs(name=str(name)):
            yield name, OTHER
        case ast.MatchStar(name=str(name)) | ast.MatchMapping(rest=str(name)):
            yield name, OTHER


def _imported(node: ast.Import | ast.ImportFrom) -> Iterator[tuple[str, str]]:
    origin = str(node.module) if isinstance(node, ast.ImportFrom) else ""
    for one in node.names:
        name = (one.asname or one.name).partition(".")[0]
        package = (origin or one.name).partition(".")[0]
        if (origin, one.name) == ("alembic", "op"):
            yield name, OP
        else:
            yield name, SQLALCHEMY if package == "sqlalchemy" else IMPORTED


def _is_cleared(node: ast.AST, names: _Names, *, is_argument: bool = False) -> bool:
    """True when nothing in the node can write a row."""
    if _is_odd(node, names):
        return False
    if isinstance(node, ast.Attribute) and node.attr == "dialect":
        asked = {"op.get_context()", "op.get_bind()"}
        if ast.unparse(node.value) in asked and names.kind("op") == OP:
            return True
    if isinstance(node, ast.Call):
        return _is_cleared_call(node, names, is_argument=is_argument)
    inner = ast.iter_child_nodes(node)
    return all(_is_cleared(one, names, is_argument=is_argument) for one in inner)


def _is_odd(node: ast.AST, names: _Names) -> bool:
    """True for what lets something be called without a call that can be read here."""
    match node:
        case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
            is_decorated = bool(node.decorator_list)
            return is_decorated or (isinstance(node, ast.ClassDef) and bool(node.keywords))
        case ast.With(items=items):
            return not all(isinstance(one.context_expr, ast.Call) for one in items)
        case ast.Attribute(value=value, ctx=ctx):
            return names.is_directed(value) or not isinstance(ctx, ast.Load)
        case ast.Name(ctx=ast.Load()):
            return names.is_directed(node)
        case ast.ImportFrom(names=[ast.alias(name="*")]):
            return True
    return isinstance(node, ast.Global | ast.Nonlocal | ast.AsyncWith | ast.AsyncFor)


def _is_cleared_call(call: ast.Call, names: _Names, *, is_argument: bool) -> bool:
    function = call.func
    if ast.unparse(call) == "op.get_context().autocommit_block()":
        return names.kind("op") == OP
    if isinstance(function, ast.Attribute) and names.is_directed(function.value):
        return _is_cleared_directive(call, function, names)
    if not _is_known(function, names, is_argument=is_argument):
        return False
    if isinstance(function, ast.Name) and any(one.arg in {"key", None} for one in call.keywords):
        return False
    inner: list[ast.AST] = [*call.args, *call.keywords]
    if isinstance(function, ast.Attribute):
        inner.append(function.value)
    return all(_is_cleared(one, names, is_argument=is_argument) for one in inner)


def _is_cleared_directive(call: ast.Call, function: ast.Attribute, names: _Names) -> bool:
    """True for a call of `op` or of a batch that makes or alters objects."""
    if names.kind(ast.unparse(function.value)) not in {OP, BATCH}:
        return False
    if function.attr == "execute":
        return len(call.args) == 1 and not call.keywords and _is_of_objects(call.args[0], names)
    inner = (*call.args, *call.keywords)
    is_cleared = all(_is_cleared(one, names, is_argument=True) for one in inner)
    return function.attr in OBJECTS and is_cleared


def _is_known(function: ast.expr, names: _Names, *, is_argument: bool) -> bool:
    """True for a function that cannot write: of SQLAlchemy, of the script, of Python, of a text.

    In what a directive is given, a class may be made besides: a type of a column.
    """
    root, written = _root(function), ast.unparse(function)
    if isinstance(root, ast.Constant):
        return True
    if not isinstance(root, ast.Name):
        return False
    kind = names.kind(root.id)
    if kind is None:
        return written in BUILTINS
    if kind == SQLALCHEMY:
        return not SENDS.search(written)
    if kind == FUNCTION:
        return isinstance(function, ast.Name)
    is_class = written.rpartition(".")[2][:1].isupper() and not SENDS.search(written)
    return kind == IMPORTED and is_argument and is_class


def _root(node: ast.expr) -> ast.expr:
    """Return what a chain of attributes and calls begins with."""
    while isinstance(node, ast.Attribute | ast.Call):
        node = node.value if isinstance(node, ast.Attribute) else node.func
    return node


def _is_of_objects(argument: ast.expr, names: _Names) -> bool:
    """True for a text whose statements all make or alter objects."""
    match argument:
        case ast.Constant(value=str(text)):
            return _makes_objects(text)
        case ast.Call(func=func, args=[ast.Constant(value=str(text))], keywords=[]):
            root, name = _root(func), ast.unparse(func).rpartition(".")[2]
            is_text = isinstance(root, ast.Name) and names.kind(root.id) == SQLALCHEMY
            return is_text and name == "text" and _makes_objects(text)
    return False


def _makes_objects(text: str) -> bool:
    if "standard_conforming_strings" in text.lower():  # what follows is read in another way
        return False
    try:
        statements = parse(text).stmts
    except UnreadableError:
        return False
    return all(STATEMENTS.fullmatch(one.stmt.WhichOneof("node")) for one in statements)

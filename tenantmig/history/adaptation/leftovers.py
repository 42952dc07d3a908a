"""What an adapted env.py still does by itself of what the driver does: found, and said. Pure."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from tenantmig.errors import EnvironmentFileError
from tenantmig.history.adaptation.asked import asked_key
from tenantmig.history.adaptation.lines import LOGGING, statements_of
from tenantmig.history.adaptation.names import is_tenant_env, own_name
from tenantmig.history.adaptation.text import bound

PLACING = re.compile(
    r"\b(create|drop|alter)\s+schema\b|\bsearch_path\b|\breset\s+all\b"
    r"|\bset\s+(local\s+|session\s+)?(session\s+authorization|schema)\b",
    re.IGNORECASE,
)
CALLED = re.compile(
    r"search_?path|(?:^|_)(?!\w*engine)(?:"
    r"(?:create|ensure|make|init|prepare|setup|drop)(?:(?:_|tenant|(?-i:[A-Z]))\w*)?schema"
    r"|(?:set|reset|switch|use)(?:(?:_|(?-i:[A-Z]))\w*)?(?:schema|tenant))",
    re.IGNORECASE,
)
"""Functions of the project's whose names tell that they place tables."""
LEFT = (
    "{file}, line {line}: env.py {what}, and `init --adapt` does not know how to remove "
    "that. Change it by hand: {remedy}. docs/guides/coming-from/home-made-loops.md contains "
    "a complete env.py."
)
LOST = (
    "{file}, line {line}: env.py reads {name}, which only served what tenantmig does "
    "already, and `init --adapt` does not know what to put in its place. Remove this line. "
    "docs/guides/coming-from/home-made-loops.md contains a complete env.py."
)
MADE = (
    "tenantmig creates the tenant's schema and sets its search path; create a schema that "
    "tenants share once, outside env.py"
)
SENDS = ("sends {words}", MADE)
CALLS = ("calls {words}", MADE)
MOVES = "sets {words}", "the connection is already set up for the tenant"
ASKS = (
    "reads the tenant from -x",
    "use {name}.schema for its schema, {name}.name for its name",
)
ONE_NAME = (
    "each tenant has its version table in its own schema, and all have the same name. Move "
    "the tables there with ALTER TABLE ... SET SCHEMA and RENAME TO; then pass this one "
    "name, or none"
)
VARIES = "passes a different version table name for each tenant", ONE_NAME
SHADOWS = "gives {name} another value", "{name} must stay the TenantEnv"


def refuse_left(adapted: str, source: str, file: str) -> None:
    """Refuse an adapted text that still does something of this kind.

    Raises:
        EnvironmentFileError: the line, as it stands in `source`, and what to do.
    """
    tree = ast.parse(adapted)
    name = own_name(tree) or "tenant"
    for node, (what, remedy), words in _found(tree, name):
        line = _line_of(node, words, adapted, source)
        told = what.format(words=words, name=name)
        raise EnvironmentFileError(
            LEFT.format(file=file, line=line, what=told, remedy=remedy.format(name=name))
        )


def refuse_lost(adapted: str, source: str, file: str) -> None:
    """Refuse an adapted text that reads a name whose definition was taken out.

    Raises:
        EnvironmentFileError: the line, as it stands in `source`, and what to do.
    """
    tree = ast.parse(adapted)
    lost = _given(ast.parse(source)) - _given(tree)
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load) and node.id in lost:
            line = _line_of(node, node.id, adapted, source)
            raise EnvironmentFileError(LOST.format(file=file, line=line, name=node.id))


def _given(tree: ast.Module) -> set[str]:
    """Return every name that a text gives a meaning, anywhere."""
    nodes = list(ast.walk(tree))
    stored = {n.id for n in nodes if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}
    given = {node.arg for node in nodes if isinstance(node, ast.arg)}
    return stored | given | bound(node for node in nodes if isinstance(node, ast.stmt))


def _line_of(node: ast.expr, words: str, adapted: str, source: str) -> int:
    """Return where a node of the adapted text stands in the source."""
    lines = [" ".join(line.replace("'", '"').split()) for line in source.splitlines()]
    written = " ".join(adapted.splitlines()[node.lineno - 1].replace("'", '"').split())
    for wanted in (written, words.removesuffix("()"), ast.unparse(node).replace("'", '"')):
        for at, line in enumerate(lines, 1):
            if wanted and wanted in line:
                return at
    return node.lineno


def _found(tree: ast.Module, name: str) -> Iterator[tuple[ast.expr, tuple[str, str], str]]:
    passed_over = {id(one) for node in ast.walk(tree) for one in _of_no_weight(node)}
    for node in ast.walk(tree):
        if id(node) in passed_over:
            continue
        match node:
            case ast.Constant(value=str(value)) if words := PLACING.search(value):
                yield node, SENDS, " ".join(words.group().split())
            case ast.Call(func=func) if ast.unparse(func).endswith(("CreateSchema", "DropSchema")):
                yield node, SENDS, ast.unparse(func).rpartition(".")[2]
            case ast.Call(func=func) if CALLED.search(ast.unparse(func).rpartition(".")[2]):
                yield node, CALLS, f"{ast.unparse(func)}()"
            case ast.Attribute(attr="default_schema_name", ctx=ast.Store()):
                yield node, MOVES, "default_schema_name"
            case ast.keyword():
                yield from _passed(node, name)
            case ast.Call() | ast.Subscript() if _asks(node, tree):
                yield node, ASKS, ""
    yield from ((one, SHADOWS, "") for one in _shadowing(tree, name))


def _passed(one: ast.keyword, name: str) -> Iterator[tuple[ast.expr, tuple[str, str], str]]:
    if one.arg == "version_table" and isinstance(one.value, ast.JoinedStr | ast.BinOp):
        yield one.value, VARIES, ""
    is_map = one.arg == "schema_translate_map"
    if is_map and ast.unparse(one.value) != f"{name}.translate_map":
        yield one.value, MOVES, "schema_translate_map"


def _asks(node: ast.Call | ast.Subscript, tree: ast.Module) -> bool:
    """True for the expression itself that asks for `-x tenant=` or `-x schema=`."""
    inner = node.func if isinstance(node, ast.Call) else node.value
    if isinstance(node, ast.Call) and not isinstance(inner, ast.Attribute):
        return False
    return asked_key(node, tree) is not None and asked_key(inner, tree) is None


def _of_no_weight(node: ast.AST) -> Iterator[ast.AST]:
    """Yield what is only said, to a reader or a log."""
    match node:
        case ast.Module() | ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
            for one in statements_of(node.body):
                if isinstance(one, ast.Expr) and isinstance(one.value, ast.Constant):
                    yield one.value
        case ast.Raise() | ast.Assert(msg=ast.AST()):
            yield from ast.walk(node)
        case ast.Call(func=func):
            words = ast.unparse(func)
            if words.rpartition(".")[2] in LOGGING or words in {"sys.exit", "exit"}:
                yield from ast.walk(node)
            if is_tenant_env(node):
                yield from ast.walk(node)


def _shadowing(tree: ast.Module, name: str) -> Iterator[ast.expr]:
    """Yield where the module gives the TenantEnv's name another meaning."""
    for one in statements_of(tree.body):
        value = getattr(one, "value", None)
        if isinstance(value, ast.AST) and is_tenant_env(value):
            continue
        targets = one.targets if isinstance(one, ast.Assign) else [getattr(one, "target", None)]
        for target in targets:
            if isinstance(target, ast.Name) and target.id == name:
                yield target

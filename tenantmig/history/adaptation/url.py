"""The database's URL that an env.py gives Alembic, and the setting that says the same. Pure.

Under the driver, and in a session of `TenantEnv`, the URL comes from tenantmig's settings. A line
that gives it to Alembic is then of no use, and what it calls keeps env.py from being proved.
"""

from __future__ import annotations

import ast
import re

from tenantmig.history.adaptation.lines import body_of
from tenantmig.history.adaptation.names import names_of
from tenantmig.history.adaptation.text import EnvText, bound, loaded

URL = "sqlalchemy.url"
GIVING = frozenset({"set_main_option", "set_section_option"})
ENGINES = frozenset({"create_engine", "create_async_engine"})
STEPS = 9
"""How far a value is followed; a function may call itself."""
READING = ("get_main_option", "get_section", "get_alembic_option", "file_config", "engine_from")
AROUND = frozenset({"replace", "unicode_string", "get_secret_value", "render_as_string"})
"""Methods of a URL or its text; a setting needs them not."""
DRIVER = re.compile(
    r"(postgres(ql)?)?(\+?(asyncpg|psycopg2?|psycopg_async|psycopg2cffi|pg8000|aiopg))?(:(//)?)?|%%?"
)
"""What may be replaced in a URL without another database being meant."""


def given_url(tree: ast.AST) -> ast.expr | None:
    """Return the expression that env.py gives Alembic, or an engine, as the URL."""
    for node in ast.walk(tree):
        match node:
            case ast.Call(args=[*_, last]) if _is_giving(node):
                return last
            case ast.Assign(targets=[ast.Subscript(slice=ast.Constant(value="sqlalchemy.url"))]):
                return node.value
            case ast.Call(func=func, args=[first, *_]):
                if ast.unparse(func).rpartition(".")[2] in ENGINES:
                    return first
    return None


def is_certain(tree: ast.Module) -> bool:
    """True when one place gives the URL, stored once, with nothing but its driver replaced."""
    givers = [node for node in ast.walk(tree) if _is_giving(node)]
    if len(givers) > 1:
        return False
    value = given_url(tree)
    pending, seen = [value] if value is not None else [], set[str]()
    while pending:
        node = pending.pop()
        if any(_is_other(call) for call in ast.walk(node) if isinstance(call, ast.Call)):
            return False
        for name in loaded([node]) - seen:
            seen.add(name)
            if _stores(name, tree) > 1:
                return False
            pending += [v for v in (_assigned(name, tree), _returned(name, tree)) if v is not None]
    return True


def _stores(name: str, tree: ast.Module) -> int:
    """Return how often a text gives a variable a value."""
    return sum(
        isinstance(one, ast.Name) and one.id == name and not isinstance(one.ctx, ast.Load)
        for one in ast.walk(tree)
    )


def _is_other(call: ast.Call) -> bool:
    """True for a replacement by which the text of a URL may come to mean another database."""
    if not (isinstance(call.func, ast.Attribute) and call.func.attr in {"replace", "set"}):
        return False
    words = [one.value if isinstance(one, ast.Constant) else None for one in call.args[:2]]
    is_driver = all(isinstance(one, str) and DRIVER.fullmatch(one) for one in words)
    return call.func.attr == "set" or bool(call.keywords) or len(words) < 2 or not is_driver


def url_line(tree: ast.Module, line: int) -> int | None:
    """Return where env.py gives Alembic the URL, if a line of it is there for nothing else."""
    for node in ast.walk(tree):
        is_entry = isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Subscript)
        is_entry = is_entry and ast.unparse(node.targets[0]).endswith(f"['{URL}']")  # type: ignore[attr-defined]
        if isinstance(node, ast.stmt) and (is_entry or _is_giving(getattr(node, "value", None))):
            serving, found = [node], [node]
            while serving:
                names = loaded([serving.pop()])
                more = [one for one in tree.body if one not in found and bound([one]) & names]
                more = [one for one in more if not isinstance(one, ast.Import | ast.ImportFrom)]
                serving += more
                found += more
            if any(one.lineno <= line <= (one.end_lineno or 0) for one in found):
                return node.lineno
    return None


def named_source(source: str) -> str | None:
    """Return the expression as the setting `database_url` takes it, `module:object.attribute`."""
    tree = ast.parse(source)
    value, steps = given_url(tree) if is_certain(tree) else None, 0
    while value is not None and (steps := steps + 1) < STEPS:
        match value:
            case ast.Call(func=ast.Name(id=name), args=[]) if found := _returned(name, tree):
                value = found
            case ast.Name(id=name) if found := _assigned(name, tree):
                value = found
            case ast.Call(func=ast.Name(id="str"), args=[inner]):
                value = inner
            case ast.Call(func=ast.Attribute(value=inner, attr=name)) if name in AROUND:
                value = inner
            case _:
                break
    path: list[str] = []
    while isinstance(value, ast.Attribute | ast.Call):
        if isinstance(value, ast.Call):
            if value.args or value.keywords:
                return None
            value = value.func
        else:
            path.insert(0, value.attr)
            value = value.value
    return _imported(value.id, path, tree) if isinstance(value, ast.Name) else None


def _returned(name: str, tree: ast.Module) -> ast.expr | None:
    """Return what a function of env.py returns, if it does nothing else."""
    for node in tree.body:
        if isinstance(node, ast.FunctionDef) and node.name == name:
            last = node.body[-1]
            return last.value if isinstance(last, ast.Return) and len(body_of(node)) == 1 else None
    return None


def _assigned(name: str, tree: ast.Module) -> ast.expr | None:
    made = [
        one.value for one in tree.body if isinstance(one, ast.Assign) if names_of(one) == [name]
    ]
    return made[0] if len(made) == 1 else None


def _imported(name: str, path: list[str], tree: ast.Module) -> str | None:
    for node in tree.body:
        if isinstance(node, ast.ImportFrom) and node.module and not node.level:
            for one in node.names:
                if (one.asname or one.name) == name:
                    return f"{node.module}:{'.'.join([one.name, *path])}"
        if isinstance(node, ast.Import) and path:
            for one in node.names:
                if one.asname == name or (one.asname is None and one.name == name):
                    return f"{one.name}:{'.'.join(path)}"
    return None


def without_url(source: str) -> str:
    """Take out the lines that give Alembic the URL, unless env.py itself reads the ini."""
    text, unused = _without_sections(source)
    used = {node.attr for node in ast.walk(text.tree) if isinstance(node, ast.Attribute)}
    is_read = any(name.startswith(READING) for name in used | loaded([text.tree]))
    if is_read or not is_certain(ast.parse(source)):
        return source
    gone: list[ast.stmt] = [
        one for one in text.tree.body if isinstance(one, ast.Expr) and _is_giving(one.value)
    ]
    while more := [
        one for one in text.tree.body if one not in gone and _serves(one, gone, text, unused)
    ]:
        gone += more
    for one in gone:
        text.remove(one)
    return text.edited()


def _without_sections(source: str) -> tuple[EnvText, set[str]]:
    """Take out the copies of the ini's section that no engine is made of any more.

    Return the text, and the names that these had read.
    """
    text, unused = EnvText(source), set[str]()
    for function in text.functions.values():
        for one in function.body:
            names = names_of(one)
            is_section = "get_section" in ast.unparse(one) and len(names) == 1
            rest = [other for other in function.body if other is not one]
            uses = [other for other in rest if is_section and names[0] in loaded([other])]
            if is_section and all(_is_kept_in(other, names[0]) for other in uses):
                for gone in (one, *uses):
                    text.remove(gone)
                    unused |= loaded([gone])
    return EnvText(text.edited()), unused


def _is_kept_in(statement: ast.stmt, name: str) -> bool:
    """True for `name[...] = value` and for what makes sure that there is a section."""
    match statement:
        case ast.Assign(targets=[ast.Subscript(value=ast.Name(id=found))]):
            return found == name and name not in loaded([statement.value])
        case ast.Assert(test=test):
            return loaded([test]) == {name}
        case ast.If(test=test, body=[ast.Raise() | ast.Assign()], orelse=[]):
            return loaded([test]) == {name}
    return False


def _is_giving(node: object) -> bool:
    """True for the call that gives the ini its URL."""
    if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)):
        return False
    is_url = any(isinstance(one, ast.Constant) and one.value == URL for one in node.args[:-1])
    return node.func.attr in GIVING and is_url


def _serves(statement: ast.stmt, gone: list[ast.stmt], text: EnvText, unused: set[str]) -> bool:
    """True for a function or variable that only what is gone has used."""
    match statement:
        case ast.Assign(value=value) if ast.unparse(value) == "context.config":
            return False
        case ast.FunctionDef(name=name) | ast.Assign(targets=[ast.Name(id=name)]):
            rest = [one for one in text.tree.body if one not in gone and one is not statement]
            return name in loaded(gone) | unused and name not in loaded(rest)
    return False

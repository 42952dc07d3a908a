"""What calling gives, kind by kind. A call of which nothing is known is a finding."""

from __future__ import annotations

import ast
from string import Formatter
from typing import TYPE_CHECKING

from tenantmig.purity import allowed
from tenantmig.purity.allowed import matches
from tenantmig.purity.attributes import METHOD, attribute
from tenantmig.purity.values import (
    BOX,
    NOTHING,
    PLAIN,
    SHALLOW,
    TENANT,
    Kind,
    Value,
    Values,
    contained,
    one,
    tells,
)

if TYPE_CHECKING:
    from tenantmig.purity.expressions import Expressions

WRITES_TENANT = frozenset({"str", "repr", "print", "list", "tuple", "dict", "zip", "enumerate",
                           "isinstance", "bool", "iter", "reversed"})  # fmt: skip
"""Builtins that may be given what tells the tenant: they hand it on and ask nothing."""
ITERATORS = frozenset({"iter", "map", "filter", "zip", "enumerate", "reversed", "open"})
COPIES = frozenset({"list", "dict", "set", "sorted", "tuple", "frozenset", "reversed", "filter"})
HANDED_ON = frozenset({Kind.PLAIN, Kind.CONSTANT, Kind.TENANT, Kind.MADE, Kind.SHARED,
                       Kind.CONNECTION, Kind.FUNCTION, Kind.LIBRARY, Kind.FILE, Kind.CLASS,
                       Kind.INSPECTOR, Kind.DIALECT})  # fmt: skip
"""What a library may be given."""
GIVES: dict[str, Values] = {
    "alembic.op.get_bind": one(Kind.CONNECTION),
    "alembic.context.get_bind": one(Kind.CONNECTION),
    "alembic.op.get_context": one(Kind.CONTEXT),
    "alembic.context.get_context": one(Kind.CONTEXT),
    "alembic.context.get_x_argument": TENANT,
    "alembic.context.get_tag_argument": TENANT,
    "alembic.context.is_offline_mode": PLAIN,
    "tenantmig.env.TenantEnv": one(Kind.TENANT, "environment"),
    "tenantmig.env.SharedEnv": one(Kind.TENANT, "environment"),
}
DATA_LIBRARIES = ("json.", "re.", "textwrap.", "itertools.", "hashlib.", "base64.", "binascii.",
                  "math.", "statistics.", "operator.", "string.", "os.path.", "copy.", "zlib.",
                  "urllib.", "collections.", "functools.reduce", "random.", "secrets.", "time.",
                  "uuid.", "datetime.", "decimal.", "fractions.", "typing.", "inspect.",
                  "contextlib.", "warnings.", "packaging.")  # fmt: skip
"""Libraries that make data of data."""
GIVES_TEXT = ("textwrap.*", "json.dumps", "base64.*", "binascii.*", "math.*", "re.escape",
              "re.sub", "os.path.*", "urllib.parse.quote", "inspect.cleandoc")  # fmt: skip
GIVES_DATA = ("json.loads", "re.split", "re.findall", "copy.*", "collections.OrderedDict",
              "collections.Counter")  # fmt: skip
TAKES_TABLE = ("alembic.op.bulk_insert", "sqlalchemy.insert", "sqlalchemy.update",
               "sqlalchemy.delete", "sqlalchemy.select", "sqlalchemy.exists", "sqlalchemy.join",
               "sqlalchemy.outerjoin", "sqlalchemy.dialects.postgresql.insert",
               "sqlalchemy.sql.expression.*", "sqlalchemy.alias", "sqlalchemy.func.*")  # fmt: skip


def call(at: Expressions, node: ast.Call) -> Values:
    """What a call can give."""
    base = at.eval(node.func.value) if isinstance(node.func, ast.Attribute) else NOTHING
    if isinstance(node.func, ast.Attribute):
        functions = attribute(at, node.func, base, node.func.attr)
    else:
        functions = at.eval(node.func)
    positional, named = at.arguments(node)
    given: Values = frozenset().union(*positional, *named.values())
    _check_change(at, node, base, given)
    result: Values = NOTHING
    for function in functions:
        if function.kind in {Kind.PLAIN, Kind.CONSTANT} and isinstance(node.func, ast.Attribute):
            result |= _of_plain(at, node, base, given)
        else:
            result |= _called(at, node, function, positional, named, given)
    return result


def called(at: Expressions, node: ast.AST, values: Values) -> Values:
    """What functions give that a library calls with data."""
    found: Values = NOTHING
    for value in values:
        if value.kind is Kind.FUNCTION:
            found |= at.prover.follow(at, node, value, [], {"*": PLAIN})
    return found


def _check_change(at: Expressions, node: ast.Call, values: Values, given: Values) -> None:
    """A method that changes its object: only one that was made in this call."""
    function = node.func
    if not isinstance(function, ast.Attribute) or function.attr not in allowed.CHANGING:
        return
    if any(v.kind in {Kind.LIBRARY, Kind.MODULE, Kind.CONNECTION} for v in values):
        return  # a function of a library, or a method that its own list decides on
    if function.attr in {"update", "insert"} and any(
        v.kind is Kind.TABLE or v.kind is Kind.SHARED for v in values
    ):
        return  # a statement
    at.change(node, function.value, values, is_direct=True)
    if isinstance(function.value, ast.Name) and function.value.id in at.names:
        at.bind(function.value.id, contained(given))


def _called(  # noqa: C901, PLR0912  a case a kind
    at: Expressions,
    node: ast.Call,
    function: Value,
    positional: list[Values],
    named: dict[str, Values],
    given: Values,
) -> Values:
    match function.kind:
        case Kind.LIBRARY if function.path.startswith("builtins."):
            return _builtin(at, node, function.path.removeprefix("builtins."), given)
        case Kind.LIBRARY:
            return _library(at, node, function.path, given)
        case Kind.FUNCTION | Kind.CLASS if at.is_environment and _is_elsewhere(at, function):
            return _foreign(at, node, given)
        case Kind.FUNCTION:
            return at.prover.follow(at, node, function, positional, named)
        case Kind.CLASS:
            return at.prover.classes.instance(at, node, function, given)
        case Kind.MADE | Kind.SHARED | Kind.TABLE | Kind.METADATA:
            return _method(at, node, function, given)
        case Kind.CONNECTION:
            _check_given(at, node, given)
            if function.path == METHOD + "get_execution_options":
                return TENANT
            return PLAIN if "option" not in function.path else one(Kind.CONNECTION)
        case Kind.ENGINE:
            return one(Kind.CONNECTION)
        case Kind.CONTEXT | Kind.INSPECTOR | Kind.DIALECT:
            _check_given(at, node, given)
            return (
                TENANT
                if "quote" in function.path or (tells(given) and function.kind is Kind.DIALECT)
                else PLAIN
            )
        case Kind.FILE:
            return _file(at, node, function, given)
        case Kind.TENANT if function.path == "environment":
            return one(Kind.CONNECTION)
        case Kind.TENANT | Kind.CONFIG:
            return _of_tenant(at, node, function, positional)
        case _:
            if at.is_environment:
                return _foreign(at, node, given)
            return at.impure(node, f"it calls {ast.unparse(node.func)}, of which nothing is known")


def _foreign(at: Expressions, node: ast.Call, given: Values) -> Values:
    """Code of the project that env.py calls: not proved, and not told of the tenant."""
    if tells(given):
        at.asks(node, "hands on")
    at.impure(node, f"it calls {ast.unparse(node.func)}, of which nothing is known")
    return one(Kind.FOREIGN)


def _is_elsewhere(at: Expressions, value: Value) -> bool:
    """True for what env.py takes from another module."""
    return value.scope is not at.module and not isinstance(value.scope, type(at))


def _check_given(at: Expressions, node: ast.Call, given: Values, tables: bool = False) -> None:
    """A library must not be given what it may change, or may keep."""
    for value in given:
        is_fit = value.kind in HANDED_ON or (tables and value.kind is Kind.TABLE)
        # what a module makes of its own tables is made once, when it is imported
        is_fit = is_fit or (at.is_module and value.kind in {Kind.TABLE, Kind.METADATA})
        if value.kind is Kind.CLASS:
            at.prover.classes.check_again(at, value)
        if not is_fit and not at.is_environment:
            at.impure(
                node, f"it hands {ast.unparse(node.func)} a {value.kind} that outlives the call"
            )
    called(at, node, given)


def _builtin(at: Expressions, node: ast.Call, name: str, given: Values) -> Values:
    if name == "open":
        return _open(at, node, given)
    if tells(given):
        at.findings.formats_tenant = True
        if name in {"str", "repr"}:
            return TENANT
        if name not in WRITES_TENANT and not name.endswith(("Error", "Exception")):
            return at.asks(node, f"calls {name}() with")
    _refuse_unknown(at, node, name, given)
    return _given_back(at, node, name, given)


def _refuse_unknown(at: Expressions, node: ast.Call, name: str, given: Values) -> None:
    if any(v.kind in {Kind.FOREIGN, Kind.STATE} for v in given) and not at.is_environment:
        at.impure(node, f"it calls {name}() with something of which nothing is known")


def _given_back(at: Expressions, node: ast.Call, name: str, given: Values) -> Values:
    """What a builtin makes of what it is given."""
    if at.is_module and name in ITERATORS:
        return one(Kind.STATE)
    inner = called(at, node, given)
    kept = frozenset(
        v for v in given if v.kind is not Kind.CONSTANT and v.kind is not Kind.FUNCTION
    )
    if name in COPIES:
        is_shallow = any(v.kind is Kind.CONSTANT and v.path != "immutable" for v in given)
        extra = {SHALLOW} if is_shallow else set()
        if at.is_module:
            return one(Kind.CONSTANT)
        return kept | {BOX, *extra}
    if name in {"zip", "enumerate", "map", "iter", "next", "min", "max", "sum", "range"}:
        return (
            given | inner | ({BOX} if name not in {"next", "min", "max", "sum"} else set()) | PLAIN
        )
    if at.is_module:
        return one(Kind.CONSTANT, "immutable")
    return PLAIN


def _open(at: Expressions, node: ast.Call, given: Values) -> Values:
    modes = [*node.args[1:2], *(k.value for k in node.keywords if k.arg == "mode")]
    if any(not isinstance(m, ast.Constant) or set(str(m.value)) - set("rbt") for m in modes):
        return at.impure(node, "it writes a file")
    if tells(given):
        return at.asks(node, "opens a file by")
    return one(Kind.FILE)


def _library(at: Expressions, node: ast.Call, path: str, given: Values) -> Values:
    if path in GIVES:
        if GIVES[path] == TENANT:
            at.findings.formats_tenant = True
        return GIVES[path]
    if path == "sqlalchemy.inspect" and any(
        v.kind in {Kind.CONNECTION, Kind.ENGINE} for v in given
    ):
        return one(Kind.INSPECTOR)
    if matches(path, allowed.MOMENTS) and path not in allowed.WITHOUT_MOMENT:
        return at.moment(node, "it asks the clock or chance")
    if path in {"pathlib.Path", "pathlib.PurePath"} or path.startswith(("os.path.", "importlib.")):
        return at.asks(node, "opens a file by") if tells(given) else one(Kind.FILE)
    _check_given(at, node, given, tables=matches(path, TAKES_TABLE))
    if path in {"alembic.op.f", "sqlalchemy.quoted_name"}:
        return given
    if path.startswith(DATA_LIBRARIES):
        if tells(given):
            return at.asks(node, f"gives {path}")
        return _kept_data(path) if at.is_module else PLAIN | (given & {BOX})
    if path.startswith("alembic.op.") and path not in {
        "alembic.op.batch_alter_table",
        "alembic.op.create_table",
    }:
        return PLAIN
    return one(Kind.MADE, path, tells=tells(given))


def _kept_data(path: str) -> Values:
    """What a module holds that lets a library make data."""
    if matches(path, allowed.OF_MODULES):
        return one(Kind.SHARED, path)
    if matches(path, GIVES_TEXT):
        return one(Kind.CONSTANT, "immutable")
    return one(Kind.CONSTANT) if matches(path, GIVES_DATA) else one(Kind.STATE)


def _method(at: Expressions, node: ast.Call, function: Value, given: Values) -> Values:
    """A method of a construct, or a construct that is called."""
    name = node.func.attr if isinstance(node.func, ast.Attribute) else ""
    if name in allowed.COMMITS and function.kind is Kind.MADE:
        at.moment(node, f"it calls {name}() by itself")
    if function.kind is Kind.METADATA:
        tables = frozenset(v for v in given if v.kind is Kind.TABLE)
        _check_given(at, node, given - tables)
        return PLAIN
    _check_given(at, node, given, tables=True)
    if function.kind is Kind.TABLE:
        return one(Kind.MADE, function.path, tells=tells(given))
    is_told = function.tells or tells(given)
    return one(Kind.MADE if not at.is_module else function.kind, function.path, tells=is_told)


def _of_tenant(
    at: Expressions, node: ast.Call, function: Value, positional: list[Values]
) -> Values:
    """A method of what tells the tenant: only looking an option up by its name."""
    name = node.func.attr if isinstance(node.func, ast.Attribute) else ""
    at.findings.formats_tenant = True
    first = node.args[0] if node.args else None
    is_text = isinstance(first, ast.Constant) and not isinstance(first.value, int)
    if name in {"get", "get_main_option", "get_section_option"} and is_text:
        rest: Values = frozenset().union(NOTHING, *positional[1:])
        return TENANT | rest
    if function.kind is Kind.CONFIG and at.is_environment:
        return frozenset({function})
    if name in {"get_section", "get_x_argument"}:
        return TENANT
    return at.asks(node, f"calls {name or 'a function'}() of")


def _of_plain(at: Expressions, node: ast.Call, base: Values, given: Values) -> Values:
    """A method of data."""
    name = node.func.attr if isinstance(node.func, ast.Attribute) else ""
    _refuse_unknown(at, node, name, given)
    called(at, node, given)
    if tells(given) and name not in allowed.CHANGING:
        at.findings.formats_tenant = True
        if name in {"join", "replace"} or (name == "format" and _is_whole(node)):
            return TENANT
        return at.asks(node, f"calls {name}() with")
    if name in {"items", "values", "keys", "get", "copy", "setdefault", "pop"}:
        return base | given
    if at.is_module:
        return one(Kind.CONSTANT, "immutable" if name not in {"split", "splitlines"} else "")
    return PLAIN


def _is_whole(node: ast.Call) -> bool:
    """True when `"...".format(...)` puts whole texts in."""
    template = node.func.value if isinstance(node.func, ast.Attribute) else None
    if not (isinstance(template, ast.Constant) and isinstance(template.value, str)):
        return False
    return all(
        not spec and "." not in (field or "") and "[" not in (field or "")
        for _, field, spec, _ in Formatter().parse(template.value)
    )


def _file(at: Expressions, node: ast.Call, function: Value, given: Values) -> Values:
    if tells(given):
        return at.asks(node, "opens a file by")
    name = function.path.removeprefix(METHOD)
    if name == "open":
        return _open(at, ast.Call(node.func, [ast.Constant(""), *node.args], node.keywords), given)
    if name in {"read_text", "read_bytes", "read", "readline", "as_posix", "exists", "is_file"}:
        return PLAIN
    if name in {"glob", "iterdir", "readlines"}:
        return one(Kind.FILE) | PLAIN | {BOX}
    return one(Kind.FILE)

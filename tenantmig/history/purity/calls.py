"""What calling gives, kind by kind. A call of which nothing is known is a finding."""

from __future__ import annotations

import ast
from string import Formatter
from typing import TYPE_CHECKING

from tenantmig.history.purity import allowed
from tenantmig.history.purity.allowed import matches
from tenantmig.history.purity.attributes import METHOD, attribute
from tenantmig.history.purity.builtin_calls import call_builtin, call_file, refuse_unknown
from tenantmig.history.purity.handed import called, check_given, check_handed, held_by
from tenantmig.history.purity.values import (
    BOX,
    ELEMENT,
    IMMUTABLE,
    ITERATOR,
    NOTHING,
    PLAIN,
    SHALLOW,
    TENANT,
    Kind,
    Value,
    Values,
    one,
    taken_out,
    tells,
)

if TYPE_CHECKING:
    from tenantmig.history.purity.expressions import Expressions

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


OF_PROJECT = ("project:", "mapped:")
"""How the path of an object of the project begins; a mapped one belongs to a session."""
ATTACHES = frozenset(
    {
        "Index",
        "UniqueConstraint",
        "PrimaryKeyConstraint",
        "CheckConstraint",
        "ForeignKeyConstraint",
        "ExcludeConstraint",
        "DDL",
        "Table",
        "Sequence",
        "Enum",
        "ENUM",
        "create_table",
    }
)


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


def _check_change(at: Expressions, node: ast.Call, values: Values, given: Values) -> None:
    """A method that changes its object: only one that was made in this call."""
    function = node.func
    if not isinstance(function, ast.Attribute) or function.attr not in allowed.CHANGING:
        return
    for value in values:
        found = allowed.resolve(value.path) if value.kind is Kind.LIBRARY else None
        if isinstance(found, dict | list | set):
            at.impure(node, f"it changes {value.path}")
    if _finds_modules(at, node, given):
        return
    # a function of a library, or a method that its own list decides on
    values = frozenset(
        v for v in values if v.kind not in {Kind.LIBRARY, Kind.MODULE, Kind.CONNECTION}
    )
    if not values:
        return
    if function.attr in {"update", "insert"} and any(
        v.kind is Kind.TABLE or v.kind is Kind.SHARED for v in values
    ):
        return  # a statement
    at.change(node, function.value, values, is_direct=True)
    at.put(function.value, given)


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
            return call_builtin(at, node, function.path.removeprefix("builtins."), given)
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
            check_given(at, node, given)
            if function.path == METHOD + "get_execution_options":
                return TENANT
            return PLAIN if "option" not in function.path else one(Kind.CONNECTION)
        case Kind.ENGINE:
            return one(Kind.CONNECTION)
        case Kind.CONTEXT | Kind.INSPECTOR | Kind.DIALECT:
            check_given(at, node, given)
            return (
                TENANT
                if "quote" in function.path or (tells(given) and function.kind is Kind.DIALECT)
                else PLAIN
            )
        case Kind.FILE:
            return call_file(at, node, function, given)
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
    if _finds_modules(at, node, given):
        return PLAIN
    if tells(given):
        at.asks(node, "hands on")
    at.impure(node, f"it calls {ast.unparse(node.func)}, of which nothing is known")
    return one(Kind.FOREIGN)


def _finds_modules(at: Expressions, node: ast.Call, given: Values) -> bool:
    """True where env.py adds to `sys.path`, for whichever tenant."""
    is_path = ast.unparse(node.func) in {"sys.path.append", "sys.path.insert"}
    return at.is_environment and is_path and not tells(given)


def _is_elsewhere(at: Expressions, value: Value) -> bool:
    """True for what env.py takes from another module."""
    return value.scope is not at.module and not isinstance(value.scope, type(at))


def _library(at: Expressions, node: ast.Call, path: str, given: Values) -> Values:
    if path == "alembic.context.configure":
        return PLAIN  # what it is given is for autogenerate, or looked at by the worker
    known = _known(at, path, given)
    if known is not None:
        return known
    if matches(path, allowed.MOMENTS) and path not in allowed.WITHOUT_MOMENT:
        return at.moment(node, "it asks the clock or chance") | held_by(given)
    if path in {"pathlib.Path", "pathlib.PurePath"} or path.startswith(("os.path.", "importlib.")):
        return at.asks(node, "opens a file by") if tells(given) else one(Kind.FILE)
    if (
        path.rpartition(".")[2] in ATTACHES
        and not at.is_module
        and any(v.kind is Kind.SHARED for v in given)
    ):
        return at.impure(node, f"it attaches {path} to what outlives the call")
    check_given(at, node, given, tables=matches(path, TAKES_TABLE))
    if path in {"alembic.op.f", "sqlalchemy.quoted_name"}:
        return given
    if path.startswith(DATA_LIBRARIES):
        return _made_of_data(at, node, path, given)
    if path.startswith("alembic.op.") and path not in {
        "alembic.op.batch_alter_table",
        "alembic.op.create_table",
    }:
        return PLAIN
    return one(Kind.MADE, path, tells=tells(given)) | (NOTHING if at.is_module else held_by(given))


def _known(at: Expressions, path: str, given: Values) -> Values | None:
    """What functions of Alembic give that lead to the connection or tell the tenant."""
    if path in GIVES:
        if GIVES[path] == TENANT:
            at.findings.formats_tenant = True
        return GIVES[path]
    leads = any(v.kind in {Kind.CONNECTION, Kind.ENGINE} for v in given)
    return one(Kind.INSPECTOR) if path == "sqlalchemy.inspect" and leads else None


def _made_of_data(at: Expressions, node: ast.Call, path: str, given: Values) -> Values:
    """What a library makes of data."""
    if tells(given):
        return at.asks(node, f"gives {path}")
    if at.is_module:
        return _kept_data(path)
    if path in {"typing.cast", "contextlib.closing", "contextlib.nullcontext", "copy.copy"}:
        return given | PLAIN
    used_up = (
        {ITERATOR}
        if path.startswith("itertools.") or path in {"re.finditer", "collections.defaultdict"}
        else set()
    )
    is_new = path == "copy.deepcopy" or path.startswith(
        ("json.", "re.", "hashlib.", "base64.", "binascii.", "math.", "textwrap.")
    )
    return PLAIN | (given & {BOX}) | (NOTHING if is_new else held_by(given)) | used_up


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
        check_given(at, node, given - tables)
        return PLAIN
    if function.path.startswith("operator."):
        return PLAIN | taken_out(held_by(given))
    if function.path.startswith(OF_PROJECT):
        check_handed(at, node, given)
        if tells(given):
            at.asks(node, "hands a method")
    check_given(at, node, given, tables=True)
    if function.kind is Kind.TABLE:
        return one(Kind.MADE, function.path, tells=tells(given))
    is_told = function.tells or tells(given)
    is_kept = at.is_module or (
        function.kind is Kind.SHARED and function.path.startswith(OF_PROJECT)
    )
    made = one(function.kind if is_kept else Kind.MADE, function.path, tells=is_told)
    return made if at.is_module else made | held_by(given)


def _of_tenant(
    at: Expressions, node: ast.Call, function: Value, positional: list[Values]
) -> Values:
    """A method of what tells the tenant: only looking an option up by its name."""
    name = node.func.attr if isinstance(node.func, ast.Attribute) else ""
    at.findings.formats_tenant = True
    is_changing = name.startswith(("set_", "merge_", "remove_"))
    told: Values = frozenset().union(NOTHING, *positional)
    if is_changing and (tells(told) or not at.is_environment):
        at.impure(node, "it changes the configuration")
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
    refuse_unknown(at, node, name, given)
    called(at, node, given)
    if tells(given) and name not in allowed.CHANGING:
        at.findings.formats_tenant = True
        if (
            (name == "join" and BOX in given)
            or (name == "replace" and not tells(at.eval(node.args[0])))
            or (name == "format" and _is_whole(node))
        ):
            return TENANT
        return at.asks(node, f"calls {name}() with")
    if name in {"items", "values", "keys", "get", "setdefault", "pop", "popitem", "popleft"}:
        return base | given
    if name == "copy":
        kept = any(v.kind is Kind.CONSTANT and v.path != IMMUTABLE for v in base)
        if at.is_module:
            return base
        return (
            frozenset(v for v in base if v.kind is not Kind.CONSTANT or v.path == ELEMENT)
            | {BOX}
            | ({SHALLOW} if kept else set())
        )
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

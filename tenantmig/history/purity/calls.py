"""What calling gives, kind by kind. A call of which nothing is known is a finding."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

from tenantmig.history.purity import allowed
from tenantmig.history.purity.allowed import matches
from tenantmig.history.purity.attributes import METHOD, attribute
from tenantmig.history.purity.builtin_calls import call_builtin, call_file
from tenantmig.history.purity.handed import check_given, held_by
from tenantmig.history.purity.library_calls import DATA_LIBRARIES, known_call, made_of_data
from tenantmig.history.purity.method_calls import method, of_plain, of_tenant
from tenantmig.history.purity.values import NOTHING, PLAIN, TENANT, Kind, Value, Values, one, tells

if TYPE_CHECKING:
    from tenantmig.history.purity.expressions import Expressions

TAKES_TABLE = ("alembic.op.bulk_insert", "sqlalchemy.insert", "sqlalchemy.update",
               "sqlalchemy.delete", "sqlalchemy.select", "sqlalchemy.exists", "sqlalchemy.join",
               "sqlalchemy.outerjoin", "sqlalchemy.dialects.postgresql.insert",
               "sqlalchemy.sql.expression.*", "sqlalchemy.alias", "sqlalchemy.func.*")  # fmt: skip


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
            result |= of_plain(at, node, base, given)
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
            return method(at, node, function, given)
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
            return of_tenant(at, node, function, positional)
        case _:
            if at.is_environment:
                return _foreign(at, node, given)
            return at.impure(
                node, f"it calls {ast.unparse(node.func)}, which tenantmig does not know"
            )


def _foreign(at: Expressions, node: ast.Call, given: Values) -> Values:
    """Code of the project that env.py calls: not proved, and not told of the tenant."""
    if _finds_modules(at, node, given):
        return PLAIN
    if tells(given):
        at.asks(node, "passes on")
    at.impure(node, f"it calls {ast.unparse(node.func)}, which tenantmig does not know")
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
    known = known_call(at, path, given)
    if known is not None:
        return known
    if matches(path, allowed.MOMENTS) and path not in allowed.WITHOUT_MOMENT:
        return at.moment(node, "it reads the clock or random numbers") | held_by(given)
    if path in {"pathlib.Path", "pathlib.PurePath"} or path.startswith(("os.path.", "importlib.")):
        return at.asks(node, "opens a file chosen by") if tells(given) else one(Kind.FILE)
    if (
        path.rpartition(".")[2] in ATTACHES
        and not at.is_module
        and any(v.kind is Kind.SHARED for v in given)
    ):
        return at.impure(node, f"it attaches {path} to something that outlives the call")
    check_given(at, node, given, tables=matches(path, TAKES_TABLE))
    if path in {"alembic.op.f", "sqlalchemy.quoted_name"}:
        return given
    if path.startswith(DATA_LIBRARIES):
        return made_of_data(at, node, path, given)
    if path.startswith("alembic.op.") and path not in {
        "alembic.op.batch_alter_table",
        "alembic.op.create_table",
    }:
        return PLAIN
    return one(Kind.MADE, path, tells=tells(given)) | (NOTHING if at.is_module else held_by(given))

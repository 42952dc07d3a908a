"""What calling a builtin, or a method of a file, gives."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

from tenantmig.history.purity.attributes import METHOD
from tenantmig.history.purity.handed import called
from tenantmig.history.purity.values import (
    BOX,
    ITERATOR,
    PLAIN,
    SHALLOW,
    TENANT,
    Kind,
    Value,
    Values,
    one,
    tells,
)

if TYPE_CHECKING:
    from tenantmig.history.purity.expressions import Expressions

WRITES_TENANT = frozenset({"str", "repr", "print", "list", "tuple", "dict", "zip", "enumerate",
                           "isinstance", "bool", "iter", "reversed"})  # fmt: skip
"""Builtins that may be given what tells the tenant: they hand it on and ask nothing."""
ITERATORS = frozenset({"iter", "map", "filter", "zip", "enumerate", "reversed", "open"})
COPIES = frozenset({"list", "dict", "set", "sorted", "tuple", "frozenset", "reversed", "filter"})


def call_builtin(at: Expressions, node: ast.Call, name: str, given: Values) -> Values:
    """What calling a builtin gives; what tells the tenant may only be handed on."""
    if name == "open":
        return call_open(at, node, given)
    if name == "super":
        return one(Kind.SHARED, "project:super")
    if tells(given):
        at.findings.formats_tenant = True
        if name in {"str", "repr"}:
            return TENANT
        if name == "bool" and any(v.tells for v in given):
            return at.asks(node, "tests")
        if name in {"list", "tuple", "zip", "enumerate", "iter", "reversed", "dict"} and (
            BOX not in given or (name == "dict" and node.args)
        ):
            return at.asks(node, "takes a part of")
        if name.endswith(("Error", "Exception")):
            return TENANT
        if name not in WRITES_TENANT:
            return at.asks(node, f"calls {name}() with")
    refuse_unknown(at, node, name, given)
    return _given_back(at, node, name, given)


def refuse_unknown(at: Expressions, node: ast.Call, name: str, given: Values) -> None:
    """Data must not be made with something of which nothing is known."""
    if any(v.kind in {Kind.FOREIGN, Kind.STATE} for v in given) and not at.is_environment:
        at.impure(node, f"it calls {name}() with a value that tenantmig does not know")


def _given_back(at: Expressions, node: ast.Call, name: str, given: Values) -> Values:
    """What a builtin makes of what it is given."""
    if at.is_module and name in ITERATORS:
        return one(Kind.STATE)
    if (
        name == "next"
        and BOX not in given
        and any(v.kind in {Kind.CONSTANT, Kind.SHARED} for v in given)
    ):
        return at.impure(node, "it takes an element from something that outlives the call")
    inner = called(at, node, given)
    kept = frozenset(
        v
        for v in given
        if v.kind not in {Kind.CONSTANT, Kind.FUNCTION, Kind.LIBRARY} and v != ITERATOR
    )
    given = frozenset(v for v in given if v.kind not in {Kind.FUNCTION, Kind.LIBRARY})
    if name in COPIES:
        is_shallow = any(v.kind is Kind.CONSTANT and v.path != "immutable" for v in given)
        extra = {SHALLOW} if is_shallow else set()
        if at.is_module:
            return one(Kind.CONSTANT)
        return kept | {BOX, *extra}
    if name in {"zip", "enumerate", "map", "iter", "next", "min", "max", "sum", "range"}:
        return (
            given
            | inner
            | ({BOX} if name not in {"next", "min", "max", "sum"} else set())
            | PLAIN
            | ({ITERATOR} if name in ITERATORS else set())
        )
    if at.is_module:
        return one(Kind.CONSTANT, "immutable")
    return PLAIN


def call_open(at: Expressions, node: ast.Call, given: Values) -> Values:
    """A file that is opened to be read."""
    modes = [*node.args[1:2], *(k.value for k in node.keywords if k.arg == "mode")]
    is_spread = any(isinstance(a, ast.Starred) for a in node.args) or any(
        k.arg is None for k in node.keywords
    )
    if is_spread or any(
        not isinstance(m, ast.Constant) or set(str(m.value)) - set("rbt") for m in modes
    ):
        return at.impure(node, "it writes a file")
    if tells(given):
        return at.asks(node, "opens a file chosen by")
    return one(Kind.FILE, "opened")


def call_file(at: Expressions, node: ast.Call, function: Value, given: Values) -> Values:
    """A method of a path or of an open file."""
    if tells(given):
        return at.asks(node, "opens a file chosen by")
    name = function.path.removeprefix(METHOD)
    if name == "open":
        return call_open(
            at, ast.Call(node.func, [ast.Constant(""), *node.args], node.keywords), given
        )
    if name in {"read_text", "read_bytes", "read", "readline", "as_posix", "exists", "is_file"}:
        return PLAIN
    if name in {"glob", "iterdir", "readlines"}:
        return one(Kind.FILE) | PLAIN | {BOX, ITERATOR}
    return one(Kind.FILE)

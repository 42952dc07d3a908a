"""What code of a library, or of a class of the project, may be handed."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

from tenantmig.history.purity import allowed
from tenantmig.history.purity.allowed import matches
from tenantmig.history.purity.values import (
    IMMUTABLE,
    NOTHING,
    PLAIN,
    Kind,
    Values,
    contained,
    one,
    taken_out,
)

if TYPE_CHECKING:
    from tenantmig.history.purity.expressions import Expressions

HANDED_ON = frozenset({Kind.PLAIN, Kind.CONSTANT, Kind.TENANT, Kind.MADE, Kind.SHARED,
                       Kind.CONNECTION, Kind.FUNCTION, Kind.LIBRARY, Kind.FILE, Kind.CLASS,
                       Kind.INSPECTOR, Kind.DIALECT})  # fmt: skip
"""What a library may be given."""


def called(at: Expressions, node: ast.AST, values: Values) -> Values:
    """What functions give that a library calls with data."""
    found: Values = NOTHING
    for value in values:
        if value.kind is Kind.FUNCTION:
            data = frozenset(v for v in values if v.kind not in {Kind.FUNCTION, Kind.LIBRARY})
            if any(v.kind is Kind.CONSTANT and v.path != IMMUTABLE for v in data):
                data |= one(Kind.CONSTANT)
            found |= at.prover.follow(at, node, value, [], {"*": taken_out(data) | PLAIN})
        elif (
            value.kind is Kind.LIBRARY
            and matches(value.path, allowed.MOMENTS)
            and value.path not in allowed.WITHOUT_MOMENT
        ):
            at.moment(node, "it reads the clock or random numbers")
    return found


def check_given(at: Expressions, node: ast.Call, given: Values, tables: bool = False) -> None:
    """A library must not be given what it may change, or may keep."""
    for value in given:
        is_fit = value.kind in HANDED_ON or (tables and value.kind is Kind.TABLE)
        # what a module makes of its own tables is made once, when it is imported
        is_fit = is_fit or (at.is_module and value.kind in {Kind.TABLE, Kind.METADATA})
        if value.kind is Kind.CLASS:
            at.prover.classes.check_again(at, value)
        if not is_fit and not at.is_environment:
            at.impure(
                node, f"it passes to {ast.unparse(node.func)} a {value.kind} that outlives the call"
            )
    called(at, node, given)


def held_by(given: Values) -> Values:
    """What a module holds, inside of what is made of it."""
    return contained(frozenset(v for v in given if v.kind is Kind.CONSTANT and v.path != IMMUTABLE))


def check_handed(at: Expressions, node: ast.Call, given: Values) -> None:
    """What a method does with what it is given is not followed: only data of this call."""
    if any(
        (v.kind is Kind.CONSTANT and v.path != IMMUTABLE)
        or v.kind in {Kind.TABLE, Kind.METADATA, Kind.STATE, Kind.CONTEXT}
        for v in given
    ):
        at.impure(node, "it passes to a method something that outlives the call")

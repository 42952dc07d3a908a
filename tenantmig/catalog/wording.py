"""Wordings: whether two definitions that PostgreSQL renders differently say the same. Pure.

What it renders it may read back as something else: a cast of an array becomes casts of its elements
(parse_expr.c, transformTypeCast), so that `x IN ('a')` on a varchar reads differently after a dump
and a restore. Told apart by PostgreSQL's own parser.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any

from tenantmig.postgres.parsing import UnreadableError, deparse, parse

STATEMENTS: Mapping[str, str] = {
    "constraint": "ALTER TABLE t ADD CONSTRAINT c {}",
    "default": "SELECT {}",
    "column": "CREATE TABLE t (c {})",
    "domain": "CREATE DOMAIN d {}",
    "view": "{}",
    "materialized view": "{}",
    "index": "{}",
    "policy": "{}",
    "trigger": "{}",
    "rule": "{}",
    "function": "{}",
    "procedure": "{}",
    "statistics": "{}",
}
"""The statement in which the definition of an object of each kind can be read."""


def is_same(kind: str, one: str, other: str) -> bool:
    """True when two definitions of objects of a kind say the same."""
    if one == other:
        return True
    if kind not in STATEMENTS or "ARRAY[" not in one or "ARRAY[" not in other:
        return False
    return _as_read(kind, one) == _as_read(kind, other)


@lru_cache(maxsize=1000)
def _as_read(kind: str, definition: str) -> str:
    """Write a definition as PostgreSQL would after reading it."""
    try:
        tree = parse(STATEMENTS[kind].format(definition))
        for node in _casts_of_arrays(tree):
            _push_down(node)
        return deparse(tree)
    except UnreadableError:
        return definition


def _casts_of_arrays(message: Any) -> Iterator[Any]:
    """Find every node that casts an array, outer ones first."""
    is_cast = message.DESCRIPTOR.name == "Node" and message.WhichOneof("node") == "type_cast"
    if is_cast and message.type_cast.arg.WhichOneof("node") == "a_array_expr":
        yield message
    for _, value in message.ListFields():
        if hasattr(value, "ListFields"):
            yield from _casts_of_arrays(value)
        elif not isinstance(value, str | bytes | int | float):
            for child in value:
                if hasattr(child, "ListFields"):
                    yield from _casts_of_arrays(child)


def _push_down(node: Any) -> None:
    """Turn `ARRAY[a, b]::t[]` into `ARRAY[a::t, b::t]`."""
    cast = type(node.type_cast)()
    cast.CopyFrom(node.type_cast)
    if not cast.type_name.array_bounds:
        return
    node.a_array_expr.CopyFrom(cast.arg.a_array_expr)
    for element in node.a_array_expr.elements:
        is_nested = element.WhichOneof("node") == "a_array_expr"
        bare = type(cast.arg)()
        bare.CopyFrom(element)
        wanted = type(cast.type_name)()
        wanted.CopyFrom(cast.type_name)
        if not is_nested:
            del wanted.array_bounds[-1]
        if element.WhichOneof("node") == "type_cast" and _type(element.type_cast) == _type_of(
            wanted
        ):
            continue
        element.type_cast.arg.CopyFrom(bare)
        element.type_cast.type_name.CopyFrom(wanted)


def _type(cast: Any) -> tuple[object, ...]:
    return _type_of(cast.type_name)


def _type_of(name: Any) -> tuple[object, ...]:
    words = tuple(word.string.sval for word in name.names)
    return words, len(name.typmods), len(name.array_bounds)

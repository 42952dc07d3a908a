"""What the proof knows of a value without running it: its kind, and where it comes from."""

from __future__ import annotations

import ast
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any


class Kind(StrEnum):
    """What a value is, as far as it matters to who may use it."""

    PLAIN = "plain"
    """Data made in this call, or read from the database."""
    CONSTANT = "constant"
    """Data that a module holds: may be read, never changed."""
    TENANT = "tenant"
    """Tells the tenant: may be written into SQL, and asked nothing."""
    MADE = "made"
    """An object of a library, made in this call. `path` says by what."""
    SHARED = "shared"
    """An object of a library that a module holds, and that is never changed by its use."""
    TABLE = "table"
    """A `sa.Table` that a module holds: statements may be made from it."""
    METADATA = "metadata"
    """A `sa.MetaData` that a module holds: it gives its tables, and takes no more."""
    STATE = "state"
    """What a module holds and its use may change."""
    CONNECTION = "connection"
    ENGINE = "engine"
    CONTEXT = "context"
    IMPL = "impl"
    DIALECT = "dialect"
    INSPECTOR = "inspector"
    CONFIG = "config"
    FILE = "file"
    """A path or an open file beside the scripts, to be read."""
    LIBRARY = "library"
    """A module, class or function of a library, called `path`."""
    FUNCTION = "function"
    """A function of the project; `node` and `scope` say which."""
    MODULE = "module"
    """A module of the project."""
    CLASS = "class"
    """A class of the project."""
    FOREIGN = "foreign"
    """Anything of which nothing is known."""


@dataclass(frozen=True, slots=True)
class Value:
    """A value of which only this is known."""

    kind: Kind
    path: str = ""
    node: ast.AST | None = None
    scope: Any = field(default=None, compare=False)
    """Where the names of `node` are looked up."""
    tells: bool = False
    """It was made from what tells the tenant."""


Values = frozenset[Value]
NOTHING: Values = frozenset()
PLAIN: Values = frozenset({Value(Kind.PLAIN)})
TENANT: Values = frozenset({Value(Kind.TENANT)})
BOX = Value(Kind.PLAIN, "box")
"""A container made in this call; beside it stands what it holds."""
SHALLOW = Value(Kind.PLAIN, "shallow copy")
"""A copy of what a module holds: new itself, and its elements are the module's."""
ITERATOR = Value(Kind.PLAIN, "iterator")
"""What is used up by going through it."""
IMMUTABLE = "immutable"
ELEMENT = "element"


def one(
    kind: Kind,
    path: str = "",
    node: ast.AST | None = None,
    scope: Any = None,
    *,
    tells: bool = False,
) -> Values:
    """Return what is known of a single value."""
    return frozenset({Value(kind, path, node, scope, tells)})


def tells(values: Values) -> bool:
    """True when a value tells the tenant, or was made from what does."""
    return any(v.kind in {Kind.TENANT, Kind.CONFIG} or v.tells for v in values)


def contained(values: Values) -> Values:
    """What is put into a container: what a module holds there is an element, not the container."""
    return frozenset(
        Value(Kind.CONSTANT, ELEMENT) if v.kind is Kind.CONSTANT and v.path != IMMUTABLE else v
        for v in values
    )


def taken_out(values: Values) -> Values:
    """What is taken out of a container."""
    is_held = SHALLOW in values or any(v.path == ELEMENT for v in values)
    kept = frozenset(v for v in values if v.path != ELEMENT)
    return kept | one(Kind.CONSTANT) if is_held else kept


def made_of(made: Values, both: Values) -> Values:
    """What a library makes of several values."""
    is_told = tells(both)
    return frozenset(
        Value(v.kind, v.path, tells=True) if is_told and v.kind is Kind.MADE else v for v in made
    ) | (one(Kind.MADE, tells=is_told) if is_told else NOTHING)


def without_tenant(values: Values) -> Values:
    """What a calculation gives."""
    return frozenset(v for v in values if v.kind is not Kind.TENANT) or PLAIN

"""Hooks: code of the application that SQLAlchemy calls on its own, whatever script runs.

A listener of an event or a compiler of `@compiles` may keep something, or ask for the tenant, and
stands in no script. Where there is one, no process serves two tenants and nothing is replayed.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

import sqlalchemy as sa
from sqlalchemy.sql.base import SchemaEventTarget
from sqlalchemy.sql.visitors import Visitable

LIBRARIES = frozenset(
    {"sqlalchemy", "alembic", "tenantmig", "alembic_utils", "geoalchemy2", "sqlalchemy_utils",
     "pgvector", "sqlmodel", "psycopg"}
)  # fmt: skip
"""Whose own hooks are the same for every tenant."""


class HookLook:
    """The hooks of this process, looked for again when something was imported."""

    def __init__(self) -> None:
        self._looked_at: tuple[int, str | None] = (0, None)

    def find(self) -> str | None:
        """Look again when something was imported: what is proved pure registers nothing."""
        loaded = len(sys.modules)
        if loaded != self._looked_at[0]:
            self._looked_at = loaded, find_hook()
        return self._looked_at[1]


def find_hook() -> str | None:
    """Name a hook of the application, if there is any in this process."""
    for what, function in (*_listeners(), *_compilers()):
        for inner in (function, *_wrapped(function)):
            if not _is_of_library(inner):
                return f"{_name(inner)} {what}"
    return None


def _listeners() -> Iterator[tuple[str, Any]]:
    """Every listener on a class of SQLAlchemy; one on a single table or engine tells no script."""
    kinds = [SchemaEventTarget, *_below(SchemaEventTarget), sa.Engine, sa.Connection, sa.Pool]
    orm = sys.modules.get("sqlalchemy.orm")
    kinds += [orm.Session, orm.Mapper] if orm else []
    for kind in kinds:
        dispatch = getattr(kind, "dispatch", None)
        for event in getattr(dispatch, "_event_names", ()):
            level = getattr(dispatch, event)
            for function in getattr(level, "_clslevel", {}).get(kind, ()):
                yield f"listens to SQLAlchemy's event {event}", function


def _compilers() -> Iterator[tuple[str, Any]]:
    for kind in _below(Visitable):
        found = kind.__dict__.get("_compiler_dispatcher")
        if found is not None and _is_of_library(kind):
            for function in found.specs.values():
                yield f"compiles {kind.__name__}", function


def _below(kind: type) -> set[type]:
    found: set[type] = set()
    pending: list[type] = [kind]
    while pending:
        children: list[type] = pending.pop().__subclasses__()
        for child in children:
            if child not in found:
                found.add(child)
                pending.append(child)
    return found


def _wrapped(function: Any) -> Iterator[Any]:
    """SQLAlchemy wraps some listeners in functions of its own."""
    for cell in getattr(function, "__closure__", None) or ():
        if callable(cell.cell_contents):
            yield cell.cell_contents


def _is_of_library(thing: Any) -> bool:
    module = str(getattr(thing, "__module__", None) or type(thing).__module__)
    return module.partition(".")[0] in LIBRARIES


def _name(function: Any) -> str:
    return f"{getattr(function, '__module__', '?')}.{getattr(function, '__qualname__', function)}"

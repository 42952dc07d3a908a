"""Tripwires: how a script is noticed that looks at what differs by tenant or by moment.

Each calls `note` with a sentence. What the libraries do on a script's behalf is let pass.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from types import FrameType
from typing import Any

import sqlalchemy as sa
from alembic.runtime.migration import MigrationContext

from tenantmig.engines.acts import WRITING

LIBRARIES = frozenset({"alembic", "sqlalchemy", "psycopg", "tenantmig", "contextlib", "logging"})
"""What may look at a connection or the clock on a script's behalf without telling the script."""
BY_CONNECTION = frozenset({"info", "get_execution_options", "connection", "engine"})
BY_CONTEXT = frozenset(
    {"opts", "config", "environment_context", "version_table_schema", "_version"}
)
"""By which attributes a script can learn which tenant it runs for, or get round the recording."""
ASKED = frozenset({"get_x_argument", "get_tag_argument"})
CLOCKS = frozenset(
    {"now", "utcnow", "today", "time", "time_ns", "localtime", "gmtime", "urandom", "random"}
)
OUTSIDE = ("socket.", "subprocess.", "shutil.", "smtplib.", "ftplib.", "urllib.")
OUTSIDE_EVENTS = frozenset(
    f"os.{name}"
    for name in ("system", "exec", "fork", "posix_spawn", "remove", "rename", "mkdir", "rmdir",
                 "link", "symlink", "truncate", "kill", "putenv", "utime", "chmod")
)  # fmt: skip
CHANCES = frozenset({"random", "secrets", "uuid"})
HARMLESS = "alembic_utils"  # it puts a uuid into a definition, and takes it out again
Note = Callable[[str], None]
Names = frozenset[str] | None
"""Names of attributes; None for all of them."""


def tellers(connection: sa.Connection, context: MigrationContext) -> Iterator[tuple[Any, Names]]:
    """Yield what can tell a script for whom it runs, and by which attributes."""
    yield connection, BY_CONNECTION
    yield connection.dialect, frozenset({"default_schema_name"})
    yield context, BY_CONTEXT
    if context.environment_context is not None:
        yield context.environment_context, ASKED
        yield context.environment_context.config, None


def outside_act(happening: str, arguments: tuple[Any, ...]) -> str | None:
    """Say what an audit event (PEP 578) does outside the database and the process, or None."""
    if happening == "open":
        path, _, flags = arguments
        is_outside = bool(flags & WRITING) and "__pycache__" not in str(path)
    else:
        is_outside = happening in OUTSIDE_EVENTS or happening.startswith(OUTSIDE)
    return f"it acts outside the database ({happening})" if is_outside else None


@cache
def _watched(kind: Any, names: Names) -> type:
    """Return a class of the same objects that tells when scripts read one of its attributes."""

    class Watched(kind):  # type: ignore[misc]
        def __getattribute__(self, name: str) -> Any:
            is_watched = (names is None or name in names) and name[:2] != "__"
            # alembic.context asks for a script what the script itself would
            if is_watched and (names is ASKED or _is_script(sys._getframe(1))):  # noqa: SLF001
                note = object.__getattribute__(self, "__dict__")["_tenantmig_note"]
                note(f"it reads {kind.__name__}.{name}, which may depend on the tenant")
            return super().__getattribute__(name)

    Watched.__name__ = kind.__name__
    return Watched


@contextmanager
def telling(thing: Any, names: Names, note: Note) -> Iterator[None]:
    """Let an object tell for the block when a script reads one of these attributes."""
    plain: Any = type(thing)
    thing.__dict__["_tenantmig_note"] = note
    thing.__class__ = _watched(plain, names)
    try:
        yield
    finally:
        thing.__class__ = plain
        del thing.__dict__["_tenantmig_note"]


@contextmanager
def counted(dialect: Any, note: Note) -> Iterator[None]:
    """Notice when the row count of a statement is read, unless SQLAlchemy does it on its own.

    Before 2.0.28 it reads each and keeps it in the result; here it is kept where it can be noticed.
    """
    plain = dialect.execution_ctx_cls

    class Counted(plain):  # type: ignore[misc, valid-type]
        _is_set_up = True
        _kept: int | None = None

        def _setup_dml_or_text_result(self) -> Any:
            self._is_set_up = False
            result = super()._setup_dml_or_text_result()
            self._is_set_up = True
            self._kept = result.__dict__.pop("rowcount", None)
            return result

        @property
        def rowcount(self) -> int:
            if not self._is_set_up:
                return int(super().rowcount)
            note("it reads a row count")
            return int(super().rowcount) if self._kept is None else self._kept

    dialect.execution_ctx_cls = Counted
    try:
        yield
    finally:
        dialect.execution_ctx_cls = plain


@contextmanager
def timed(note: Note) -> Iterator[None]:
    """Notice when the clock or chance is asked."""

    def look(frame: FrameType, what: str, function: Any) -> None:
        asks_clock = what == "c_call" and function.__name__ in CLOCKS and not _is_internal(frame)
        asks_chance = what == "call" and _package(frame) in CHANCES
        if (asks_clock or asks_chance) and _asker(frame) != HARMLESS:
            note("it reads the clock or random numbers")

    before = sys.getprofile()
    sys.setprofile(look)
    try:
        yield
    finally:
        sys.setprofile(before)


def _package(frame: FrameType) -> str:
    return str(frame.f_globals.get("__name__", "")).partition(".")[0]


def _asker(frame: FrameType) -> str:
    """Who called into the modules of chance, or looked at the clock by itself."""
    while _package(frame) in CHANCES and frame.f_back is not None:
        frame = frame.f_back
    return _package(frame)


def _is_script(frame: FrameType) -> bool:
    return _package(frame) not in LIBRARIES


def _is_internal(frame: FrameType) -> bool:
    """The libraries look at the clock for themselves; SQLAlchemy also for a column's default."""
    return _package(frame) in LIBRARIES - {"sqlalchemy"}

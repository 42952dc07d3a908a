"""SQLAlchemy's engine for scripts: how it connects, what it compiles, and what it asks a server."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.sql.compiler import SQLCompiler

from tenantmig.postgres.client_parameters import takes_parameters
from tenantmig.postgres.light_tables import mark_light_tables
from tenantmig.postgres.qualified import has_table

BIND = re.compile(r"(?<![:\w\\]):\w+(?!:)")
"""A parameter of SQLAlchemy's text()."""


def script_engine(creator: Callable[[], Any], *, puts_in_all: bool) -> sa.Engine:
    """Return an engine that opens each connection by `creator` and keeps none."""
    engine = sa.create_engine(
        "postgresql+psycopg://",
        creator=creator,  # also for what a script opens itself
        poolclass=sa.NullPool,
        hide_parameters=True,
    )
    event.listen(engine, "before_execute", mark_light_tables)
    engine.dialect.has_table = has_table  # type: ignore[method-assign]
    engine.dialect.statement_compiler = _without_casts(
        engine.dialect.statement_compiler, is_always=puts_in_all
    )
    return engine


def _without_casts(plain: type[SQLCompiler], *, is_always: bool) -> type[SQLCompiler]:
    """Return a compiler that casts no parameter of a text whose parameters are put into it.

    The dialect casts each parameter whose type it knows (`:w::VARCHAR`), which psycopg2's does not,
    and which COMMENT does not allow.
    """

    class ScriptCompiler(plain):  # type: ignore[misc, valid-type]
        is_cast = not is_always

        def visit_textclause(self, textclause: Any, *arguments: Any, **named: Any) -> Any:
            before = self.is_cast
            if before and not self.stack:  # a whole statement, and no part of one
                self.is_cast = takes_parameters(BIND.sub("%s", textclause.text))
            try:
                return super().visit_textclause(textclause, *arguments, **named)
            finally:
                self.is_cast = before

        def render_bind_cast(self, type_: Any, dbapi_type: Any, sqltext: str) -> str:
            if not self.is_cast:
                return sqltext
            return str(super().render_bind_cast(type_, dbapi_type, sqltext))

    return ScriptCompiler

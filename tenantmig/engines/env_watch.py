"""The watch over env.py in a run: what it sends by itself must not decide where tables go.

The look before a run stops at the first statement whose answer is not known; this hears all that
come after it, and those of engines that env.py opens with SQLAlchemy. What the revisions send is
judged elsewhere.
"""

from __future__ import annotations

import os
import traceback
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import sqlalchemy as sa
from alembic.runtime.migration import MigrationContext, RevisionStep
from sqlalchemy import event

from tenantmig.domain.plan import Heads
from tenantmig.errors import EnvironmentFileError
from tenantmig.history.env_statement import OF_A_SESSION, judge
from tenantmig.postgres.script_connection import ScriptConnection, ScriptCursor

SENDS = (
    "{where}: env.py sends {what} itself, which can create a tenant's tables in another "
    "schema. Remove the line: tenantmig creates the schema and sets its search path"
)

Migrations = Callable[[Heads, MigrationContext], Iterable[RevisionStep]]


class EnvWatch:
    """Hears what one run of env.py sends beside its revisions, and refuses what places tables."""

    def __init__(self, file: str, path: Sequence[str]) -> None:
        self.file = file
        self.path = path
        self._problem: str | None = None
        self._is_script = False
        self._own: ScriptConnection | None = None

    def hear(self, text: str, *, is_elsewhere: bool = False) -> None:
        """Judge a text that is about to be sent; what a connection of its own sets ends with that.

        Raises:
            EnvironmentFileError: it places tables; it is not sent.
        """
        what = None if self._is_script else judge(text, self.path)
        if what is not None and not (is_elsewhere and what in OF_A_SESSION):
            self._problem = say_sent(self.file, what) + "."
            raise EnvironmentFileError(self._problem)

    def around(self, migrations: Migrations) -> Migrations:
        """Hear nothing while the revisions run, and run none after something was refused."""

        def run(heads: Heads, context: MigrationContext) -> Iterator[RevisionStep]:
            if self._problem is not None:
                raise EnvironmentFileError(self._problem)  # env.py went on as if nothing were
            with self._deaf():
                yield from migrations(heads, context)

        return run

    @contextmanager
    def _deaf(self) -> Iterator[None]:
        self._is_script, own = True, self._own
        if own is not None:
            own.hear = None
        try:
            yield
        finally:
            self._is_script = False
            if own is not None and own is self._own:  # else env.py has ended
                own.hear = self.hear

    @contextmanager
    def attached(self, connection: sa.Connection | None) -> Iterator[None]:
        """Hear in the block what is sent over the session's connection, and over other engines."""
        driver = connection.connection.driver_connection if connection is not None else None
        self._own = own = driver if isinstance(driver, ScriptConnection) else None

        def hear(_: object, cursor: object, statement: str, *__: Any) -> None:
            if not isinstance(cursor, ScriptCursor):
                self.hear(statement, is_elsewhere=True)

        event.listen(sa.Engine, "before_cursor_execute", hear)
        if own is not None:
            own.hear = self.hear
        try:
            yield
        finally:
            event.remove(sa.Engine, "before_cursor_execute", hear)
            self._own = None
            if own is not None:
                own.hear = None


def say_sent(file: str, what: str) -> str:
    """Say where env.py sends something by itself: call it while that is about to be sent."""
    line = line_in(file, traceback.extract_stack())
    return SENDS.format(where=f"{file}, line {line}" if line else file, what=what)


def line_in(file: str, frames: traceback.StackSummary) -> int | None:
    """Return the line of the innermost frame in a file."""
    here = os.path.realpath(file)
    lines = [frame.lineno for frame in frames if os.path.realpath(frame.filename) == here]
    return lines[-1] if lines else None

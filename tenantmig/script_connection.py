"""The psycopg connection that scripts get: no transaction ends on it without its session's notice.

Whoever ends it, SQLAlchemy or a script by the driver's own `commit()`, the watch is asked before. A
text that would end it is refused; one that nobody could read and that did end it is noticed after.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Protocol, TypeVar

import psycopg
from psycopg.abc import PQGen, Query
from psycopg.pq import TransactionStatus

from tenantmig.connection import BoundedConnection
from tenantmig.errors import PartialRevisionError
from tenantmig.forbidden import refuse_text

T = TypeVar("T")
OPEN = frozenset({TransactionStatus.INTRANS, TransactionStatus.INERROR})
LEFT = (
    "A statement of the script ended the revision's transaction, so a part of the revision may be"
    " committed; use op.get_bind().commit() or `with op.get_context().autocommit_block():`."
)


class CommitWatch(Protocol):
    """Who wants to know how transactions of a connection end."""

    def before_commit(self, connection: ScriptConnection) -> None:
        """See a COMMIT that ends an open transaction; what it raises prevents the COMMIT."""
        ...


class ScriptCursor(psycopg.Cursor[Any]):
    """A cursor that refuses what nobody could follow (see `forbidden`).

    A savepoint is let pass: SQLAlchemy and psycopg send them as text.
    """

    def execute(self, query: Query, *arguments: Any, **options: Any) -> ScriptCursor:
        """Execute a statement, unless it may not be sent as text."""
        refuse_text(text_of(query, self), is_savepoint_allowed=True)
        super().execute(query, *arguments, **options)
        return self

    def executemany(self, query: Query, *arguments: Any, **options: Any) -> None:
        """Execute a statement for each set of parameters, unless it may not be sent as text."""
        refuse_text(text_of(query, self), is_savepoint_allowed=True)
        super().executemany(query, *arguments, **options)


def text_of(query: Query, context: psycopg.Connection | psycopg.Cursor[Any]) -> str:
    """Return what psycopg is given, as text."""
    if isinstance(query, str):
        return query
    if isinstance(query, bytes):
        return query.decode(errors="replace")
    return query.as_string(context) if isinstance(query, psycopg.sql.Composable) else str(query)


class ScriptConnection(BoundedConnection):
    """A connection of a tenant session, or one that a script takes from its engine."""

    cursor_factory: type[psycopg.Cursor[Any]]
    watch: CommitWatch | None = None
    has_left: bool = False
    """A statement ended a transaction, and nobody was asked."""
    _is_ending = False
    _was_open = False

    def begin_watch(self, watch: CommitWatch) -> None:
        """Let `watch` see the end of each transaction from now on."""
        if self.cursor_factory is psycopg.Cursor:
            self.cursor_factory = ScriptCursor
        self.watch = watch

    def commit(self) -> None:
        """Commit the open transaction, when the watch has seen it."""
        if self.watch is not None and not self.autocommit:
            self._look()
            self.refuse_left()
            if self.info.transaction_status is TransactionStatus.INTRANS:
                self.watch.before_commit(self)
        with self._ending():
            super().commit()

    def rollback(self) -> None:
        """Roll the open transaction back."""
        with self._ending():
            super().rollback()

    def refuse_left(self) -> None:
        """Make sure that no transaction was ended behind our back.

        Raises:
            PartialRevisionError: one was.
        """
        if self.has_left:
            raise PartialRevisionError(LEFT)

    @contextmanager
    def _ending(self) -> Iterator[None]:
        self._is_ending = True
        try:
            yield
        finally:
            self._is_ending = self._was_open = False

    def wait(self, gen: PQGen[T], interval: float = 0.1, timeout: float | None = None) -> T:
        """Wait for the server's answer, and see whether the transaction is still open after it."""
        if self.watch is None or self.autocommit or self._is_ending:
            return super().wait(gen, interval, timeout)
        had_left = self.has_left
        self._look()
        try:
            answer = super().wait(gen, interval, timeout)
        finally:
            self._look()
        if not had_left:
            self.refuse_left()
        return answer

    def _look(self) -> None:
        """See whether the transaction that was open is open still."""
        status = self.pgconn.transaction_status
        self.has_left |= self._was_open and status == TransactionStatus.IDLE
        self._was_open = status in OPEN

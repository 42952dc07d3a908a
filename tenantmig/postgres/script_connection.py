"""The psycopg connection that scripts get: no transaction ends on it without its session's notice.

Whoever ends it, SQLAlchemy or a script by the driver's own `commit()`, the watch is asked before. A
text that would end it is refused; one that nobody could read and that did end it is noticed after.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, Protocol, TypeVar

import psycopg
from psycopg.abc import PQGen, Query
from psycopg.pq import TransactionStatus

from tenantmig.errors import PartialRevisionError
from tenantmig.postgres.client_parameters import put_in, takes_parameters
from tenantmig.postgres.connection import BoundedConnection
from tenantmig.postgres.forbidden import refuse_text
from tenantmig.postgres.owner_wall import OwnerWall, is_idle, refuse_way
from tenantmig.postgres.wall_statements import Kind, kind_of

T = TypeVar("T")
OPEN = frozenset({TransactionStatus.INTRANS, TransactionStatus.INERROR})
LEFT = (
    "A statement of the script ended the revision's transaction, so part of the revision "
    "may be committed. Use op.get_bind().commit() or `with "
    "op.get_context().autocommit_block():`."
)


class CommitWatch(Protocol):
    """Who wants to know how transactions of a connection end."""

    def before_commit(self, connection: ScriptConnection) -> None:
        """See a COMMIT that ends an open transaction; what it raises prevents the COMMIT."""
        ...


class ScriptCursor(psycopg.Cursor[Any]):
    """A cursor that refuses what nobody could follow (see `forbidden`).

    A savepoint is let pass: SQLAlchemy and psycopg send them as text. Behind the owner's wall a
    statement runs as the owner of the tenant schema. Parameters that the server takes of no such
    statement are put into its text.
    """

    connection: ScriptConnection
    is_ours = False
    """What it sends is no script's: our own statements bind their parameters."""

    def put_in(self, query: Any, params: Any) -> tuple[Any, Any]:
        """Return what is to be sent: as it is, or with the parameters put in."""
        if self.is_ours or not params:
            return query, params
        filled = self.connection.put_in(text_of(query, self), params)
        return (query, params) if filled is None else (filled, None)

    def execute(self, query: Any, params: Any = None, **options: Any) -> ScriptCursor:
        """Execute a statement, unless it may not be sent as text."""
        query, params = self.put_in(query, params)
        self._hear(query, params)
        refuse_text(text_of(query, self), is_savepoint_allowed=True)
        wall = self.connection.armed_wall
        if wall is None:
            super().execute(query, params, **options)
        else:
            self._execute_walled(wall, wall.write(self.connection, query, params), options)
        return self

    def _hear(self, query: Any, params: Any = None) -> None:
        """Let whoever hears what env.py sends refuse it, with its parameters put in."""
        heard = self.connection.hear
        if heard is not None:
            text = text_of(query, self)
            heard(put_in(self.connection, text, params) if params else text)

    def executemany(self, query: Query, params_seq: Iterable[Any], **options: Any) -> None:
        """Execute a statement for each set of parameters, unless it may not be sent as text."""
        self._hear(query)
        refuse_text(text_of(query, self), is_savepoint_allowed=True)
        is_walled = self.connection.armed_wall is not None
        if not (is_walled or self.connection.puts_in(text_of(query, self))):
            super().executemany(query, params_seq, **options)
            return
        if is_walled and options.get("returning"):
            refuse_way(self.connection, "executemany() with returning=True")
        changed = 0
        for params in params_seq:
            changed += max(0, self.execute(query, params).rowcount)
        self._rowcount = changed

    def stream(self, query: Any, params: Any = None, **options: Any) -> Iterator[Any]:
        """Execute a statement and read its rows one by one; not behind the wall."""
        refuse_way(self.connection, "stream()")
        query, params = self.put_in(query, params)
        self._hear(query, params)
        yield from super().stream(query, params, **options)

    @contextmanager
    def copy(self, statement: Any, params: Any = None, **options: Any) -> Iterator[psycopg.Copy]:
        """Copy rows; not behind the wall."""
        refuse_way(self.connection, "COPY")
        statement, params = self.put_in(statement, params)
        with super().copy(statement, params, **options) as made:
            yield made

    def _execute_walled(self, wall: OwnerWall, statement: str, options: dict[str, Any]) -> None:
        connection, kind = self.connection, kind_of(statement)
        if not (connection.autocommit and is_idle(connection)):
            wall.up(connection)
            self._pass(wall, statement, kind, options)
        elif kind is Kind.ALONE:
            with wall.as_owner(connection, statement):
                super().execute(statement.encode(connection.info.encoding))
        else:
            with connection.transaction():  # which lowers the wall
                wall.up(connection)
                self._pass(wall, statement, kind, options)

    def _pass(self, wall: OwnerWall, statement: str, kind: Kind, options: dict[str, Any]) -> None:
        """Send a statement through the wall; this cursor is then as without one."""
        if kind is Kind.SAVEPOINT:
            super().execute(statement.encode())
        elif kind in {Kind.ROWS, Kind.ASK}:
            with wall.rows(self.connection, statement, kind) as fetch:
                super().execute(fetch.encode(), **options)
        else:
            changed = wall.run(self.connection, statement)
            self._reset()
            self._rowcount = changed


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
    wall: OwnerWall | None = None
    """Behind which scripts act as the owner of the tenant schema, if they do."""
    hear: Callable[[str], None] | None = None
    """Who hears, and may refuse, each text that is sent."""
    has_left: bool = False
    """A statement ended a transaction, and nobody was asked."""
    _is_ending = False
    _was_open = False

    def puts_in(self, statement: str) -> bool:
        """True when parameters of a statement are put into its text."""
        return self.puts_in_all or not takes_parameters(statement)

    def put_in(self, statement: str, params: Any) -> str | None:
        """Return a statement with its parameters put in; None where the server takes them."""
        if not params or not self.puts_in(statement):
            return None
        return put_in(self, statement, params)

    def execute(self, query: Any, params: Any = None, **options: Any) -> psycopg.Cursor[Any]:
        """Execute a statement of ours: a script's come by a cursor, from SQLAlchemy or itself."""
        cursor: psycopg.Cursor[Any] = self.cursor()
        if isinstance(cursor, ScriptCursor):
            cursor.is_ours = True
        return cursor.execute(query, params, **options)

    def begin_watch(self, watch: CommitWatch) -> None:
        """Let `watch` see the end of each transaction from now on."""
        if self.cursor_factory is psycopg.Cursor:
            self.cursor_factory = ScriptCursor
        self.watch = watch

    @property
    def armed_wall(self) -> OwnerWall | None:
        """The wall, if what is sent now must go through it."""
        return self.wall if self.wall is not None and self.wall.gate.is_armed else None

    def cursor(self, *arguments: Any, **options: Any) -> Any:
        """Return a cursor; behind the wall none that the server keeps."""
        if arguments or options.get("name"):
            refuse_way(self, "a cursor with a name")
        return super().cursor(*arguments, **options)

    @contextmanager
    def transaction(self, *arguments: Any, **options: Any) -> Iterator[psycopg.Transaction]:
        """A transaction; at the end of one that is no savepoint the wall is down."""
        is_whole = is_idle(self)
        if not is_whole and self.armed_wall is not None:
            self.armed_wall.up(self)  # before the savepoint, whose rollback would take it away
        try:
            with super().transaction(*arguments, **options) as made:
                yield made
                if is_whole:
                    self.lower_wall()
        finally:
            if is_whole:
                self.forget_wall()

    def lower_wall(self) -> None:
        """End the wall's part in the open transaction, if it has one."""
        if self.wall is not None and self.info.transaction_status is TransactionStatus.INTRANS:
            self.wall.lower(self)

    def forget_wall(self) -> None:
        """The transaction has ended, and the wall with it."""
        if self.wall is not None:
            self.wall.forget()

    def commit(self) -> None:
        """Commit the open transaction, when the watch has seen it."""
        if not self.autocommit:
            self.lower_wall()
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
        self.forget_wall()

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

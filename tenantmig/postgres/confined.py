"""Confinement: connections that commit nothing but what is in one schema.

Before each COMMIT `touched` finds what the transaction reached outside the schema. Outside a
transaction a statement is given one, or is known to stay inside. Knows no script and no history.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NoReturn

import psycopg
from psycopg import sql
from psycopg.pq import TransactionStatus

from tenantmig.errors import OutsideError
from tenantmig.postgres.connection import SessionOptions, connect, connect_as
from tenantmig.postgres.reach import Name, may_grant, reach
from tenantmig.postgres.script_connection import ScriptConnection, ScriptCursor, text_of
from tenantmig.postgres.touched import Outside, ask

SHOWN = 3
IN_A_TRANSACTION = (
    psycopg.errors.ActiveSqlTransaction,
    psycopg.errors.InvalidTransactionTermination,
)
PLACES = """
    SELECT relnamespace = %s FROM pg_class
     WHERE oid = to_regclass(concat_ws('.', quote_ident(nullif(%s, '')), quote_ident(%s)))
"""
SEQUENCE = "SELECT relnamespace = %s FROM pg_class WHERE oid = {}::regclass"


class Confinement:
    """Keeps what is done over its connections inside one schema, while it is armed.

    Once something reached out, `refusal` says what, and nothing more is committed.
    """

    def __init__(self, options: SessionOptions, schema: str) -> None:
        self.options = options
        self.schema = schema
        self.refusal: str | None = None
        self.is_armed = False
        self.is_connecting = False
        self._may_grant = False
        self._outside = Outside(self._observe, schema)

    def connect(self, options: SessionOptions, schemas: tuple[str, ...] = ()) -> ScriptConnection:
        """Open a connection that is confined; see `connection.connect`."""
        with self._connecting():
            connection = connect_as(ConfinedConnection, options, schemas)
        connection.confinement = self
        connection.cursor_factory = ConfinedCursor
        connection.server_cursor_factory = ConfinedServerCursor
        return connection

    @contextmanager
    def armed(self) -> Iterator[None]:
        """Confine what is done in the block: the scripts' part."""
        self.is_armed = True
        try:
            yield
        finally:
            self.is_armed = False

    def close(self) -> None:
        """End the observer."""
        self._outside.close()

    def refuse(self, reason: str) -> NoReturn:
        """Let nothing be committed any more.

        Raises:
            OutsideError: always, with the first reason.
        """
        self.refusal = self.refusal or reason
        raise OutsideError(f"It {self.refusal}.")

    def look_at(self, connection: psycopg.Connection, text: str) -> bool:
        """See a statement before it is run; True if it must be run outside a transaction.

        Raises:
            OutsideError: it would do outside the schema what no rollback takes back.
        """
        if self.refusal is not None:
            self.refuse(self.refusal)
        self._may_grant = self._may_grant or may_grant(text)
        found = reach(text, is_autocommit=connection.autocommit)
        if found.fault is not None:
            self.refuse(found.fault)
        for sequence in found.sequences:
            self._check_sequence(connection, sequence)
        if connection.autocommit:
            for name in found.alone:
                self._check_place(connection, name)
        return connection.autocommit and bool(found.alone)

    def look_back(self, connection: psycopg.Connection) -> None:
        """See what a transaction has done, before it is committed.

        Raises:
            OutsideError: it reached out of the schema.
        """
        touched = () if self.refusal else self._outside.touched(connection, self._may_grant)
        if touched:
            more = f" and {len(touched) - SHOWN} more" if len(touched) > SHOWN else ""
            self.refusal = f"touches {', '.join(touched[:SHOWN])}{more}"
        if self.refusal is not None:
            connection.close()  # a script that goes on regardless finds nothing to commit
            self.refuse(self.refusal)

    def _check_sequence(self, connection: psycopg.Connection, named: tuple[str, ...]) -> None:
        arguments = sql.SQL(", ").join(map(sql.Literal, named))
        of = sql.SQL("pg_get_serial_sequence({})" if len(named) > 1 else "{}").format(arguments)
        found = ask(connection, sql.SQL(SEQUENCE).format(of), [self._outside.namespace])
        if found and not found[0][0]:
            self.refuse(
                f"sets the sequence of {'.'.join(named)}, which a transaction rollback does "
                "not undo"
            )

    def _check_place(self, connection: psycopg.Connection, name: Name) -> None:
        found = ask(connection, sql.SQL(PLACES), [self._outside.namespace, *name])
        if found and not found[0][0]:
            self.refuse(f"touches {'.'.join(filter(None, name))} outside a transaction")

    def _observe(self) -> psycopg.Connection:
        with self._connecting():
            return connect(self.options)

    @contextmanager
    def _connecting(self) -> Iterator[None]:
        """A connection that is opened in the block is ours."""
        before, self.is_connecting = self.is_connecting, True
        try:
            yield
        finally:
            self.is_connecting = before


class ConfinedConnection(ScriptConnection):
    """A connection whose transactions are looked at before they are committed."""

    confinement: Confinement | None = None

    @property
    def armed(self) -> Confinement | None:
        """Its confinement, if that holds now."""
        return self.confinement if self.confinement and self.confinement.is_armed else None

    def commit(self) -> None:
        """Commit, if nothing reached out."""
        self._look_back()
        super().commit()

    @contextmanager
    def transaction(
        self, savepoint_name: str | None = None, force_rollback: bool = False
    ) -> Iterator[psycopg.Transaction]:
        """A transaction that is committed at its end, if nothing reached out."""
        with super().transaction(savepoint_name, force_rollback) as made:
            yield made
            self._look_back()

    def tpc_prepare(self) -> None:
        """Refuse a transaction in two phases: another session could commit it."""
        if self.armed is not None:
            self.armed.refuse("prepares a transaction in two phases")
        super().tpc_prepare()

    def _look_back(self) -> None:
        if self.armed and self.info.transaction_status is TransactionStatus.INTRANS:
            self.armed.look_back(self)

    @contextmanager
    def running(self, asked: Any) -> Iterator[None]:
        """Look at a statement, and give it a transaction if it has none."""
        armed = self.armed
        if armed is None:
            yield
            return
        is_alone = armed.look_at(self, text_of(asked, self))
        is_open = self.info.transaction_status is not TransactionStatus.IDLE
        if not self.autocommit or is_alone or is_open:
            yield
            return
        try:
            with self.transaction():
                yield
        except IN_A_TRANSACTION:
            armed.refuse("runs a statement outside a transaction that cannot be tried inside one")


class ConfinedCursor(ScriptCursor):
    """A cursor whose statements are looked at before they are run."""

    connection: ConfinedConnection

    def execute(self, query: Any, params: Any = None, **more: Any) -> Any:
        """Execute a statement, if it does not reach out."""
        query, params = self.put_in(query, params)
        with self.connection.running(query):
            return super().execute(query, params, **more)

    def executemany(self, query: Any, params_seq: Any, **more: Any) -> None:
        """Execute a statement several times, if it does not reach out."""
        with self.connection.running(query):
            super().executemany(query, params_seq, **more)

    def stream(self, query: Any, params: Any = None, **more: Any) -> Iterator[Any]:
        """Execute a statement and read its rows one by one, if it does not reach out."""
        query, params = self.put_in(query, params)
        with self.connection.running(query):
            yield from super().stream(query, params, **more)

    @contextmanager
    def copy(self, statement: Any, params: Any = None, **more: Any) -> Iterator[psycopg.Copy]:
        """Copy rows, if that does not reach out."""
        statement, params = self.put_in(statement, params)
        with self.connection.running(statement), super().copy(statement, params, **more) as made:
            yield made


class ConfinedServerCursor(psycopg.ServerCursor[Any]):
    """A cursor on the server, inside a transaction only."""

    connection: ConfinedConnection

    def execute(self, query: Any, params: Any = None, **more: Any) -> Any:
        """Declare the cursor; it ends with its transaction."""
        armed = self.connection.armed
        if armed is not None:
            armed.look_at(self.connection, text_of(query, self.connection))
            if self.connection.autocommit:
                armed.refuse("keeps a cursor open outside a transaction")
        return super().execute(query, params, **more)

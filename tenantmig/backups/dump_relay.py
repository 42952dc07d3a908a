"""The relay between pg_dump and the server: it asks the server pg_dump's questions, narrowed.

pg_dump connects to a socket in a folder that only this user can enter, and is told no password; the
server is reached through libpq. What the relay does not know it refuses, and then the dump fails.
"""

from __future__ import annotations

import select
import shutil
import socket
import tempfile
import threading
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, Self

import psycopg
from psycopg import pq
from psycopg.pq.abc import PGresult

from tenantmig.backups.connecting import Connecting
from tenantmig.backups.dump_scope import DumpScope
from tenantmig.backups.dump_wire import Wire, WireError
from tenantmig.backups.running_program import POLL_S
from tenantmig.errors import ClientProgramError
from tenantmig.postgres.connection import BoundedConnection
from tenantmig.postgres.sql import query, text

CANCEL_S = 5.0
ANSWER_S = 60.0  # to what is asked before pg_dump begins
WORTH = 8  # a row through the relay costs a few microseconds; a row of pg_depend costs pg_dump more
LONGEST_PATH = 80  # of the folder; the kernel takes 107 bytes for a socket
ASKS = (b"SELECT", b"WITH")
BARE_PATH = "SELECT pg_catalog.set_config('search_path', '', false)"
Listed = frozenset[tuple[int, int]]


class DumpRelay:
    """Serves one pg_dump for a block, in a thread of its own.

    Raises:
        ClientProgramError: as the block begins, if the server cannot be reached.
    """

    def __init__(self, connecting: Connecting, schema: str) -> None:
        self.listed: Listed | None = None
        """Classes and oids of what the dump must list; None before it was found out."""
        self.is_refused = False
        """True when the server has refused what pg_dump asked, in pg_dump's own words."""
        self.problem: str | None = None
        """What was refused, or went wrong, because of the relay; it may not have begun."""
        self._connecting = connecting
        self._schema = schema
        self._scope: DumpScope | None = None
        self._is_closing = threading.Event()
        self._listener = socket.socket(socket.AF_UNIX)
        self._folder = Path()
        self._thread: threading.Thread | None = None

    def __enter__(self) -> Self:
        self._connection = self._connect()
        self._server = self._connection.pgconn
        try:
            self._listen()
        except BaseException as error:
            self._close()
            if not isinstance(error, OSError):
                raise
            self._note(f"no socket can be created: {error.strerror or error}")
        return self

    def __exit__(self, *_: object) -> None:
        self._is_closing.set()
        if self._thread is not None:
            self._thread.join()
        self._close()

    def _listen(self) -> None:
        self._folder = _private_folder()
        self._listener.bind(str(self._folder / ".s.PGSQL.5432"))
        self._listener.listen()
        thread = threading.Thread(target=self._serve, name="tenantmig-dump")
        thread.start()
        self._thread = thread

    @property
    def connecting(self) -> Connecting:
        """How pg_dump connects to this relay."""
        return replace(self._connecting, relay=(self._folder, self._connection.info.dbname))

    @property
    def is_worth_it(self) -> bool:
        """False for so large a tenant that the relay costs more than the catalog."""
        given = {"schema": self._schema, "factor": WORTH}
        try:
            row = self._connection.execute(query("backups/dump_is_small"), given).fetchone()
        except psycopg.Error as error:
            raise ClientProgramError(self._connecting.url.redact(str(error))) from None
        return bool(row and row[0])

    def _connect(self) -> BoundedConnection:
        given: dict[str, Any] = self._connecting.ask_parameters() | {"client_encoding": "UTF8"}
        try:
            connection = BoundedConnection.connect(autocommit=True, prepare_threshold=None, **given)
            connection.answer_within_s = ANSWER_S
            connection.execute(BARE_PATH)
        except psycopg.Error as error:
            raise ClientProgramError(self._connecting.url.redact(str(error))) from None
        return connection

    def _close(self) -> None:
        self._listener.close()
        self._connection.close()
        if self._folder.name:
            shutil.rmtree(self._folder, ignore_errors=True)

    def _serve(self) -> None:
        try:
            while not self._is_closing.is_set():
                if self._await(self._listener) and self._hold_conversation():
                    break
        except (WireError, OSError, psycopg.Error, UnicodeDecodeError) as error:
            self._note(str(error))
            self._cancel()

    def _hold_conversation(self) -> bool:
        """Answer pg_dump until it leaves; False if it did not ask anything."""
        client, _ = self._listener.accept()
        with client:
            wire = Wire(client)
            if not wire.begin(self._server):
                return False
            while (question := wire.question()) is not None:
                self._answer(wire, question)
        return True

    def _answer(self, wire: Wire, question: bytes) -> None:
        asked = self._narrowed(wire, question)
        self._server.send_query(asked)
        is_copied = False
        while (result := self._result(wire)) is not None:
            if result.status == pq.ExecStatus.COPY_OUT:
                wire.copy_begins(result)
                self._copy(wire)
                is_copied = True
                continue
            if is_copied and result.status == pq.ExecStatus.COMMAND_OK:
                wire.copy_ends()
            is_copied = False
            if result.status == pq.ExecStatus.FATAL_ERROR and asked == question:
                self.is_refused = True
            elif result.status == pq.ExecStatus.FATAL_ERROR:
                self._note(result.get_error_message())
            wire.result(result)
        wire.ready(self._server)

    def _note(self, problem: str) -> None:
        self.problem = self.problem or self._connecting.url.redact(problem)

    def _narrowed(self, wire: Wire, question: bytes) -> bytes:
        """Narrow a question of the dump's transaction; the first of them has taken its snapshot."""
        is_asked = question.lstrip().startswith(ASKS)
        if not is_asked or self._server.transaction_status != pq.TransactionStatus.INTRANS:
            return question
        if self._scope is None:
            self._scope = self._read_scope(wire)
        return self._scope.narrow(question.decode()).encode()

    def _read_scope(self, wire: Wire) -> DumpScope:
        self._server.send_query_params(text("backups/dump_scope").encode(), [self._schema.encode()])
        result = self._result(wire)
        while self._result(wire) is not None:
            pass
        if result is None or result.status != pq.ExecStatus.TUPLES_OK:
            raise WireError(result.get_error_message() if result else "the server did not answer")
        *scope, listed = (
            (result.get_value(0, column) or b"").decode() for column in range(result.nfields)
        )
        pairs = (one.split() for one in listed.split(",") if one)
        self.listed = frozenset((int(kind), int(oid)) for kind, oid in pairs)
        return DumpScope(*(oids or "{}" for oids in scope))

    def _copy(self, wire: Wire) -> None:
        while True:
            length, row = self._server.get_copy_data(1)
            if length > 0:
                wire.copy_row(row)
            elif length == 0:
                wire.flush()
                self._receive(wire)
            else:
                return

    def _result(self, wire: Wire) -> PGresult | None:
        while self._server.is_busy():
            self._receive(wire)
        return self._server.get_result()

    def _receive(self, wire: Wire) -> None:
        """Wait for the server, for as long as pg_dump does."""
        waiting = select.poll()
        for one in (self._server.socket, wire.client, self._listener):
            waiting.register(one, select.POLLIN)
        ready = {descriptor for descriptor, _ in waiting.poll()}
        if ready - {self._server.socket}:  # it does not ask while it waits: it has gone, or cancels
            raise WireError("pg_dump has ended")
        self._server.consume_input()

    def _await(self, one: socket.socket) -> bool:
        waiting = select.poll()
        waiting.register(one, select.POLLIN)
        return bool(waiting.poll(1000 * POLL_S))

    def _cancel(self) -> None:
        with suppress(psycopg.Error):
            self._connection.cancel_safe(timeout=CANCEL_S)


def _private_folder() -> Path:
    """Make a folder that only this user can enter, with a path short enough for a socket."""
    folder = Path(tempfile.mkdtemp(prefix="tenantmig-"))
    if len(str(folder).encode()) > LONGEST_PATH:
        folder.rmdir()
        folder = Path(tempfile.mkdtemp(prefix="tenantmig-", dir="/tmp"))  # mode 0700
    return folder

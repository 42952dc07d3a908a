"""The session in which a restore runs: one connection whose every wait has an end.

Each statement is sent alone, in the extended protocol: the server refuses a second one in it.
"""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager, suppress
from typing import Any

import psycopg
from psycopg import sql

from tenantmig.backups.running_program import GRACE_S, POLL_S, Limits, RunningProgram
from tenantmig.errors import ClientProgramError
from tenantmig.postgres.connection import SessionOptions, connect


class RestoreSession:
    """A connection in one transaction; whatever is not committed at its end is rolled back."""

    def __init__(self, connection: psycopg.Connection[Any], limits: Limits) -> None:
        self.connection = connection
        self._limits = limits
        self._sources: list[RunningProgram] = []
        self._problem: str | None = None
        self._ended = threading.Event()

    def run(self, statement: str) -> None:
        """Run one statement."""
        self.connection.execute(statement.encode(), binary=True)

    def run_texts(self, statements: str) -> None:
        """Run several statements of our own."""
        self.connection.execute(statements.encode())

    def ask(self, statement: str | sql.Composable) -> Any:
        """Run one statement and return the first value of its first row."""
        text = statement if isinstance(statement, str) else statement.as_string(self.connection)
        row = self.connection.execute(text.encode()).fetchone()
        return row[0] if row else None

    def fill(self, statement: str, rows: Iterable[bytes]) -> None:
        """Run a COPY with these rows."""
        with self.connection.cursor().copy(statement.encode()) as copy:
            for row in rows:
                copy.write(row)

    def commit(self) -> None:
        """Commit.

        Raises:
            ClientProgramError: the server rolled back instead.
        """
        said = self.connection.execute("COMMIT").statusmessage
        if said != "COMMIT":
            raise ClientProgramError(f"the server answered {said} to the COMMIT")

    @contextmanager
    def watching(self, source: RunningProgram) -> Iterator[None]:
        """Let a program end with this session, when a limit is met."""
        self._sources.append(source)
        try:
            yield
        finally:
            self._sources.remove(source)

    @contextmanager
    def explained(self) -> Iterator[None]:
        """Say that a limit ended it, if one did."""
        try:
            yield
        except (psycopg.Error, ClientProgramError, OSError) as error:
            if self._problem is None:
                raise
            raise ClientProgramError(f"it was ended: {self._problem}.") from error

    def watch(self) -> None:
        """End what runs when a limit is met, in a thread: that frees whoever waits."""
        patience = None
        while not self._ended.wait(POLL_S):
            self._problem = self._problem or self._limits.problem
            if self._problem is None:
                continue
            patience = patience or time.monotonic() + GRACE_S
            for source in tuple(self._sources):
                source.process.kill()
            with suppress(psycopg.Error):
                self.connection.cancel_safe(timeout=GRACE_S)
            if time.monotonic() >= patience:
                self._cut()

    def _cut(self) -> None:
        """Close the socket under a connection whose server does not answer."""
        with suppress(OSError, psycopg.Error):
            end = socket.socket(fileno=self.connection.fileno())
            try:
                end.shutdown(socket.SHUT_RDWR)
            finally:
                end.detach()

    def end(self) -> None:
        """Let `watch` return."""
        self._ended.set()


@contextmanager
def restore_session(options: SessionOptions, limits: Limits) -> Iterator[RestoreSession]:
    """Open a session; what is not committed at the end of the block is rolled back.

    Raises:
        ClientProgramError: a limit was met.
        psycopg.Error: the server refused something.
    """
    with closing(connect(options)) as connection:
        session = RestoreSession(connection, limits)
        watcher = threading.Thread(target=session.watch)
        watcher.start()
        try:
            with session.explained():
                yield session
        finally:
            session.end()
            watcher.join()

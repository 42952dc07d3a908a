"""Connections that are kept from call to call. Used from several threads."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from queue import Empty, LifoQueue

from tenantmig.postgres.connection import BoundedConnection


class KeptConnections:
    """Lends connections; between `keep` and `close` those that come back are lent again."""

    def __init__(self, connect: Callable[[], BoundedConnection]) -> None:
        self._connect = connect
        self._idle: LifoQueue[BoundedConnection] = LifoQueue()
        self._is_keeping = False

    def keep(self) -> None:
        """Keep what comes back from now on."""
        self._is_keeping = True

    def close(self) -> None:
        """End the connections that are kept; those that are lent end when they come back."""
        self._is_keeping = False
        try:
            while True:
                self._idle.get_nowait().close()
        except Empty:
            return

    @contextmanager
    def lend(self) -> Iterator[BoundedConnection]:
        """Lend a connection for the block; one in which something failed is not kept."""
        try:
            connection = self._idle.get_nowait()
        except Empty:
            connection = self._connect()
        try:
            yield connection
        except BaseException:
            connection.close()
            raise
        if self._is_keeping and not connection.closed:
            self._idle.put(connection)
        else:
            connection.close()

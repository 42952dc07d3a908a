"""A server that is farther away: a relay on loopback that holds every byte back for a while."""

from __future__ import annotations

import queue
import socket
import threading
import time
from contextlib import suppress
from typing import Self
from urllib.parse import urlsplit

ONE_WAY_S = 0.001
MOST_BYTES = 65536
Held = queue.SimpleQueue[tuple[float, bytes]]


class Relay:
    """Passes on connections to a server on loopback, each direction `one_way_s` late, in order.

    Threads, for they sleep to a tenth of a millisecond, which an event loop does not. What the
    relay itself takes of the processor counts neither for the client nor for the server.
    """

    def __init__(self, server_port: int, one_way_s: float = ONE_WAY_S) -> None:
        self._server = ("127.0.0.1", server_port)
        self._one_way_s = one_way_s
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.close()

    def url(self, url: str) -> str:
        """The same database, through this relay."""
        parts = urlsplit(url)
        user = parts.netloc.rpartition("@")[0]
        port = self._listener.getsockname()[1]
        return parts._replace(netloc=f"{user}@127.0.0.1:{port}").geturl()

    def _accept(self) -> None:
        with suppress(OSError):  # closed
            while True:
                client, _ = self._listener.accept()
                server = socket.create_connection(self._server)
                for source, target in ((client, server), (server, client)):
                    target.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                    held: Held = queue.SimpleQueue()
                    for work in (self._take, self._give):
                        ends = (source, held) if work == self._take else (target, held)
                        threading.Thread(target=work, args=ends, daemon=True).start()

    def _take(self, source: socket.socket, held: Held) -> None:
        data = b"first"
        while data:
            try:
                data = source.recv(MOST_BYTES)
            except OSError:
                data = b""
            held.put((time.monotonic() + self._one_way_s, data))

    @staticmethod
    def _give(target: socket.socket, held: Held) -> None:
        with suppress(OSError):
            while True:
                due, data = held.get()
                time.sleep(max(0.0, due - time.monotonic()))
                if not data:
                    target.shutdown(socket.SHUT_WR)
                    return
                target.sendall(data)

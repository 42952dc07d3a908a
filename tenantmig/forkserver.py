"""The fork server that worker processes come from: it has the libraries and has opened nothing.

A fork of the driver would share its sockets and threads; a new interpreter would import everything
anew for each worker. The server forks a process for each request on a socket of the driver's, and
says how each ended. Any of these processes may be killed at any moment: they share no lock, the
server is started anew when it is missed, and there is no resource tracker as in `multiprocessing`.
"""

from __future__ import annotations

import os
import signal
import socket
import struct
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from multiprocessing.connection import Connection, Pipe, wait

from tenantmig.errors import WorkerStartError
from tenantmig.forking import FORK, NUMBER, SERVER, become_server

TRIES = 4  # of a start whose fork server, or whose new process, is killed meanwhile
ANSWER_WITHIN_S = 60.0  # else the fork server is taken for dead
GLANCE_S = 0.1  # how often a start that waits looks whether it is still wanted
STALLED_S = 10  # that the middle of a message may take
REPORT_WITHIN_S = 1.0  # in which the fork server says how a process ended
SERVER_FD = 3


class Forked:
    """A process that came from the fork server, and the pipe to it, which nobody else has."""

    def __init__(self, pid: int, pipe: Connection, status: int) -> None:
        self.pid = pid
        self.pipe = pipe
        self._status = status  # where the fork server says how it ended
        self._pidfd: int | None = None
        with suppress(AttributeError, OSError):  # not on this platform, or gone already
            self._pidfd = os.pidfd_open(pid)

    @property
    def sentinel(self) -> int:
        """What is ready to be read once the process has ended."""
        return self._status if self._pidfd is None else self._pidfd

    def has_ended(self, within_s: float = 0.0) -> bool:
        """True when it has ended, or does so within that time."""
        return bool(wait([self.sentinel], within_s))

    def kill(self) -> None:
        """End it at once."""
        with suppress(ProcessLookupError):
            if self._pidfd is not None:
                signal.pidfd_send_signal(self._pidfd, signal.SIGKILL)
            elif not self.has_ended():
                os.kill(self.pid, signal.SIGKILL)

    def exit_code(self) -> int | None:
        """Return the exit code of a process that has ended; None if its fork server is dead."""
        with suppress(OSError):
            if wait([self._status], REPORT_WITHIN_S):
                return _read_number(self._status)
        return None

    def close(self, linger_s: float = 0.0) -> None:
        """Let it end, which closing the pipe asks of it, or kill it; and forget it."""
        self.pipe.close()
        if not self.has_ended(linger_s):
            self.kill()
            self.has_ended(REPORT_WITHIN_S)
        self.leave()

    def leave(self) -> None:
        """Let it end, which closing the pipe asks of it, and forget it without waiting."""
        self.pipe.close()
        os.close(self._status)
        if self._pidfd is not None:
            os.close(self._pidfd)


def ask_for_fork(
    requests: socket.socket, word: bytes, is_wanted: Callable[[], bool], within_s: float
) -> Forked | None:
    """Ask a server for a process; None if the server died.

    Raises:
        WorkerStartError: it could not be started, or was not wanted any more.
    """
    pipe, theirs = Pipe()
    _limit_stalls(pipe)
    status, told = os.pipe()
    pid: int | None = None
    try:
        with suppress(OSError):  # it is dead: nothing will come
            socket.send_fds(requests, [word], [theirs.fileno(), told])
        theirs.close()
        os.close(told)
        pid = _read_pid(status, is_wanted, within_s)
    finally:
        if pid is None:
            pipe.close()  # for the process, if there is one, the word to end
            os.close(status)
    return None if pid is None else Forked(pid, pipe, status)


def introduce(forked: Forked, entry: Callable[..., None], *arguments: object) -> bool:
    """Tell a new process what to do; False if it was killed before it heard anything."""
    try:
        forked.pipe.send((entry, arguments))
    except OSError:
        forked.close()
        return False
    return True


class ForkServer:
    """The driver's side of a fork server. May be used from many threads."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._requests: socket.socket | None = None
        self._pid = 0
        self._owner = 0

    def start(
        self,
        entry: Callable[..., None],
        *arguments: object,
        is_wanted: Callable[[], bool],
        is_server: bool = False,
    ) -> Forked:
        """Start a process that calls `entry(pipe, *arguments)`, a function of a module.

        `is_server` says that the function serves requests for forks (see `serve_forks`).

        Raises:
            WorkerStartError: it could not be started, or was not wanted any more.
        """
        word = SERVER if is_server else FORK
        for _ in range(TRIES):
            requests = self._running()
            forked = ask_for_fork(requests, word, is_wanted, ANSWER_WITHIN_S)
            if forked is None:
                self._discard(requests)
            elif introduce(forked, entry, *arguments):
                return forked
        raise WorkerStartError(f"A worker process was killed {TRIES} times during its start.")

    def begin_as_fork(self) -> None:
        """Make the server a fork of this process, which has imported everything already."""
        with self._guard:
            ours, theirs = socket.socketpair()
            pid = os.fork()
            if not pid:
                become_server(theirs)
            theirs.close()
            self._requests, self._pid, self._owner = ours, pid, os.getpid()

    def _running(self) -> socket.socket:
        with self._guard:
            if self._requests is not None and self._owner != os.getpid():
                self._requests.close()  # this is a fork of the process that uses that server
                self._requests = None
            if self._requests is None:
                self._requests, self._pid = start_server()
                self._owner = os.getpid()
            return self._requests

    def _discard(self, requests: socket.socket) -> None:
        """End a server that does not answer, unless another thread has done so."""
        with self._guard:
            if self._requests is not requests:
                return
            self._requests = None
            with suppress(ChildProcessError):  # reaped by somebody: its number may be another's
                if os.waitpid(self._pid, os.WNOHANG) == (0, 0):
                    # before it hears of an end and ends its workers
                    os.kill(self._pid, signal.SIGKILL)
                    os.waitpid(self._pid, 0)
            requests.close()


FORK_SERVER = ForkServer()  # that of this process; it starts with the first worker


def fork_early() -> None:
    """Make the fork server a fork of this process, which has imported everything already.

    Only for a process with one thread that has opened nothing yet. It saves a second import, half
    of what a short command costs.
    """
    if sys.platform == "linux":
        FORK_SERVER.begin_as_fork()


def start_server() -> tuple[socket.socket, int]:
    """Start a fork server in a new interpreter; requests wait until it has imported all."""
    ours, theirs = socket.socketpair()
    code = (
        f"import sys; sys.path[:] = {sys.path!r};"
        f" from tenantmig.forking import serve; serve({SERVER_FD})"
    )
    command = [sys.executable, *(f"-W{option}" for option in sys.warnoptions), "-c", code]
    kept = [(os.POSIX_SPAWN_DUP2, theirs.fileno(), SERVER_FD)]
    try:
        pid = os.posix_spawn(
            sys.executable, command, os.environ, file_actions=kept, setsigmask=[signal.SIGINT]
        )
    except OSError as error:
        ours.close()
        raise WorkerStartError(f"No worker process could be started: {error}.") from error
    finally:
        theirs.close()
    return ours, pid


def _limit_stalls(pipe: Connection) -> None:
    """Let a message whose middle does not come, or is not taken, fail with BlockingIOError.

    The other end may be stopped there. How long an answer takes to begin is not limited by this.
    """
    limit = struct.pack("ll", STALLED_S, 0)  # socket(7): a timeval
    with socket.socket(fileno=os.dup(pipe.fileno())) as end:
        end.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, limit)
        end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, limit)


def _read_pid(status: int, is_wanted: Callable[[], bool], within_s: float) -> int | None:
    """Wait for the id of a new process; None if the server is dead."""
    deadline = time.monotonic() + within_s
    while not wait([status], GLANCE_S):
        if not is_wanted():
            raise WorkerStartError("The worker process is no longer needed.")
        if time.monotonic() > deadline:
            return None
    number = _read_number(status)
    if number is not None and number < 0:
        raise WorkerStartError(f"No worker process could be started: {os.strerror(-number)}.")
    return number


def _read_number(status: int) -> int | None:
    told = os.read(status, NUMBER.size)
    return int(NUMBER.unpack(told)[0]) if len(told) == NUMBER.size else None

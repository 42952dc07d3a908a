"""What the fork server does, and each process that it forks until it begins its work.

The server has the libraries and has opened nothing. It forks a process for each request on a socket
of the driver's, and says how each ended. It ends when the driver does.
"""

from __future__ import annotations

import ctypes
import gc
import os
import select
import signal
import socket
import struct
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from importlib import import_module
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any, NoReturn

PRELOAD = [
    "sqlalchemy.dialects.postgresql.psycopg",
    "tenantmig.engines.children",
    "tenantmig.engines.worker",
    "tenantmig.env",  # what each env.py imports
]
ORPHANED = 3
FORK, SERVER, RETIRE = b"f", b"s", b"r"
"""What a driver asks for: a worker, a worker that becomes a server, or an end after all forks."""
SERVER_ENDS_WITHIN_S = 1.0
"""After the end of the driver."""
PR_SET_PDEATHSIG = 1  # linux/prctl.h
NUMBER = struct.Struct("q")  # a process id, an exit code, or an error number below zero


def serve(requests_fd: int) -> NoReturn:
    """Serve requests until their socket is closed; in an interpreter that was started for it."""
    _serve(socket.socket(fileno=requests_fd))


def become_server(requests: socket.socket) -> NoReturn:
    """Serve requests in a fork of the driver; it must hold no end of a pipe of the driver's."""
    try:
        for entry in list(Path("/proc/self/fd").iterdir()):
            fd = int(entry.name)
            if fd > 2 and fd != requests.fileno():
                with suppress(OSError):  # the one that listed them is closed already
                    os.close(fd)
        _serve(requests)
    finally:
        os._exit(0)


def _serve(requests: socket.socket) -> NoReturn:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a Ctrl-C is for the driver
    signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGINT])  # blocked until now
    for module in PRELOAD:
        with suppress(ImportError):
            import_module(module)
    serve_forks(requests)


def serve_forks(requests: socket.socket) -> NoReturn:
    """Fork this process as it is for each request, until their socket is closed."""
    woken, wakes = os.pipe()
    os.set_blocking(woken, False)
    os.set_blocking(wakes, False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(wakes, warn_on_full_buffer=False)
    gc.freeze()  # else the collector of each worker would copy all of it
    forks = _Forks((requests.fileno(), woken, wakes))
    while not forks.is_over:
        ready = wait([requests, woken])
        if woken in ready:
            os.read(woken, select.PIPE_BUF)
            forks.report()
        if requests in ready:
            try:
                word, fds, _, _ = socket.recv_fds(requests, 1, 2)
            except OSError:
                word = b""
            if not word:
                forks.end()
            forks.heed(word, fds)
    os._exit(0)


class _Forks:
    """The living forks of a server. `ours` are the descriptors that they must not have."""

    def __init__(self, ours: tuple[int, ...]) -> None:
        self._ours = ours
        self._statuses: dict[int, int] = {}
        self._servers: set[int] = set()
        self._is_retired = False

    @property
    def is_over(self) -> bool:
        """True when no more are asked for, and all have ended."""
        return self._is_retired and not self._statuses

    def heed(self, word: bytes, fds: Sequence[int]) -> None:
        """Do what the driver asks."""
        if word == RETIRE:
            self._is_retired = True
        elif len(fds) == 2:
            self._fork_one(fds[0], fds[1], is_server=word == SERVER)
        else:  # there is no number left for them: the driver asks again
            for fd in fds:
                os.close(fd)

    def _fork_one(self, pipe: int, told: int, *, is_server: bool) -> None:
        try:
            pid = os.fork()
        except OSError as error:
            os.close(pipe)
            _tell(told, -(error.errno or 1), is_last=True)
            return
        if not pid:
            _become_worker(pipe, (told, *self._ours, *self._statuses.values()))
        os.close(pipe)  # first: else what is sent to one that is killed at once seems to be taken
        self._statuses[pid] = told
        if is_server:
            self._servers.add(pid)
        _tell(told, pid)

    def report(self) -> None:
        """Say how the processes ended that have ended."""
        with suppress(ChildProcessError):
            while ended := os.waitpid(-1, os.WNOHANG):
                pid, status = ended
                if not pid:
                    return
                self._servers.discard(pid)
                if pid in self._statuses:
                    code = os.waitstatus_to_exitcode(status)
                    _tell(self._statuses.pop(pid), code, is_last=True)

    def end(self) -> NoReturn:
        """End with the driver, and end its workers, also one whose thread for that never runs.

        A fork that is a server hears of the driver's end as this one does, and ends its workers
        first. It is killed if that takes long: it may be loading something.
        """
        for pid in self._statuses.keys() - self._servers:
            os.kill(pid, signal.SIGKILL)  # not reaped yet: the number is still its own
        deadline = time.monotonic() + SERVER_ENDS_WITHIN_S
        while self._servers and time.monotonic() < deadline:
            self.report()
            time.sleep(0.01)
        for pid in self._servers:
            os.kill(pid, signal.SIGKILL)
        os._exit(0)


def _tell(status: int, number: int, *, is_last: bool = False) -> None:
    with suppress(OSError):  # nobody listens any more
        os.write(status, NUMBER.pack(number))
    if is_last:
        os.close(status)


def _become_worker(pipe_fd: int, not_its: tuple[int, ...]) -> NoReturn:
    """In the new process: do what the first message says, and end."""
    code = 1
    try:
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        for fd in not_its:
            os.close(fd)
        nothing = os.open(os.devnull, os.O_RDONLY)
        os.dup2(nothing, 0)
        os.close(nothing)
        pipe: Connection = Connection(pipe_fd)
        entry, arguments = _first_message(pipe)
        entry(pipe, *arguments)
        code = 0
    except (EOFError, OSError):  # the driver has ended, or needs it no more
        code = 0
    finally:
        os._exit(code)


def _first_message(pipe: Connection) -> tuple[Callable[..., None], tuple[Any, ...]]:
    entry, arguments = pipe.recv()
    return entry, arguments


def end_with(driver: int) -> None:
    """Let this worker process end when its driver does, whatever it is doing.

    A worker is a child of the fork server and would go on migrating after its driver was killed.
    When it ends, the server notices within `client_connection_check_interval`.
    """

    def wait_and_end() -> None:
        _wait_for_end(driver)
        os._exit(ORPHANED)

    threading.Thread(target=wait_and_end, name="end with the driver", daemon=True).start()


def name_process(role: str) -> None:
    """Let `ps` and `top` show what this process is, in 5 letters at most: Linux keeps 15."""
    with suppress(OSError):  # not on this platform
        Path("/proc/self/comm").write_text(f"tenantmig {role}", encoding="ascii")


def be_killed_with(parent: int) -> None:
    """Let the kernel kill this child of `parent` when that ends, where the kernel can.

    A thread cannot end a process whose code never lets go of the interpreter (a regular expression
    that backtracks for hours).
    """
    _on_end_of_parent(signal.SIGKILL)
    if os.getppid() != parent:  # it has ended meanwhile
        os._exit(ORPHANED)


def outlive_parent() -> None:
    """Take back what `be_killed_with` asked of the kernel."""
    _on_end_of_parent(0)


def _on_end_of_parent(sent: int) -> None:
    with suppress(AttributeError, OSError):  # not on this platform
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, sent)


def _wait_for_end(process: int) -> None:
    try:
        wait([os.pidfd_open(process)])
    except (AttributeError, OSError):  # not on this platform, or it has ended
        while _is_alive(process):
            time.sleep(1)


def _is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return True

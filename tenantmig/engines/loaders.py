"""Where worker processes come from: the fork server, or a process that has loaded more than that.

What takes long to load is loaded once in a process of its own, and each worker is a fork of that. A
loader that is killed is started anew; one that cannot be used is done without.
"""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Protocol

from tenantmig.engines.children import Surroundings, serve_driver, serve_loaded
from tenantmig.engines.loading import Load, load_and_serve
from tenantmig.forking import FORK, RETIRE, SERVER
from tenantmig.forkserver import FORK_SERVER, TRIES, Forked, ask_for_fork, introduce

Wanted = Callable[[], bool]
LINGER_S = 1.0  # in which a loader ends by itself; then it is killed


class Source(Protocol):
    """Where processes come from."""

    def start_worker(self, here: Surroundings, is_wanted: Wanted) -> Forked:
        """Start a worker in these surroundings.

        Raises:
            WorkerStartError: it could not be started, or was not wanted any more.
        """

    def start_loader(self, here: Surroundings, load: Load, is_wanted: Wanted) -> Forked:
        """Start a process that loads more."""


class Libraries:
    """The fork server: it has the libraries and nothing else."""

    def start_worker(self, here: Surroundings, is_wanted: Wanted) -> Forked:
        """Start a worker that loads for itself what it needs."""
        return FORK_SERVER.start(serve_driver, here, is_wanted=is_wanted)

    def start_loader(self, here: Surroundings, load: Load, is_wanted: Wanted) -> Forked:
        """Start a process that loads more."""
        return FORK_SERVER.start(load_and_serve, here, load, is_wanted=is_wanted, is_server=True)


@dataclass(frozen=True, slots=True)
class _Running:
    """A loader at work, and the surroundings that it has loaded in."""

    here: Surroundings
    forked: Forked
    requests: socket.socket
    within_s: float

    def close(self) -> None:
        self.requests.close()
        self.forked.close(LINGER_S)

    def retire(self) -> None:
        """Let it end after the last of its workers."""
        with suppress(OSError):
            self.requests.send(RETIRE)


class Loader:
    """Forks of a process that has loaded more than `below`. May be used from many threads.

    `find_load` says what is to be loaded; None if that is nothing, or not proved to be harmless.
    """

    def __init__(self, find_load: Callable[[], Load | None], below: Source) -> None:
        self._find_load = find_load
        self._below = below
        self._guard = threading.Lock()
        self._running: _Running | None = None
        self._retired: list[_Running] = []
        self._is_unfit = False
        self._owner = 0

    def start_worker(self, here: Surroundings, is_wanted: Wanted) -> Forked:
        """Start a worker that has everything; one from below where that is not to be had."""
        forked = self._fork(here, FORK, is_wanted, serve_loaded, here.driver)
        return forked or self._below.start_worker(here, is_wanted)

    def start_loader(self, here: Surroundings, load: Load, is_wanted: Wanted) -> Forked:
        """Start a process that loads more than this one."""
        forked = self._fork(here, SERVER, is_wanted, load_and_serve, None, load)
        return forked or self._below.start_loader(here, load, is_wanted)

    def retire(self) -> None:
        """Let the process end after its workers; the next start begins another one."""
        with self._guard:
            self._retire()

    def close(self) -> None:
        """End the process; its workers must have ended."""
        with self._guard:
            found = [*self._retired, *([self._running] if self._running else [])]
            self._running, self._retired = None, []
        if self._owner == os.getpid():
            for one in found:
                one.close()

    def __del__(self) -> None:
        """Let the process end that nobody can use any more."""
        if self._owner == os.getpid():
            for one in (*self._retired, *([self._running] if self._running else [])):
                one.requests.close()
                one.forked.leave()

    def _fork(
        self, here: Surroundings, word: bytes, is_wanted: Wanted, entry: Any, *arguments: object
    ) -> Forked | None:
        for _ in range(TRIES):
            loader = self._loaded(here, is_wanted)
            if loader is None:
                return None
            forked = ask_for_fork(loader.requests, word, is_wanted, loader.within_s)
            if forked is None:
                self._discard(loader)
            elif introduce(forked, entry, *arguments):
                return forked
        return None

    def _loaded(self, here: Surroundings, is_wanted: Wanted) -> _Running | None:
        with self._guard:
            if self._owner != os.getpid():  # a fork of the process that uses those
                self._owner, self._running, self._retired = os.getpid(), None, []
            if self._running is not None and self._running.here != here:
                self._retire()
            self._forget_ended()
            if self._running is None and not self._is_unfit:
                load = self._find_load()
                if load is None:
                    return None
                forked = self._below.start_loader(here, load, is_wanted)
                requests = socket.socket(fileno=os.dup(forked.pipe.fileno()))
                within_s = load.options.attempt_timeout_s
                self._running = _Running(here, forked, requests, within_s)
            return self._running

    def _retire(self) -> None:
        if self._running is not None and self._owner == os.getpid():
            self._running.retire()
            self._retired.append(self._running)
            self._running = None

    def _forget_ended(self) -> None:
        ended = [one for one in self._retired if one.forked.has_ended()]
        self._retired = [one for one in self._retired if one not in ended]
        for one in ended:
            one.close()

    def _discard(self, loader: _Running) -> None:
        """Do without a loader that ended itself or does not answer; one that was killed comes anew.

        Its workers live on.
        """
        with self._guard:
            if self._running is not loader:
                return
            self._running = None
            code = loader.forked.exit_code() if loader.forked.has_ended(LINGER_S) else UNANSWERED
            self._is_unfit = code is not None and code >= 0
            loader.forked.kill()
            loader.close()


UNANSWERED = 0
"""What stands for the exit code of a loader that still loads when its time is over."""

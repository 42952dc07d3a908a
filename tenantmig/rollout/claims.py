"""Claims: who of a batch comes next, how many threads ask for more, and who may be at work now.

Knows no engine and no retry; threads call it at any time.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Generic, TypeVar

T = TypeVar("T")


class Claims(Generic[T]):
    """What waits in a batch, and the threads that take it.

    A thread that the server has no connection for gives back what it took, and ends; so the others
    go on, as many as the server admits. The last one stays.
    """

    def __init__(self, stopping: threading.Event) -> None:
        self._stopping = stopping
        self._waiting: deque[T] = deque()
        self._refused: dict[str, int] = {}
        self._guard = threading.Lock()
        self.threads = 0
        """How many threads still take from it."""

    def open(self, batch: Iterable[T], threads: int) -> None:
        """Begin a batch for so many threads."""
        with self._guard:
            self._waiting.extend(batch)
            self._refused.clear()
            self.threads = threads

    def take(self) -> T | None:
        """Take the next; None, and count the thread no more, if nothing is to be begun."""
        with self._guard:
            if self._waiting and not self._stopping.is_set():
                return self._waiting.popleft()
            self.threads -= 1
            return None

    def put_back(self, taken: T) -> None:
        """Let what was taken be the next that is taken."""
        with self._guard:
            self._waiting.appendleft(taken)

    def leave(self, taken: T | None = None) -> bool:
        """Put back what the calling thread took and count it no more; False if it must stay.

        That is for the last one, and where nothing waits.
        """
        with self._guard:
            given = [] if taken is None else [taken]
            if self.threads <= 1 or not (given or self._waiting) or self._stopping.is_set():
                return False
            self.threads -= 1
            self._waiting.extendleft(given)
            return True

    def refuse(self, tenant: str, attempt: int) -> None:
        """Note that this attempt got no connection because the server has none to give."""
        with self._guard:
            self._refused[tenant] = attempt

    def is_refused(self, tenant: str, attempt: int) -> bool:
        """True when a thread should leave after this attempt, because others go on without it."""
        with self._guard:
            return self.threads > 1 and self._refused.get(tenant) == attempt

    def close(self) -> None:
        """Forget what nobody took."""
        self._waiting.clear()


class Turns:
    """Who may be at work: any number at once, or one alone, which waits until the others end."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._at_work = 0
        self._is_wanted_alone = False

    def wait_for_others(self, timeout_s: float) -> bool:
        """Wait until nobody is, or wants to be, alone; False if that takes longer."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._is_wanted_alone, timeout_s)

    @contextmanager
    def beside_others(self) -> Iterator[None]:
        """Be at work while others may be."""
        with self._changed:
            self._changed.wait_for(lambda: not self._is_wanted_alone)
            self._at_work += 1
        try:
            yield
        finally:
            with self._changed:
                self._at_work -= 1
                self._changed.notify_all()

    @contextmanager
    def alone(self, patience_s: float) -> Iterator[None]:
        """Be at work while nobody else is; who comes meanwhile waits.

        Beside others after all, if one of them takes longer than `patience_s`.
        """
        with self._changed:
            self._changed.wait_for(lambda: not self._is_wanted_alone)
            self._is_wanted_alone = True
            is_alone = self._changed.wait_for(lambda: self._at_work == 0, patience_s)
            if not is_alone:
                self._let_others_in()
        if not is_alone:
            with self.beside_others():
                yield
            return
        try:
            yield
        finally:
            with self._changed:
                self._let_others_in()

    def _let_others_in(self) -> None:
        self._is_wanted_alone = False
        self._changed.notify_all()

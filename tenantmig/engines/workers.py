"""Worker processes, lent to one call at a time. Knows no tenant and no engine.

Each worker has a pipe of its own and shares no lock with any process, so its death ends the one
call that it makes, at whatever moment it comes. Another worker starts when the next call needs it.
"""

from __future__ import annotations

import pickle
import threading
from collections.abc import Callable
from concurrent.futures import CancelledError
from multiprocessing.connection import wait
from typing import Any, TypeVar

from tenantmig.engines.children import Surroundings
from tenantmig.engines.loaders import Libraries, Source
from tenantmig.errors import WorkerDiedError, WorkerStartError
from tenantmig.forkserver import Forked

T = TypeVar("T")
LINGER_S = 2.0  # in which an idle worker ends by itself; then it is killed
JOIN_S = 10.0  # in which the threads that were cut off give their workers back
TRIES = 4  # of a call whose worker is killed before it has heard all of it
READ_TRIES = 4  # of a call that writes nothing, whenever its worker is killed


class Call:
    """One call in a worker process, which may be cut off (`Workers.cut`)."""

    def __init__(self) -> None:
        self.worker: Forked | None = None
        self.here = Surroundings.here()
        self.is_cut = False

    @property
    def is_wanted(self) -> bool:
        """True until it is cut off."""
        return not self.is_cut


class Workers:
    """Up to `count` worker processes, lent to any number of threads; they start when needed."""

    def __init__(self, count: int, source: Source | None = None) -> None:
        self._count = count
        self._source = source or Libraries()
        self._idle: list[tuple[Surroundings, Forked]] = []
        self._calls: set[Call] = set()
        self._lent = 0
        self._is_stopped = False
        self._changed = threading.Condition()

    def call(
        self,
        task: Callable[..., T],
        *arguments: object,
        timeout_s: float,
        call: Call | None = None,
        tries: int = 1,
    ) -> T:
        """Call a function of a module in a worker process; return what it returns or raise that.

        Waits for a worker that is free. `timeout_s` begins when one has been found. A call that may
        be made twice can have more `tries`: each is made when the worker of the one before, or its
        child, was killed.

        Raises:
            WorkerDiedError: the worker was killed; what it was doing is cut off.
            WorkerStartError: no worker could be started.
            TimeoutError: it took longer; its worker was killed.
            CancelledError: the call was cut off, or the workers were stopped.
        """
        packed = pickle.dumps((task, arguments))
        call = call or Call()
        for left in reversed(range(tries)):
            try:
                is_raised, result = pickle.loads(self._answer(packed, timeout_s, call))  # noqa: S301
            except WorkerDiedError as death:
                is_raised, result = True, death
            if not (is_raised and isinstance(result, WorkerDiedError) and left):
                break
        if is_raised:
            raise result
        return result  # type: ignore[no-any-return]

    def cut(self, call: Call) -> None:
        """Cut a call off, if it is still made: its worker is killed."""
        with self._changed:
            self._cut(call)

    def stop(self) -> None:
        """Cut all calls off and begin no more."""
        with self._changed:
            self._is_stopped = True
            for call in self._calls:
                self._cut(call)

    def close(self) -> None:
        """End all workers, and wait until they have ended."""
        self.stop()
        with self._changed:
            self._changed.wait_for(lambda: not self._lent, JOIN_S)
            idle, self._idle = [worker for _, worker in self._idle], []
        for worker in idle:
            worker.pipe.close()
        for worker in idle:
            worker.close(LINGER_S)

    def _cut(self, call: Call) -> None:
        call.is_cut = True
        if call.worker is not None:
            call.worker.kill()
        self._changed.notify_all()

    def _answer(self, packed: bytes, timeout_s: float, call: Call) -> bytes:
        for _ in range(TRIES):
            worker, answer = self._borrow(call), None
            try:
                answer = _ask(worker, packed, timeout_s)
            except (TimeoutError, WorkerDiedError):
                if call.is_cut:
                    raise CancelledError from None
                raise
            finally:
                self._give_back(call, worker, is_well=answer is not None)
            if answer is not None:
                return answer
        raise WorkerStartError(
            f"A worker process was killed {TRIES} times before it started to work."
        )

    def _borrow(self, call: Call) -> Forked:
        with self._changed:
            self._calls.add(call)
            self._refuse_unwanted(call)
            while (worker := self._living(call.here)) is None and self._lent >= self._count:
                self._changed.wait()
                self._refuse_unwanted(call)
            self._lent += 1
            call.worker = worker
        return worker or self._start(call)

    def _start(self, call: Call) -> Forked:
        try:
            worker = self._source.start_worker(call.here, lambda: call.is_wanted)
        except BaseException:
            with self._changed:
                self._forget(call)
            raise
        with self._changed:
            call.worker = worker
        if call.is_cut:
            self._give_back(call, worker, is_well=False)
            raise CancelledError
        return worker

    def _living(self, here: Surroundings) -> Forked | None:
        while self._idle:
            started_in, worker = self._idle.pop()
            if started_in == here and not worker.has_ended():
                return worker
            worker.close()
        return None

    def _refuse_unwanted(self, call: Call) -> None:
        if self._is_stopped or call.is_cut:
            self._calls.discard(call)
            raise CancelledError

    def _give_back(self, call: Call, worker: Forked, *, is_well: bool) -> None:
        with self._changed:
            call.worker = None
            is_kept = is_well and not call.is_cut and not self._is_stopped
            if is_kept:
                self._idle.append((call.here, worker))
        if not is_kept:
            worker.close()
        with self._changed:
            self._forget(call)

    def _forget(self, call: Call) -> None:
        self._calls.discard(call)
        self._lent -= 1
        self._changed.notify_all()


def _ask(worker: Forked, packed: bytes, timeout_s: float) -> bytes | None:
    """Send a task and wait for the answer; None if the worker was dead and nothing was begun."""
    try:
        worker.pipe.send_bytes(packed)
    except ConnectionError:
        return None
    except BlockingIOError:
        raise TimeoutError from None  # stopped before it took all of it
    ready: list[Any] = wait([worker.pipe, worker.sentinel], timeout_s)
    if not ready:
        raise TimeoutError
    try:
        if worker.pipe in ready or worker.pipe.poll():  # it may have answered and then died
            return worker.pipe.recv_bytes()
    except BlockingIOError:
        raise TimeoutError from None  # stopped in the middle of its answer
    except (EOFError, OSError):
        pass
    worker.has_ended(LINGER_S)
    code = worker.exit_code()
    raise WorkerDiedError(f"The worker process died (exit code {_shown(code)}).", code=code)


def _shown(code: int | None) -> str:
    return "unknown" if code is None else str(code)

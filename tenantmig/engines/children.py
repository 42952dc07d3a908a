"""A worker process, which itself runs no script and opens no connection, and its children.

Pure revisions run in one child for tenant after tenant, with one connection; whatever is not proved
runs in a child of its own, which ends with the attempt. Each is a fork of a process that has loaded
libraries (and the history, where loading it does nothing else) and has seen no tenant.
"""

from __future__ import annotations

import gc
import os
import pickle
import signal
import sys
import time
import warnings
from collections.abc import Callable
from contextlib import suppress
from functools import lru_cache
from multiprocessing.connection import Connection, Pipe
from typing import Any, NamedTuple, NoReturn, TypeVar

from tenantmig.domain.outcome import Attempt
from tenantmig.domain.plan import Assignment
from tenantmig.engines.environment import WorkerOptions
from tenantmig.engines.worker_process import worker_of
from tenantmig.errors import TenantmigError, WorkerDiedError
from tenantmig.forking import be_killed_with, end_with, name_process

T = TypeVar("T")
IDLE_S = 1.0  # so long a child that has nothing to do keeps its connection


class Surroundings(NamedTuple):
    """What a worker process has from its driver, as the driver had it when the worker started."""

    driver: int
    sys_path: tuple[str, ...]
    argv: tuple[str, ...]
    folder: str | None
    variables: dict[str, str]
    """Those of its environment; the fork server may be older than what was set or taken away."""

    @classmethod
    def here(cls) -> Surroundings:
        """Return those of this process as they are now."""
        folder = None
        with suppress(OSError):  # it was removed
            folder = os.getcwd()  # noqa: PTH109  text, to be sent
        return cls(os.getpid(), tuple(sys.path), tuple(sys.argv), folder, dict(os.environ))

    def take_on(self) -> None:
        """Make them those of this process, and end it with its driver."""
        end_with(self.driver)
        self.set()

    def set(self) -> None:
        """Make them those of this process."""
        sys.path[:], sys.argv[:] = self.sys_path, self.argv
        if os.environ != self.variables:
            os.environ.clear()
            os.environ.update(self.variables)
            time.tzset()
        if self.folder is not None:
            with suppress(OSError):
                os.chdir(self.folder)


def serve_driver(pipe: Connection, here: Surroundings) -> None:
    """In a worker process: call what the driver says, until it closes the pipe or ends."""
    here.take_on()
    _serve_driver(pipe)


def serve_loaded(pipe: Connection, driver: int) -> None:
    """In a worker process whose parent has loaded in the driver's surroundings: the same."""
    end_with(driver)
    _serve_driver(pipe)


def _serve_driver(pipe: Connection) -> None:
    name_process("work")
    os.register_at_fork(after_in_child=pipe.close)  # else it outlived this process in a child
    try:
        while True:
            pipe.send_bytes(_answer(pipe.recv_bytes()))
    except (EOFError, OSError):
        _shared_child.cache_clear()  # which closes the pipe to it
        with suppress(ChildProcessError):
            os.wait()


def run_assignment(options: WorkerOptions, assignment: Assignment) -> Attempt:
    """Make one attempt in a child of this process. Never raises what cannot be pickled.

    Raises:
        WorkerDiedError: the child was killed.
    """
    if not assignment.is_isolated:
        return _attempt_shared(options, assignment)
    if _shared_child.cache_info().currsize:  # a worker has one connection, wherever it is
        _release_shared(options)
    return run_in_child(options, assignment.loads_late, _attempt, options, assignment)


def _attempt_shared(options: WorkerOptions, assignment: Assignment) -> Attempt:
    child = _shared_child(options)
    try:
        made = child.call(_attempt, options, assignment)
    except WorkerDiedError:
        _shared_child.cache_clear()
        raise
    if made.hook is not None:  # it may keep something for the next tenant
        _shared_child.cache_clear()
        child.end()
    return made


def _release(options: WorkerOptions) -> None:
    worker_of(options).close_session()


def _release_shared(options: WorkerOptions) -> None:
    try:
        _shared_child(options).call(_release, options)
    except WorkerDiedError:  # and its connection with it
        _shared_child.cache_clear()


def _attempt(options: WorkerOptions, assignment: Assignment) -> Attempt:
    return worker_of(options).run(assignment)


def run_in_child(
    options: WorkerOptions, loads_late: bool, task: Callable[..., T], *arguments: object
) -> T:
    """Call `task(*arguments)` in a child of its own and return what it returns, or raise that.

    Raises:
        WorkerDiedError: the child was killed.
    """
    if not loads_late:
        worker_of(options)  # loads the history once, for all children
    child = Child()
    try:
        return child.call(task, *arguments)
    finally:
        child.end()


@lru_cache(maxsize=1)
def _shared_child(_: WorkerOptions) -> Child:
    return Child()


class Child:
    """A fork of this process that calls what it is told to, one thing after the other."""

    def __init__(self) -> None:
        self._pipe, theirs = Pipe()
        parent = os.getpid()
        gc.freeze()  # what was loaded stays: the child's collector need not touch it
        with warnings.catch_warnings():
            # the only other thread waits for the driver's end and holds no lock
            warnings.simplefilter("ignore", DeprecationWarning)
            self.pid = os.fork()
        if not self.pid:
            self._pipe.close()  # else it would never hear that the parent has closed it
            _serve(theirs, parent)
        theirs.close()

    def call(self, task: Callable[..., T], *arguments: object) -> T:
        """Call a function of a module in the child.

        Raises:
            WorkerDiedError: the child was killed; what it was doing is cut off.
        """
        try:
            self._pipe.send((task, arguments))
            is_raised, result = self._pipe.recv()
        except (EOFError, OSError):
            code = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
            message = f"The worker process died (exit code {code})."
            raise WorkerDiedError(message, code=code) from None
        if is_raised:
            raise result
        return result  # type: ignore[no-any-return]

    def end(self) -> None:
        """Let the child end, and wait for it."""
        self._pipe.close()
        try:
            os.waitpid(self.pid, 0)
        except ChildProcessError:
            return


def _serve(pipe: Connection, parent: int) -> NoReturn:
    """In the child: do what the parent says until it closes the pipe or ends."""
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    be_killed_with(parent)
    end_with(parent)
    name_process("child")
    code = 0
    try:
        options: WorkerOptions | None = None
        while True:
            if options is not None and not pipe.poll(IDLE_S):
                _release(options)  # nobody else may have a connection to spare
            task, arguments = pipe.recv()
            options = arguments[0] if task is _attempt else None
            pipe.send_bytes(_packed(*_result(task, arguments)))
    except EOFError:
        pass
    except BaseException:  # noqa: BLE001  nobody is left to be told
        code = 1
    finally:
        os._exit(code)


def _result(task: Callable[..., Any], arguments: tuple[object, ...]) -> tuple[bool, Any]:
    try:
        return False, task(*arguments)
    except BaseException as error:  # noqa: BLE001  the parent raises it
        return True, error


def _answer(packed: bytes) -> bytes:
    try:
        task, arguments = pickle.loads(packed)  # noqa: S301  from the driver
    except Exception as error:  # noqa: BLE001  the driver raises it
        return _packed(True, error)  # noqa: FBT003
    return _packed(*_result(task, arguments))


def _packed(is_raised: bool, result: Any) -> bytes:
    try:
        packed = pickle.dumps((is_raised, result))
        pickle.loads(packed)  # noqa: S301  an exception may not come back
    except Exception as error:  # noqa: BLE001  whatever it holds
        told = result if isinstance(result, BaseException) else error
        return pickle.dumps((True, TenantmigError(f"{type(told).__name__}: {told}")))
    return packed

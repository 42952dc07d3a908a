"""The alembic engine: the user's env.py and scripts as they are, in long-lived worker processes.

A worker that is killed costs the attempt it was making and nothing else (pebble replaces it;
`concurrent.futures` loses the whole pool). Workers come from a fork server that has imported the
libraries and opened nothing: a fork of the driver would share its sockets.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from concurrent.futures import CancelledError
from dataclasses import replace
from typing import TypeVar

from pebble import ProcessExpired, ProcessFuture, ProcessPool

from tenantmig.engines import Engine
from tenantmig.engines.children import run_assignment, run_in_child
from tenantmig.engines.environment import WorkerOptions
from tenantmig.engines.worker import render_sql
from tenantmig.errors import EnvironmentFileError, WorkerDiedError
from tenantmig.failure import Failure, FailureKind, Phase
from tenantmig.forkserver import end_with, worker_context
from tenantmig.outcome import Attempt
from tenantmig.plan import Assignment, Path
from tenantmig.proofs import HistoryProofs
from tenantmig.tenant import Tenant

T = TypeVar("T")


def new_workers(count: int) -> ProcessPool:
    """Return a pool of worker processes; they start with the first attempt."""
    return ProcessPool(
        max_workers=count,
        context=worker_context(),
        initializer=end_with,
        initargs=(os.getpid(),),
    )


def end_workers(workers: ProcessPool) -> None:
    """End worker processes; an attempt in flight is cut off (its transaction rolls back)."""
    workers.stop()  # type: ignore[no-untyped-call]
    workers.join()


class AlembicEngine(Engine):
    """Makes the attempts of one run in worker processes that it was lent.

    Without `proofs` nothing is taken for proved: everything runs in a process of its own.
    """

    name = "alembic"

    def __init__(
        self,
        options: WorkerOptions,
        workers: ProcessPool,
        proofs: Callable[[], HistoryProofs] | None,
        *,
        is_shared: bool = True,
    ) -> None:
        self.options = options
        self._proofs = proofs
        self._workers = workers
        self._is_shared = is_shared
        self._in_flight: set[ProcessFuture[Attempt]] = set()
        self._is_closed = False
        self._is_scarce = False
        self._guard = threading.Lock()

    def attempt(self, assignment: Assignment) -> Attempt:
        """Make one attempt in a worker process; may be called from many threads."""
        assignment = self._isolated(assignment)
        with self._guard:
            if self._is_closed:
                failure = Failure(FailureKind.PERMANENT, "the run was ended before this attempt")
                return Attempt(failure=failure)
            if self._is_scarce:
                assignment = replace(assignment, releases=True)
            future = self._workers.schedule(
                run_assignment,
                args=(self.options, assignment),
                timeout=self.options.attempt_timeout_s,
            )
            self._in_flight.add(future)
        try:
            made = future.result()
        except (Exception, CancelledError) as error:  # noqa: BLE001  an engine never raises
            return Attempt(failure=self._failure(error), engine=self.name)
        finally:
            with self._guard:
                self._in_flight.discard(future)
        if made.failure is not None and made.failure.phase is Phase.CONNECT:
            self._is_scarce = True  # an idle worker must not keep what another needs
        return replace(made, engine=self.name)

    def _failure(self, error: BaseException) -> Failure:
        """Say why no attempt came back; unless no worker could start, a COMMIT may be lost."""
        match error:
            case ProcessExpired():
                message = f"the worker process died (exit code {error.exitcode})"
            case WorkerDiedError():
                message = error.message[:1].lower() + error.message[1:].rstrip(".")
            case TimeoutError():
                message = f"the attempt took longer than {self.options.attempt_timeout_s:g} s"
            case CancelledError():
                message = "the attempt was ended together with its worker"
            case _:
                message = self.options.session.url.redact(f"{type(error).__name__}: {error}")
                return Failure(FailureKind.RUN, message, Phase.PREPARE)
        return Failure(FailureKind.LOST_COMMIT, message, Phase.TRANSACTION)

    def _isolated(self, assignment: Assignment) -> Assignment:
        """Say in which process an attempt is made: only what is proved pure shares one."""
        revisions = assignment.stretch.revisions
        if self._proofs is not None and not (
            revisions and self._proofs().why_isolated(assignment.kind, revisions)
        ):
            return assignment
        return replace(assignment, is_isolated=True, loads_late=self._loads_late)

    @property
    def _loads_late(self) -> bool:
        return self._proofs is None or self._proofs().loading is not None

    def render_sql(self, tenant: Tenant, path: Path) -> str:
        """Return the SQL of an upgrade, as Alembic's offline mode writes it for this tenant."""
        return self.ask(render_sql, tenant, path)

    def ask(self, task: Callable[..., T], *arguments: object) -> T:
        """Call `task(options, *arguments)` in a process of its own and return what it returns.

        Raises:
            EnvironmentFileError: the process died, or took longer than an attempt may.
        """
        timeout, options = self.options.attempt_timeout_s, self.options
        asked = self._workers.schedule(
            run_in_child,
            args=(options, self._loads_late, task, options, *arguments),
            timeout=timeout,
        )
        try:
            return asked.result()  # type: ignore[no-any-return]
        except WorkerDiedError as death:
            message = death.message.rstrip(".")
            raise EnvironmentFileError(f"{message} while it ran env.py.") from death
        except ProcessExpired as death:
            raise EnvironmentFileError(
                f"The worker process died (exit code {death.exitcode}) while it ran env.py."
            ) from death
        except TimeoutError as error:
            raise EnvironmentFileError(f"env.py took longer than {timeout:g} s.") from error

    def close(self) -> None:
        """Begin nothing more and end the workers that are at work for this run, and no others."""
        with self._guard:
            self._is_closed = True
            in_flight = list(self._in_flight)
        if not self._is_shared:
            self._workers.stop()  # type: ignore[no-untyped-call]  # else each would be replaced
        for future in in_flight:
            future.cancel()  # type: ignore[no-untyped-call]

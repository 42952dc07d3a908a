"""The alembic engine: the user's env.py and scripts as they are, in long-lived worker processes.

A worker that is killed costs the attempt it was making and nothing else.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import CancelledError
from dataclasses import replace
from typing import TypeVar

from tenantmig.domain.failure import Failure, FailureKind, Phase
from tenantmig.domain.outcome import Attempt
from tenantmig.domain.plan import Assignment, Path, RunKind
from tenantmig.domain.tenant import Tenant
from tenantmig.engines import Engine
from tenantmig.engines.children import run_assignment, run_in_child
from tenantmig.engines.env_look import look_at_env
from tenantmig.engines.environment import WorkerOptions
from tenantmig.engines.hush import hushed
from tenantmig.engines.worker_process import render_sql
from tenantmig.engines.workers import READ_TRIES, Call, Workers
from tenantmig.errors import (
    EnvironmentDiedError,
    EnvironmentFileError,
    TenantmigError,
    WorkerDiedError,
    WorkerStartError,
)
from tenantmig.history.proofs import HistoryProofs

T = TypeVar("T")
LOOK_WITHIN_S = 60.0
"""A look at env.py that takes longer says nothing: it may wait for what the look refuses it."""


class AlembicEngine(Engine):
    """Makes the attempts of one run in worker processes that it was lent.

    Without `proofs` nothing is taken for proved: everything runs in a process of its own.
    """

    name = "alembic"

    def __init__(
        self,
        options: WorkerOptions,
        workers: Workers,
        proofs: Callable[[], HistoryProofs] | None,
        *,
        is_shared: bool = True,
    ) -> None:
        self.options = options
        self._proofs = proofs
        self._workers = workers
        self._is_shared = is_shared
        self._in_flight: set[Call] = set()
        self._is_closed = False
        self._is_scarce = False
        self._guard = threading.Lock()

    def attempt(self, assignment: Assignment) -> Attempt:
        """Make one attempt in a worker process; may be called from many threads."""
        assignment = self._isolated(assignment)
        with self._guard:
            if self._is_closed:
                failure = Failure(FailureKind.PERMANENT, "the run ended before this attempt")
                return Attempt(failure=failure)
            if self._is_scarce:
                assignment = replace(assignment, releases=True)
            self._in_flight.add(call := Call())
        try:
            made = self._workers.call(
                run_assignment,
                self.options,
                assignment,
                timeout_s=self.options.attempt_timeout_s,
                call=call,
            )
        except (Exception, CancelledError) as error:  # noqa: BLE001  an engine never raises
            return Attempt(failure=self._failure(error), engine=self.name)
        finally:
            with self._guard:
                self._in_flight.discard(call)
        if made.failure is not None and made.failure.phase is Phase.CONNECT:
            self._is_scarce = True  # an idle worker must not keep what another needs
        return replace(made, engine=self.name)

    def _failure(self, error: BaseException) -> Failure:
        """Say why no attempt came back; unless no worker could start, a COMMIT may be lost."""
        match error:
            case WorkerStartError():
                return Failure(FailureKind.TRANSIENT, _clause(error), Phase.PREPARE)
            case WorkerDiedError():
                message = _clause(error)
            case TimeoutError():
                message = f"the attempt took longer than {self.options.attempt_timeout_s:g} s"
            case CancelledError():
                message = "the attempt ended because its worker process was ended"
            case _:
                message = self.options.session.url.redact(f"{type(error).__name__}: {error}")
                return Failure(FailureKind.RUN, message, Phase.PREPARE)
        return Failure(FailureKind.LOST_COMMIT, message, Phase.TRANSACTION)

    def _isolated(self, assignment: Assignment) -> Assignment:
        """Say in which process an attempt is made: only what is proved pure shares one."""
        revisions = assignment.stretch.revisions
        is_made = assignment.kind is RunKind.ONBOARD and bool(self.options.birth)
        is_proved = self._proofs is not None and not (
            revisions and self._proofs().why_isolated(assignment.kind, revisions)
        )
        if is_proved and not is_made:
            return assignment
        return replace(assignment, is_isolated=True, loads_late=self._loads_late)

    @property
    def _loads_late(self) -> bool:
        return self._proofs is None or self._proofs().loading is not None

    def render_sql(self, tenant: Tenant, path: Path) -> str:
        """Return the SQL of an upgrade, as Alembic's offline mode writes it for this tenant."""
        return self.read(render_sql, tenant, path)

    def read(self, task: Callable[..., T], *arguments: object) -> T:
        """Ask for what writes nothing: a process that is killed costs one of `READ_TRIES`."""
        return self.ask(task, *arguments, tries=READ_TRIES)

    def ask(self, task: Callable[..., T], *arguments: object, tries: int = 1) -> T:
        """Call `task(options, *arguments)` in a process of its own and return what it returns.

        It is the driver's own work, and logs nothing below a warning.

        Raises:
            EnvironmentDiedError: the process died, in each of the `tries`.
            EnvironmentFileError: it took longer than an attempt may.
        """
        return self._ask(self._loads_late, task, *arguments, tries=tries)

    def look_at_env(self, tenant: Tenant) -> str | None:
        """Say what is wrong with env.py, without loading the history (see `env_look`).

        None where it could not be looked at in time, or no worker could start: a run tries again.

        Raises:
            EnvironmentDiedError: env.py ended its process, each time.
        """
        try:
            return self._call(True, look_at_env, tenant, within_s=LOOK_WITHIN_S, tries=READ_TRIES)  # noqa: FBT003
        except (TimeoutError, WorkerStartError):
            return None

    def _ask(self, loads_late: bool, task: Callable[..., T], *arguments: object, tries: int) -> T:
        timeout = self.options.attempt_timeout_s
        try:
            return self._call(loads_late, task, *arguments, within_s=timeout, tries=tries)
        except TimeoutError as error:
            raise EnvironmentFileError(f"env.py took longer than {timeout:g} s.") from error

    def _call(
        self,
        loads_late: bool,
        task: Callable[..., T],
        *arguments: object,
        within_s: float,
        tries: int,
    ) -> T:
        asked = (self.options, loads_late, hushed, task, self.options, *arguments)
        try:
            return self._workers.call(run_in_child, *asked, timeout_s=within_s, tries=tries)  # type: ignore[no-any-return]
        except WorkerDiedError as death:
            message = death.message.rstrip(".")
            raise EnvironmentDiedError(
                f"{message} while it was running env.py.",
                has_ended_itself=death.code is not None and death.code >= 0,
            ) from death

    def close(self) -> None:
        """Begin nothing more and end the workers that are at work for this run, and no others."""
        with self._guard:
            self._is_closed = True
            in_flight = list(self._in_flight)
        if not self._is_shared:
            self._workers.stop()
        for call in in_flight:
            self._workers.cut(call)


def _clause(error: TenantmigError) -> str:
    return error.message[:1].lower() + error.message[1:].rstrip(".")

"""A run: tenants claimed by threads, given to an engine, retried, deferred, written to the ledger.

Every operation that changes tenants goes through `carry_out`. It owns the order of work and the
moment when nothing more is begun; it knows nothing of terminals, and of Alembic only the engine.
"""

from __future__ import annotations

import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import datetime

from tenantmig.engines import Engine
from tenantmig.events import AttemptFailed, OnEvent, RunFinished, RunStarted, TenantFinished, ignore
from tenantmig.failure import Failure, FailureKind
from tenantmig.ledger import Ledger, session_name
from tenantmig.outcome import Attempt, Outcome, RunReport, RunState, TenantOutcome
from tenantmig.plan import Assignment, Path, Plan, RunKind, show_heads
from tenantmig.retry import Retry, RetryPolicy, is_worth_deferring
from tenantmig.tenant import Tenant

TICK_S = 0.2  # how often a stop and the deadline are looked for
STOP_WITHIN_S = 15.0
CUT_OFF = frozenset({"57014", "57P01", None})  # what a statement says that was stopped by us


@dataclass(frozen=True, slots=True)
class RolloutOptions:
    """How a run is carried out. Durations are in seconds."""

    parallel: int = 1
    retry: RetryPolicy = field(default_factory=RetryPolicy)
    deadline_s: float | None = None
    on_event: OnEvent = ignore


class StopSignal:
    """The word that nothing more is to be begun, and why; may be given from any thread."""

    def __init__(self) -> None:
        self.event = threading.Event()
        self.reason: str | None = None
        self.state = RunState.INCOMPLETE
        self.is_cancelling = False
        self.is_urgent = False

    def stop(self, reason: str) -> None:
        """Begin nothing more; what is in flight ends by itself. The first reason stands."""
        if not self.event.is_set():
            self.reason = reason
            self.event.set()

    def cancel(self, reason: str) -> None:
        """Begin nothing more and cancel what is in flight on the server."""
        self.is_cancelling = True
        self.stop(reason)

    def interrupt(self, reason: str = "interrupted") -> None:
        """Do as a first Ctrl-C asks: `cancel`; asked again, end the engine at once."""
        self.is_urgent = self.state is RunState.INTERRUPTED
        self.state = RunState.INTERRUPTED
        self.cancel(reason)

    @property
    def is_set(self) -> bool:
        """True once the word was given."""
        return self.event.is_set()


@dataclass(slots=True)
class _Work:
    """One tenant's way through a run."""

    tenant: Tenant
    path: Path
    retry: Retry
    is_deferred: bool = False
    is_in_doubt: bool = False
    last: Attempt | None = None
    began: float | None = None


def carry_out(
    plan: Plan,
    ledger: Ledger,
    open_engine: Callable[[int], AbstractContextManager[Engine]],
    options: RolloutOptions,
    signal: StopSignal | None = None,
    undo: Callable[[Tenant], bool] | None = None,
) -> RunReport:
    """Do what a plan says, tenant by tenant, and report it.

    `open_engine(workers)` is called if there is anything to do. `undo(tenant)` is called for a
    tenant that did not arrive, before its outcome is written; if it says True, nothing is left.

    Locks: each tenant's advisory lock while it is worked on; the run's own in the ledger.
    Idempotent: yes; a tenant at its target is left alone.
    Raises:
        PrivilegeError, LedgerError: the ledger cannot be made or read; nothing was touched.
    """
    signal = signal or StopSignal()
    decided = _decided(plan)
    pending = [(tenant, group.path) for group in plan.groups for tenant in group.tenants]
    ledger.create()
    started = time.monotonic()
    run, started_at = ledger.begin_run(plan.kind, plan.target, pending, decided)
    parallel = max(1, min(options.parallel, len(pending)))
    options.on_event(RunStarted(run, plan.kind, plan.target, plan.tenants, len(pending), parallel))
    rollout = _Rollout(run, plan.kind, ledger, options, signal, undo)
    outcomes: list[TenantOutcome] = []
    if pending:
        with open_engine(parallel) as engine:
            outcomes = rollout.work(engine, pending, parallel)
    return _finish(rollout, plan, started_at, started, [*decided, *outcomes])


def _decided(plan: Plan) -> list[TenantOutcome]:
    """The outcomes that are known before anything is run."""
    current = [
        TenantOutcome(
            tenant.name,
            tenant.schema,
            Outcome.ALREADY_CURRENT,
            show_heads(heads),
            show_heads(heads),
        )
        for tenant, heads in plan.at_target
    ]
    refused = [
        TenantOutcome(
            problem.tenant.name,
            problem.tenant.schema,
            Outcome.FAILED,
            show_heads(problem.source),
            show_heads(problem.source),
            error=problem.message,
        )
        for problem in plan.problems
    ]
    return current + refused


def _finish(
    rollout: _Rollout,
    plan: Plan,
    started_at: datetime,
    started: float,
    outcomes: list[TenantOutcome],
) -> RunReport:
    signal = rollout.signal
    is_done = all(outcome.outcome.is_at_target for outcome in outcomes)
    state = RunState.COMPLETE if is_done else RunState.INCOMPLETE
    if signal.is_set and not is_done:
        state = signal.state
    report = RunReport(
        run=rollout.run,
        kind=plan.kind,
        target=plan.target,
        state=state,
        tenants=tuple(sorted(outcomes, key=lambda outcome: outcome.tenant)),
        started_at=started_at,
        duration_s=round(time.monotonic() - started, 3),
        reason=None if is_done else signal.reason,
    )
    rollout.ledger.finish_run(rollout.run, report.state, report.reason)
    rollout.options.on_event(RunFinished(report))
    return report


class _Rollout:
    """The state of one run while it is carried out; `work` is called once."""

    def __init__(
        self,
        run: int,
        kind: RunKind,
        ledger: Ledger,
        options: RolloutOptions,
        signal: StopSignal,
        undo: Callable[[Tenant], bool] | None,
    ) -> None:
        self.run = run
        self.kind = kind
        self.ledger = ledger
        self.options = options
        self.signal = signal
        self.undo = undo
        self._claims: deque[_Work] = deque()
        self._results: queue.Queue[AttemptFailed | _Work] = queue.Queue()
        self._outcomes: list[TenantOutcome] = []
        self._pending = 0
        self._engine: str | None = None

    def work(
        self, engine: Engine, pending: Sequence[tuple[Tenant, Path]], parallel: int
    ) -> list[TenantOutcome]:
        """Bring every pending tenant along; what was begun when the run is stopped is settled."""
        self._pending = len(pending)
        self._engine = engine.name
        self._claims.extend(
            _Work(tenant, path, Retry(self.options.retry, self.signal.event))
            for tenant, path in pending
        )
        with ThreadPoolExecutor(parallel, thread_name_prefix="tenantmig") as threads:
            claimants = [threads.submit(self._claim, engine) for _ in range(parallel)]
            try:
                self._collect(engine, claimants)
            except BaseException:
                self.signal.interrupt()
                engine.close()
                raise
        for work in self._claims:
            self._settle(work)
        return self._outcomes

    # -- in the claiming threads ------------------------------------------------------------

    def _claim(self, engine: Engine) -> None:
        """Take one tenant after the other until there are none or the run is stopped."""
        while not self.signal.is_set:
            try:
                work = self._claims.popleft()
            except IndexError:
                return
            self._bring(engine, work)
            if self._is_deferred(work):
                self._claims.append(work)
            else:
                self._results.put(work)

    def _bring(self, engine: Engine, work: _Work) -> None:
        if work.began is None:
            work.began = time.monotonic()

        def attempt(number: int, *, is_reading: bool = False) -> Attempt:
            made = engine.attempt(
                Assignment(self.run, self.kind, work.tenant, work.path, number, is_reading)
            )
            work.is_in_doubt = _is_in_doubt(made, work.is_in_doubt)
            return made

        def tell(number: int, made: Attempt) -> None:
            self._tell(work, number, made.failure)

        last = work.retry.until_settled(attempt, tell)
        # an onboarding is not read: `undo` finds out what is left of it, and drops it
        if work.is_in_doubt and self.undo is None and last.failure and last.failure.is_retryable:
            work.retry.made += 1
            found = attempt(work.retry.made, is_reading=True)
            last = found if found.outcome else last
        work.last = last

    def _is_deferred(self, work: _Work) -> bool:
        """Put a tenant that kept meeting locks behind all others, once."""
        assert work.last is not None
        if self.signal.is_set or work.is_deferred or not is_worth_deferring(work.last):
            return False
        work.is_deferred = True
        self._tell(work, work.retry.made, work.last.failure)
        return True

    def _tell(self, work: _Work, number: int, failure: Failure | None) -> None:
        assert failure is not None
        self._results.put(AttemptFailed(work.tenant.name, number, failure, work.is_deferred))

    # -- in the thread that called `work`: the only one that writes the ledger ----------------

    def _collect(self, engine: Engine, claimants: Sequence[Future[None]]) -> None:
        began = time.monotonic()
        stopped: float | None = None
        # first whether all are done: what they put after that question would be lost
        while not all(claimant.done() for claimant in claimants) or self._results.qsize():
            try:
                result = self._results.get(timeout=TICK_S)
            except queue.Empty:
                pass
            else:
                if isinstance(result, AttemptFailed):
                    self.options.on_event(result)
                else:
                    self._settle(result)
            now = time.monotonic()
            if self.options.deadline_s is not None and now - began > self.options.deadline_s:
                self.signal.cancel(f"the deadline of {self.options.deadline_s:g} s passed")
            if self.signal.is_set and self.signal.is_cancelling:
                stopped = stopped or now
                self.ledger.cancel_statements(session_name(self.run))
                if self.signal.is_urgent or now - stopped > STOP_WITHIN_S:
                    engine.close()
        for claimant in claimants:
            claimant.result()

    def _settle(self, work: _Work) -> None:
        """Decide a tenant's outcome, write it, and tell of it."""
        failure = work.last.failure if work.last else None
        outcome = self._outcome(work)
        is_undone = bool(
            self.undo is not None
            and work.last
            and not outcome.is_at_target
            and self.undo(work.tenant)
        )
        if is_undone and outcome is Outcome.IN_DOUBT:
            outcome = Outcome.FAILED
        settled = self.ledger.record_outcome(
            self.run,
            TenantOutcome(
                tenant=work.tenant.name,
                schema=work.tenant.schema,
                outcome=outcome,
                from_revision=show_heads(work.path.source),
                to_revision=show_heads(work.path.target),
                engine=self._engine if work.last else None,
                attempts=work.retry.made,
                duration_s=round(time.monotonic() - work.began, 3) if work.began else 0.0,
                sqlstate=failure.sqlstate if failure else None,
                error=failure.message if failure else None,
            ),
            is_undone=is_undone,
        )
        self._outcomes.append(settled)
        if failure and failure.kind is FailureKind.RUN:
            self.signal.stop(failure.message)
        self.options.on_event(TenantFinished(settled, len(self._outcomes), self._pending))

    def _outcome(self, work: _Work) -> Outcome:
        if work.last and work.last.outcome is not None:
            return work.last.outcome
        if work.is_in_doubt:
            return Outcome.IN_DOUBT
        is_interrupted = self.signal.state is RunState.INTERRUPTED
        if work.last is None:
            return Outcome.INTERRUPTED if is_interrupted else Outcome.SKIPPED
        assert work.last.failure is not None
        is_cut_off = self.signal.is_cancelling and work.last.failure.sqlstate in CUT_OFF
        return Outcome.INTERRUPTED if is_cut_off else Outcome.FAILED


def _is_in_doubt(attempt: Attempt, was_in_doubt: bool) -> bool:
    """Whether it is open what the attempts so far left: only a read under the lock settles it."""
    if attempt.outcome is not None:
        return False
    assert attempt.failure is not None
    if attempt.failure.kind in {FailureKind.IN_DOUBT, FailureKind.LOST_COMMIT}:
        return True
    return was_in_doubt and not attempt.knows_version

"""Attempts: threads that claim tenants, and what becomes of each try.

Brings a batch of tenants along one leg of their paths: retries, puts a tenant that keeps meeting a
lock aside, gives up a thread that gets no connection, and lets one tenant at a time run what locks
a shared table. Knows no ledger and no wave.
"""

from __future__ import annotations

import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Self

from tenantmig.engines import Engine
from tenantmig.errors import TenantmigError
from tenantmig.events import AttemptFailed, SharedLock
from tenantmig.failure import Failure, FailureKind, Phase
from tenantmig.outcome import Attempt, Outcome
from tenantmig.plan import Assignment, Leg, Path, RunKind
from tenantmig.retry import Retry, is_worth_deferring
from tenantmig.stop_signal import StopSignal
from tenantmig.tenant import Tenant

TICK_S = 0.2  # how often a stop and the deadline are looked for
TOLD_AT_ONCE = 200
Backup = Callable[[int, Tenant], str]


@dataclass(frozen=True, slots=True)
class RunFacts:
    """What every attempt of a run is told."""

    run: int
    epoch: int
    kind: RunKind
    server: str | None = None


@dataclass(slots=True)
class TenantWork:
    """One tenant's way through a run."""

    tenant: Tenant
    path: Path
    legs: tuple[Leg, ...]
    retry: Retry
    attempts_before: int = 0
    wave: int = 1
    leg: int = 0
    is_deferred: bool = False
    is_last_try: bool = False
    is_in_doubt: bool = False
    lost_xid: str | None = None
    backup: str | None = None
    last: Attempt | None = None
    began: float | None = None
    is_heard: threading.Event = field(default_factory=threading.Event)
    """The caller of `bring` has taken notice."""

    @property
    def attempts(self) -> int:
        """How many attempts were made, with those of earlier drivers."""
        return self.attempts_before + self.retry.made

    @property
    def next_leg(self) -> Leg:
        """The stretch that comes next."""
        return self.legs[self.leg]

    @property
    def is_arrived(self) -> bool:
        """True when the last leg is gone."""
        return self.leg >= len(self.legs)

    @property
    def has_failed(self) -> bool:
        """True when the last attempt failed and no other follows now."""
        return self.last is not None and self.last.failure is not None


Told = AttemptFailed | SharedLock | TenantWork


@dataclass(slots=True)
class Attempts:
    """The attempts of one run. `bring` is called by one thread, batch after batch."""

    engine: Engine
    facts: RunFacts
    signal: StopSignal
    parallel: int
    backup: Backup | None = None
    shared: dict[str, str] = field(default_factory=dict)
    _witnessed: set[str] = field(default_factory=set)
    _alone: threading.Lock = field(default_factory=threading.Lock)
    _claims: deque[TenantWork] = field(default_factory=deque)
    _told: queue.Queue[Told] = field(default_factory=queue.Queue)
    _claimants: int = 0
    _guard: threading.Lock = field(default_factory=threading.Lock)
    _threads: ThreadPoolExecutor | None = None

    def __enter__(self) -> Self:
        self._threads = ThreadPoolExecutor(self.parallel, thread_name_prefix="tenantmig")
        return self

    def __exit__(self, *_: object) -> None:
        assert self._threads is not None
        self._threads.shutdown()

    def bring(self, works: Sequence[TenantWork]) -> Iterator[Sequence[Told]]:
        """Bring these tenants along their next leg; yield those that are there or have failed.

        Yields every now and then, if nothing, so that the caller can look at the clock. What is
        not yielded was not begun, because the run was stopped.
        """
        assert self._threads is not None
        self.engine.expect([work.tenant.schema for work in works])
        self._claims.extend(works)
        self._claimants = min(self.parallel, len(works))
        claimants = [self._threads.submit(self._claim) for _ in range(self._claimants)]
        yield from self._follow(claimants)
        self._claims.clear()
        for claimant in claimants:
            claimant.result()

    def _follow(self, claimants: Sequence[Future[None]]) -> Iterator[Sequence[Told]]:
        # first whether all are done: what they put after that question would be lost
        while not all(claimant.done() for claimant in claimants) or self._told.qsize():
            told = self._gather()
            try:
                yield told
            finally:
                for one in told:
                    if isinstance(one, TenantWork):
                        one.is_heard.set()

    def _gather(self) -> list[Told]:
        """Wait a moment for what is told; what succeeds may be told together, a failure at once."""
        told: list[Told] = []
        deadline = time.monotonic() + TICK_S
        with suppress(queue.Empty):
            while len(told) < TOLD_AT_ONCE and not (told and _is_bad_news(told[-1])):
                told.append(self._told.get(timeout=max(0.0, deadline - time.monotonic())))
        return told

    # -- in the claiming threads ------------------------------------------------------------

    def _claim(self) -> None:
        """Take one tenant after the other until there are none or the run is stopped."""
        while (work := self._next()) is not None:
            self._bring(work)
            if self._retires(work):
                return
            self._told.put(work)
            while work.has_failed and not self.signal.is_set:
                if work.is_heard.wait(TICK_S):  # it may be the failure that ends the run
                    break

    def _next(self) -> TenantWork | None:
        with self._guard:
            if self._claims and not self.signal.is_set:
                return self._claims.popleft()
            self._claimants -= 1
            return None

    def _retires(self, work: TenantWork) -> bool:
        """Give up this thread when it gets no connection, unless it is the last one."""
        if not _is_unconnected(work.last):
            return False
        with self._guard:
            if self._claimants > 1 and not self.signal.is_set:
                self._claimants -= 1
                self._claims.appendleft(work)
                return True
        assert work.last is not None
        assert work.last.failure is not None
        work.last = replace(work.last, failure=replace(work.last.failure, kind=FailureKind.RUN))
        return False

    def _bring(self, work: TenantWork) -> None:
        work.began = work.began or time.monotonic()
        if not self._is_backed_up(work):
            return
        leg = work.next_leg.path
        if not any(revision in self.shared for revision in leg.revisions):
            self._try(work, leg)
            return
        while not self._alone.acquire(timeout=TICK_S):
            if self.signal.is_set:
                return
        try:
            self._try(work, leg)
        finally:
            self._alone.release()

    def _is_backed_up(self, work: TenantWork) -> bool:
        if self.backup is None or work.backup is not None:
            return True
        try:
            work.backup = self.backup(self.facts.run, work.tenant)
        except TenantmigError as error:
            failure = Failure(FailureKind.PERMANENT, f"{error.message} Nothing was run.")
            work.last = Attempt(failure=failure, knows_version=True)
        return work.backup is not None

    def _try(self, work: TenantWork, leg: Path) -> None:
        def attempt(_: int, *, is_reading: bool = False) -> Attempt:
            made = self.engine.attempt(self._assignment(work, leg, is_reading=is_reading))
            work.is_in_doubt = _is_in_doubt(made, was_in_doubt=work.is_in_doubt)
            work.lost_xid = (made.lost_xid or work.lost_xid) if work.is_in_doubt else None
            return made

        def tell(_: int, made: Attempt) -> None:
            self._tell(work, made.failure)

        last = work.retry.until_settled(attempt, tell)
        # an onboarding is not read: undoing it finds out what is left of it, and drops it
        is_read = self.facts.kind is not RunKind.ONBOARD and not last.knows_version
        if work.is_in_doubt and is_read and last.failure and last.failure.is_retryable:
            work.retry.made += 1
            found = attempt(work.retry.made, is_reading=True)
            last = found if found.outcome else last
        work.last = last
        if last.outcome is not None:
            self._arrive(work, leg, last)
        elif not (self.signal.is_set or work.is_last_try) and is_worth_deferring(last):
            work.is_deferred = True
            self._tell(work, last.failure)

    def _assignment(self, work: TenantWork, leg: Path, *, is_reading: bool) -> Assignment:
        return Assignment(
            run=self.facts.run,
            kind=self.facts.kind,
            tenant=work.tenant,
            path=work.path,
            attempt=work.attempts,
            is_reading=is_reading,
            epoch=self.facts.epoch,
            leg=leg,
            is_witness=not self._witnessed.issuperset(leg.revisions),
            lost_xid=work.lost_xid,
            server=self.facts.server,
        )

    def _arrive(self, work: TenantWork, leg: Path, attempt: Attempt) -> None:
        is_there = attempt.outcome is Outcome.ALREADY_CURRENT
        work.leg = len(work.legs) if is_there else work.leg + 1
        self._witnessed.update(leg.revisions)
        for revision, table in attempt.shared_locks.items():
            if revision not in self.shared:
                self.shared[revision] = table
                self._told.put(SharedLock(revision, table))

    def _tell(self, work: TenantWork, failure: Failure | None) -> None:
        assert failure is not None
        self._told.put(AttemptFailed(work.tenant.name, work.attempts, failure, work.is_deferred))


def _is_bad_news(told: Told) -> bool:
    return not isinstance(told, TenantWork) or told.has_failed


def _is_unconnected(attempt: Attempt | None) -> bool:
    failure = attempt.failure if attempt else None
    return bool(failure and failure.phase is Phase.CONNECT and failure.is_retryable)


def _is_in_doubt(attempt: Attempt, *, was_in_doubt: bool) -> bool:
    """Whether it is open what the attempts so far left: only a read under the lock settles it."""
    if attempt.outcome is not None:
        return False
    assert attempt.failure is not None
    if attempt.is_partial or attempt.failure.kind is FailureKind.LOST_COMMIT:
        return True
    return was_in_doubt and not attempt.knows_version

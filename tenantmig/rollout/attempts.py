"""Attempts: threads that claim tenants, and what becomes of each try.

Brings a batch of tenants along one leg of their paths: retries, puts a tenant that keeps meeting a
lock aside, gives up a thread that gets no connection, lets one tenant at a time run what locks a
shared table, and one alone what found the lock table full. Knows no ledger and no wave.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Self

from tenantmig.domain.events import (
    AttemptFailed,
    FewerAtOnce,
    ScriptPrinted,
    ServerWarned,
    SharedLock,
    SlowBackup,
)
from tenantmig.domain.failure import Failure, FailureKind
from tenantmig.domain.outcome import Attempt, Outcome
from tenantmig.domain.plan import Assignment, Path, RunKind
from tenantmig.domain.stop_signal import StopSignal
from tenantmig.domain.tenant import Tenant
from tenantmig.engines import Engine
from tenantmig.errors import TenantmigError
from tenantmig.postgres.retry import is_crowded, is_worth_deferring
from tenantmig.rollout.claims import Claims, Turns
from tenantmig.rollout.tenant_work import TenantWork

TICK_S = 0.2  # how often a stop and the deadline are looked for
TOLD_AT_ONCE = 200
PATIENCE_S = 30.0  # how long all wait for those at work so that one can be tried alone
Backup = Callable[[int, Tenant, Callable[[str], None]], str]


@dataclass(frozen=True, slots=True)
class RunFacts:
    """What every attempt of a run is told."""

    run: int
    epoch: int
    kind: RunKind
    server: str | None = None


Told = (
    AttemptFailed
    | ServerWarned
    | ScriptPrinted
    | SharedLock
    | FewerAtOnce
    | SlowBackup
    | TenantWork
)


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
    _turns: Turns = field(default_factory=Turns)
    _told: queue.Queue[Told | None] = field(default_factory=queue.Queue)
    _claims: Claims[TenantWork] = field(init=False)
    _at_work: int = 0
    _threads: ThreadPoolExecutor | None = None

    def __post_init__(self) -> None:
        self._claims = Claims(self.signal.event)
        self.engine.heed(self.signal.event)

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
        count = min(self.parallel, len(works))
        self._claims.open(works, count)
        claimants = [self._threads.submit(self._claim) for _ in range(count)]
        yield from self._follow(count)
        self._claims.close()
        for claimant in claimants:
            claimant.result()

    def refuse(self, attempt: AttemptFailed) -> None:
        """Hear that an attempt got no connection because the server, which is up, is full."""
        self._claims.refuse(attempt.tenant, attempt.attempt)

    def _follow(self, claimants: int) -> Iterator[Sequence[Told]]:
        self._at_work = claimants
        while self._at_work:
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
                one = self._told.get(timeout=max(0.0, deadline - time.monotonic()))
                if one is None:
                    self._at_work -= 1
                    break
                told.append(one)
        return told

    # -- in the claiming threads ------------------------------------------------------------

    def _claim(self) -> None:
        try:
            self._bring_next()
        finally:
            self._told.put(None)  # the last word of a thread

    def _bring_next(self) -> None:
        """Take one tenant after the other until there are none or the run is stopped."""
        while (work := self._claims.take()) is not None:
            self._bring(work)
            if work.is_unconnected and self._claims.leave(work):
                self._tell_fewer("the server has no more free connections")
                return
            if work.is_unconnected and work.is_given_back and not self.signal.is_set:
                self._claims.put_back(work)  # the others have ended meanwhile: it waits after all
                continue
            if work.is_unconnected:
                work.end_run()
            self._told.put(work)
            while work.has_failed and not self.signal.is_set:
                if work.is_heard.wait(TICK_S):  # it may be the failure that ends the run
                    break
            if work.is_crowded and self._claims.leave():
                self._tell_fewer("the server's lock table is full")
                return

    def _tell_fewer(self, reason: str) -> None:
        self._told.put(FewerAtOnce(self._claims.threads, reason))

    def _bring(self, work: TenantWork) -> None:
        work.began = work.began or time.monotonic()
        if not self._is_backed_up(work):
            return
        while not self._turns.wait_for_others(TICK_S):
            if self.signal.is_set:
                return
        leg = work.next_leg.path
        is_alone = work.next_leg.is_whole
        if not (is_alone or any(revision in self.shared for revision in leg.revisions)):
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

        def tell(reason: str) -> None:
            self._told.put(SlowBackup(work.tenant.name, reason))

        try:
            work.backup = self.backup(self.facts.run, work.tenant, tell)
        except TenantmigError as error:
            failure = Failure(FailureKind.PERMANENT, f"{error.message} Nothing was run.")
            work.last = Attempt(failure=failure, knows_version=True)
        return work.backup is not None

    def _try(self, work: TenantWork, leg: Path) -> None:
        def attempt(_: int, *, is_reading: bool = False) -> Attempt:
            is_onward, work.is_onward = work.is_onward, False
            assignment = self._assignment(work, leg, is_reading=is_reading)
            made = self.engine.attempt(replace(assignment, is_onward=is_onward))
            if made.is_begun:
                work.note_doubt(made)
            if made.warnings:
                self._told.put(ServerWarned(made.warnings))
            if made.printed:
                self._told.put(ScriptPrinted(work.tenant.name, made.printed))
            return made

        last = self._settled(work, attempt)
        # an onboarding is not read: undoing it finds out what is left of it, and drops it
        is_read = self.facts.kind is not RunKind.ONBOARD and not last.knows_version
        if work.is_in_doubt and is_read and last.failure and last.failure.is_retryable:
            work.retry.made += 1
            with self._turns.beside_others():
                found = attempt(work.retry.made, is_reading=True)
            last = found if found.outcome else last
        work.last = last
        if last.outcome is not None:
            self._arrive(work, leg, last)
        elif not (self.signal.is_set or work.is_last_try) and is_worth_deferring(last):
            work.is_deferred = True
            self._tell(work, last.failure)

    def _settled(self, work: TenantWork, attempt: Callable[[int], Attempt]) -> Attempt:
        """Try until it is settled: beside others, and once alone if the lock table was full."""

        def tell(_: int, made: Attempt) -> None:
            self._tell(work, made.failure)

        def is_refused() -> bool:
            work.is_given_back = self._claims.is_refused(work.tenant.name, work.attempts)
            return work.is_given_back

        def beside_others(number: int) -> Attempt:
            with self._turns.beside_others():
                return attempt(number)

        work.is_given_back = work.is_crowded = False
        is_onward = work.is_onward
        last = work.retry.until_settled(beside_others, tell, is_refused, is_onward=is_onward)
        if is_crowded(last) and not self.signal.is_set:
            tell(work.attempts, last)
            with self._turns.alone(PATIENCE_S):
                if not self.signal.is_set:
                    last = work.retry.until_settled(attempt, tell, is_refused)
            work.is_crowded = last.outcome is not None
        return last

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
            # a birth begins anew: what an earlier attempt made was dropped
            memo=frozenset() if self.facts.kind is RunKind.ONBOARD else work.memo,
            server=self.facts.server,
        )

    def _arrive(self, work: TenantWork, leg: Path, attempt: Attempt) -> None:
        is_there = attempt.outcome is Outcome.ALREADY_CURRENT or attempt.is_through
        work.leg = len(work.legs) if is_there else work.leg + 1
        work.is_onward = True
        self._witnessed.update(leg.revisions)
        for revision, table in attempt.shared_locks.items():
            if revision not in self.shared:
                self.shared[revision] = table
                self._told.put(SharedLock(revision, table))

    def _tell(self, work: TenantWork, failure: Failure | None) -> None:
        assert failure is not None
        self._told.put(AttemptFailed(work.tenant.name, work.attempts, failure, work.is_deferred))


def _is_bad_news(told: Told) -> bool:
    if isinstance(told, TenantWork):
        return told.has_failed
    return not isinstance(told, ServerWarned | ScriptPrinted)

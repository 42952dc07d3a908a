"""Settlement: what becomes of each tenant of a run, in the ledger; and the failure budget."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from tenantmig.events import OnEvent, TenantFinished
from tenantmig.failure import Failure, FailureKind
from tenantmig.ledger import Ledger, RunClaim
from tenantmig.outcome import Outcome, RunState, TenantOutcome
from tenantmig.plan import Plan, show_heads
from tenantmig.rollout import decided
from tenantmig.stop_signal import StopSignal
from tenantmig.tenant import Tenant
from tenantmig.tenant_work import TenantWork
from tenantmig.waves import FailureBudget

CUT_OFF = frozenset({"57014", "57P01", None})  # what a statement says that was stopped by us


@dataclass(slots=True)
class Settlement:
    """The outcomes of one run so far. Its writer is the thread that carries the run out."""

    ledger: Ledger
    claim: RunClaim
    signal: StopSignal
    budget: FailureBudget | None
    undo: Callable[[Tenant], bool] | None
    on_event: OnEvent
    engine: str | None = None
    expected: int = 0
    """How many tenants the run works on."""
    outcomes: list[TenantOutcome] = field(default_factory=list)
    names: set[str] = field(default_factory=set)
    _failed: int = 0

    @property
    def counts(self) -> Mapping[str, int]:
        """How many tenants have each outcome."""
        return dict(Counter(outcome.outcome.value for outcome in self.outcomes))

    def decide(self, plan: Plan, *, is_written: bool) -> None:
        """Take over what is decided before anything is run; it may be in the ledger already."""
        for outcome in decided(plan):
            if not is_written:
                self.ledger.record_outcome(self.claim, outcome)
            self.outcomes.append(outcome)

    def settle(self, works: Sequence[TenantWork]) -> None:
        """Decide the outcomes of tenants, write them, and tell of them."""
        arrived = [self._told(work) for work in works if work.is_arrived]
        if arrived:
            for settled in self.ledger.record_arrivals(self.claim, arrived):
                self._tell_settled(settled)
        for work in works:
            if not work.is_arrived:
                self._settle_failure(work)

    def _settle_failure(self, work: TenantWork) -> None:
        settled, undo = self._told(work), self.undo
        is_begun = work.attempts > 0 and not settled.outcome.is_at_target
        is_undone = bool(undo is not None and is_begun and undo(work.tenant))
        if is_undone and settled.outcome is Outcome.IN_DOUBT:
            settled = replace(settled, outcome=Outcome.FAILED, lost_xid=None)
        settled = self.ledger.record_outcome(self.claim, settled, is_undone=is_undone)
        self._spend_budget(settled, work.last.failure if work.last else None)
        self._tell_settled(settled)

    def _told(self, work: TenantWork) -> TenantOutcome:
        """What is known of a tenant when its attempts have ended."""
        failure = work.last.failure if work.last else None
        outcome = self._outcome(work)
        engine = (work.last.engine if work.last else None) or self.engine
        return replace(
            _untold(work),
            outcome=outcome,
            to_revision=show_heads(work.path.target),
            engine=engine if work.attempts else None,
            attempts=work.attempts,
            duration_s=round(time.monotonic() - work.began, 3) if work.began else 0.0,
            sqlstate=failure.sqlstate if failure else None,
            error=failure.message if failure else None,
            backup=work.backup,
            lost_xid=work.lost_xid if outcome is Outcome.IN_DOUBT else None,
        )

    def _tell_settled(self, settled: TenantOutcome) -> None:
        self.names.add(settled.tenant)
        self.outcomes.append(settled)
        self.on_event(TenantFinished(settled, len(self.names), self.expected))

    def _spend_budget(self, settled: TenantOutcome, failure: Failure | None) -> None:
        if failure is None or settled.outcome.is_at_target:
            return
        if failure.kind is FailureKind.RUN:
            self.signal.stop(failure.message)
        if failure.kind is FailureKind.LOCKED or settled.outcome is Outcome.INTERRUPTED:
            return
        self._failed += 1
        budget = self.budget
        if budget is not None and not budget.allows(self._failed, self.expected):
            self.signal.stop(f"{self._failed} tenants failed, more than --max-failures {budget}")

    def _outcome(self, work: TenantWork) -> Outcome:
        if work.is_arrived and work.last and work.last.outcome is not None:
            return work.last.outcome
        if work.is_in_doubt and work.retry.made:
            return Outcome.IN_DOUBT
        is_interrupted = self.signal.state is RunState.INTERRUPTED
        if work.last is None or work.last.failure is None:
            return Outcome.INTERRUPTED if is_interrupted else Outcome.SKIPPED
        is_cut_off = self.signal.is_cancelling and work.last.failure.sqlstate in CUT_OFF
        return Outcome.INTERRUPTED if is_cut_off else Outcome.FAILED

    def settle_rest(self, works: Sequence[TenantWork]) -> None:
        """Write what became of the tenants that the run did not bring to an end."""
        rest = [work for work in works if work.tenant.name not in self.names]
        self.settle([work for work in rest if work.retry.made])
        untouched = [work for work in rest if not work.retry.made]
        if untouched:
            outcome = self._outcome(untouched[0])
            names = [work.tenant.name for work in untouched]
            self.ledger.record_untouched(self.claim, names, outcome)
        for work in untouched:
            self._tell_settled(replace(_untold(work), outcome=outcome))


def _untold(work: TenantWork) -> TenantOutcome:
    """A tenant before anything is known of it."""
    stands = show_heads(work.path.source)
    tenant = work.tenant
    return TenantOutcome(
        tenant.name, tenant.schema, Outcome.SKIPPED, stands, stands, wave=work.wave
    )

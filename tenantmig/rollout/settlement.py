"""Settlement: what becomes of each tenant of a run, in the ledger; and the failure budget."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from tenantmig.domain.counting import counted, joined
from tenantmig.domain.events import OnEvent, TenantFinished
from tenantmig.domain.failure import FailureKind
from tenantmig.domain.outcome import Outcome, RunState, TenantOutcome
from tenantmig.domain.plan import Plan, show_heads
from tenantmig.domain.stop_signal import StopSignal
from tenantmig.domain.tenant import Tenant
from tenantmig.domain.waves import FailureBudget
from tenantmig.ledger.claim import RunClaim
from tenantmig.ledger.ledger import Ledger
from tenantmig.ledger.outcomes import record_arrivals, record_outcome, record_untouched
from tenantmig.rollout.rollout import decided
from tenantmig.rollout.tenant_work import TenantWork

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
    _in_doubt: int = 0
    _spent: str | None = None
    """What was told when the failure budget was spent."""

    @property
    def counts(self) -> Mapping[str, int]:
        """How many tenants have each outcome."""
        return dict(Counter(outcome.outcome.value for outcome in self.outcomes))

    def decide(self, plan: Plan, *, is_written: bool) -> None:
        """Take over what is decided before anything is run; it may be in the ledger already."""
        for outcome in decided(plan):
            if not is_written:
                record_outcome(self.ledger, self.claim, outcome)
            self.outcomes.append(outcome)

    def settle(self, works: Sequence[TenantWork]) -> None:
        """Decide the outcomes of tenants, write them, and tell of them."""
        arrived = [self._told(work) for work in works if work.is_arrived]
        if arrived:
            for settled in record_arrivals(self.ledger, self.claim, arrived):
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
        settled = record_outcome(self.ledger, self.claim, settled, is_undone=is_undone)
        self._spend_budget(work, settled)
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

    def _spend_budget(self, work: TenantWork, settled: TenantOutcome) -> None:
        failure = work.last.failure if work.last else None
        if failure is None or settled.outcome.is_at_target:
            return
        if failure.kind is FailureKind.RUN:
            self.signal.stop(failure.message)
        if failure.kind is FailureKind.LOCKED or settled.outcome is Outcome.INTERRUPTED:
            return
        if work.trouble is not None and work.trouble.is_again(
            settled.outcome, settled.sqlstate, settled.error
        ):
            return
        self._failed += settled.outcome is Outcome.FAILED
        self._in_doubt += settled.outcome is Outcome.IN_DOUBT
        budget, spent = self.budget, self._failed + self._in_doubt
        if budget is not None and not budget.allows(spent, self.expected):
            self._spent = self._spent or self._told_budget()
            self.signal.stop(self._spent)

    def _told_budget(self) -> str:
        """Say how many tenants spent the budget, and how many others failed that do not count."""
        told = [counted(self._failed, "tenant") + " failed"] if self._failed else []
        if self._in_doubt:
            who = str(self._in_doubt) if told else counted(self._in_doubt, "tenant")
            told.append(f"{who} {'is' if self._in_doubt == 1 else 'are'} in doubt")
        text = f"{joined(told)}, more than --max-failures {self.budget}"
        ended = Counter(outcome.outcome for outcome in self.outcomes)
        others = ended[Outcome.FAILED] + ended[Outcome.IN_DOUBT] - self._failed - self._in_doubt
        if others <= 0:
            return text
        return (
            f"{text}; {others} more {'does' if others == 1 else 'do'} not count: refused "
            "before the run, only locked, or failed in the same way before"
        )

    def stop_for_canary(self, reason: str) -> None:
        """Begin nothing more, because of a canary; that it spent the budget as well says less."""
        if self.signal.reason is not None and self.signal.reason == self._spent:
            self.signal.reason = reason
        self.signal.stop(reason)

    @property
    def reason(self) -> str | None:
        """Why the run was stopped, in the end: tenants in flight may have failed since."""
        is_spent = self._spent is not None and self.signal.reason == self._spent
        return self._told_budget() if is_spent else self.signal.reason

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
            record_untouched(self.ledger, self.claim, names, outcome)
        for work in untouched:
            self._tell_settled(replace(_untold(work), outcome=outcome))


def _untold(work: TenantWork) -> TenantOutcome:
    """A tenant before anything is known of it."""
    stands = show_heads(work.path.source)
    tenant = work.tenant
    return TenantOutcome(
        tenant.name, tenant.schema, Outcome.SKIPPED, stands, stands, wave=work.wave
    )

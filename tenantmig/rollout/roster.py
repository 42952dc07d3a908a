"""The roster: the tenants that one run works on, those of its plan and those onboarded meanwhile.

Asks the ledger what came before; brings nobody along.
"""

from __future__ import annotations

import time
from collections.abc import Sequence

from tenantmig.domain.outcome import Outcome
from tenantmig.domain.plan import Leg, Path, Plan
from tenantmig.domain.stop_signal import StopSignal
from tenantmig.domain.tenant import Tenant
from tenantmig.ledger.activity import live_onboardings
from tenantmig.ledger.claim import RunClaim
from tenantmig.ledger.ledger import Ledger
from tenantmig.postgres.retry import Retry
from tenantmig.rollout.rollout import Rollout, RolloutOptions, decided
from tenantmig.rollout.settlement import Settlement
from tenantmig.rollout.tenant_work import TenantWork

SWEEP_POLL_S = 0.2


class Roster:
    """The tenants of one run that are to be moved."""

    def __init__(
        self,
        rollout: Rollout,
        ledger: Ledger,
        claim: RunClaim,
        options: RolloutOptions,
        signal: StopSignal,
        settlement: Settlement,
    ) -> None:
        self.rollout = rollout
        self.ledger = ledger
        self.claim = claim
        self.options = options
        self.signal = signal
        self.works: list[TenantWork] = []
        self.shortfall: str | None = None
        """Why the run is incomplete though every tenant of its plan arrived."""
        self._settlement = settlement

    def begin(self, pending: Sequence[tuple[Tenant, Path]]) -> None:
        """Take the tenants of the plan; where there are none, those that were onboarded."""
        self.works = self._new_works(self.rollout.plan, pending)
        self.works = self.works or self._newcomers()
        self._settlement.expected = len(self.works)

    def add_newcomers(self) -> list[TenantWork]:
        """Take tenants that were onboarded meanwhile, and return them."""
        newcomers = self._newcomers()
        self.works += newcomers
        self._settlement.expected = len(self.works)
        return newcomers

    def _newcomers(self) -> list[TenantWork]:
        """Return tenants that were onboarded meanwhile and are behind; wait for those in birth."""
        if self.rollout.sweep is None:
            return []
        patience = time.monotonic() + self.options.onboarding_wait_s
        while not self.signal.is_set:
            # first who is being born: who is active after that question is in the sweep
            unborn = live_onboardings(self.ledger, self.claim.run)
            known = {o.tenant for o in self._settlement.outcomes} | {
                w.tenant.name for w in self.works
            }
            plan = self.rollout.sweep(frozenset(known))
            if plan.tenants:
                self.ledger.write_intents(self.claim.run, plan, decided(plan))
                self._settlement.decide(plan, is_written=True)
            if plan.pending:
                return self._new_works(plan, pending_of(plan))
            if not unborn:
                break
            if time.monotonic() > patience:
                self.shortfall = f'the onboarding of "{unborn[0]}" has not finished; run again'
                break
            self.signal.event.wait(SWEEP_POLL_S)
        return []

    def _new_works(self, plan: Plan, pending: Sequence[tuple[Tenant, Path]]) -> list[TenantWork]:
        legs = {id(group.path): group.legs for group in plan.groups}
        troubles = self.ledger.troubled_tenants()
        return [
            TenantWork(
                tenant,
                path,
                legs[id(path)] or (Leg(path),),
                Retry(self.options.retry, self.signal.event),
                attempts_before=before.attempts if before else 0,
                lost_xid=before.lost_xid if before else None,
                is_in_doubt=trouble is not None and trouble.outcome is Outcome.IN_DOUBT,
                trouble=trouble,
            )
            for tenant, path in pending
            for before in [self.rollout.before.get(tenant.name)]
            for trouble in [troubles.get(tenant.name)]
        ]


def pending_of(plan: Plan) -> list[tuple[Tenant, Path]]:
    """Return the tenants that a plan moves, each with its path."""
    return [(tenant, group.path) for group in plan.groups for tenant in group.tenants]

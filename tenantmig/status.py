"""Status: where every tenant of the fleet stands. Reads in chunks; changes nothing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from tenantmig.ledger import Ledger
from tenantmig.outcome import Outcome
from tenantmig.plan import Plan, RunKind, show_heads
from tenantmig.planning import plan_rollout
from tenantmig.revisions import History
from tenantmig.tenant import Tenant


class Standing(StrEnum):
    """How a tenant stands towards the head of the history."""

    AT_HEAD = "at_head"
    BEHIND = "behind"
    FAILED = "failed"
    IN_DOUBT = "in_doubt"


@dataclass(frozen=True, slots=True)
class TenantStatus:
    """One tenant: its revision (None at base), how many are pending, and how it stands."""

    tenant: Tenant
    revision: str | None
    pending: int
    standing: Standing
    problem: str | None = None


@dataclass(frozen=True, slots=True)
class FleetStatus:
    """The fleet by revision."""

    head: str
    tenants: tuple[TenantStatus, ...]

    @property
    def summary(self) -> dict[str, int]:
        """How many tenants there are, and how many stand in each way."""
        counted = Counter(tenant.standing for tenant in self.tenants)
        return {"tenants": len(self.tenants)} | {s.value: counted[s] for s in Standing}

    @property
    def by_revision(self) -> dict[str | None, int]:
        """How many tenants are at each revision, most first; None is base."""
        return dict(Counter(tenant.revision for tenant in self.tenants).most_common())


def read_status(
    ledger: Ledger, history: History, tenants: Sequence[Tenant], version_table: str
) -> FleetStatus:
    """Read where these tenants stand towards the head(s) of the history."""
    plan = plan_rollout(
        ledger.connection, history, RunKind.UPGRADE, "heads", tenants, version_table
    )
    troubled = ledger.troubled_tenants()
    found = _at_head(plan, troubled) + _behind(plan, troubled) + _failed(plan, troubled)
    found.sort(key=lambda status: status.tenant.name)
    return FleetStatus(",".join(history.heads) or "base", tuple(found))


def _at_head(plan: Plan, troubled: dict[str, Outcome]) -> list[TenantStatus]:
    return [
        TenantStatus(
            tenant, show_heads(heads), 0, _standing(Standing.AT_HEAD, troubled.get(tenant.name))
        )
        for tenant, heads in plan.at_target
    ]


def _behind(plan: Plan, troubled: dict[str, Outcome]) -> list[TenantStatus]:
    return [
        TenantStatus(
            tenant,
            show_heads(group.path.source),
            len(group.path.revisions),
            _standing(Standing.BEHIND, troubled.get(tenant.name)),
        )
        for group in plan.groups
        for tenant in group.tenants
    ]


def _failed(plan: Plan, troubled: dict[str, Outcome]) -> list[TenantStatus]:
    return [
        TenantStatus(
            problem.tenant,
            show_heads(problem.source),
            0,
            _standing(Standing.FAILED, troubled.get(problem.tenant.name)),
            problem.message,
        )
        for problem in plan.problems
    ]


def _standing(read: Standing, latest: Outcome | None) -> Standing:
    """A doubt stands until a run settles it; a failure only while the tenant is behind."""
    if latest is Outcome.IN_DOUBT:
        return Standing.IN_DOUBT
    if latest is Outcome.FAILED and read is Standing.BEHIND:
        return Standing.FAILED
    return read

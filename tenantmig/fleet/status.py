"""Status: where every tenant of the fleet stands. Reads in chunks; changes nothing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from tenantmig.domain.outcome import Outcome, TenantRun, Trouble
from tenantmig.domain.plan import Heads, RunKind, show_heads
from tenantmig.domain.tenant import Tenant
from tenantmig.history.revisions import History
from tenantmig.ledger.ledger import Ledger
from tenantmig.postgres.version_table import ReadVersions
from tenantmig.rollout.older_code import mark_ahead
from tenantmig.rollout.planning import plan_rollout


class Standing(StrEnum):
    """How a tenant stands towards the head of the history."""

    AT_HEAD = "at_head"
    BEHIND = "behind"
    AHEAD = "ahead"
    """At a revision that newer code made; this history does not have it."""
    FAILED = "failed"
    """Behind, and its latest run failed."""
    IN_DOUBT = "in_doubt"
    UNKNOWN = "unknown"
    """Its version table was not read, or what it says cannot be trusted."""


@dataclass(frozen=True, slots=True)
class TenantStatus:
    """One tenant: its revision (None at base, or unless `is_known`), how many are pending, and how
    it stands.
    """

    tenant: Tenant
    revision: str | None
    pending: int
    standing: Standing
    problem: str | None = None
    is_readable: bool = True
    """False when this role may not read its version table."""
    is_known: bool = True
    """False when its revision is not known: the version table was refused or not read."""

    @property
    def shown_revision(self) -> str:
        """Its revision for people."""
        return (self.revision or "base") if self.is_known else "an unknown revision"


@dataclass(frozen=True, slots=True)
class FleetStatus:
    """The fleet by revision."""

    head: str
    tenants: tuple[TenantStatus, ...]
    shared: FleetStatus | None = None
    """The shared lineage, if there is one: one entry, in a tenant's place."""
    order: tuple[str, ...] = ()
    """Every revision of the history, none before those that it stands on."""
    nobody: str | None = None
    """Why there is no tenant, if that is so: what the source lists."""
    unborn: tuple[str, ...] = ()
    """The names that the source lists and whose onboarding has not begun, or not ended."""
    env_problem: str | None = None
    """What keeps env.py from serving tenants: no run can begin before that is corrected."""

    @property
    def summary(self) -> dict[str, int]:
        """How many tenants there are, and how many stand in each way."""
        counted = Counter(tenant.standing for tenant in self.tenants)
        return {"tenants": len(self.tenants)} | {s.value: counted[s] for s in Standing}

    @property
    def is_readable(self) -> bool:
        """False when this role may not read the version table of a tenant."""
        is_shared = self.shared is None or self.shared.is_readable
        return is_shared and all(tenant.is_readable for tenant in self.tenants)

    @property
    def by_revision(self) -> dict[str | None, int]:
        """How many tenants are at each revision, in the history's order; None is base.

        Revisions that the history does not have come last. Without tenants whose revision is not
        known.
        """
        known = Counter(tenant.revision for tenant in self.tenants if tenant.is_known)
        places = {revision: place for place, revision in enumerate(self.order)}

        def place(revision: str | None) -> tuple[int, str]:
            heads = revision.split(",") if revision else []
            return max((places.get(h, len(places)) for h in heads), default=-1), revision or ""

        return {revision: known[revision] for revision in sorted(known, key=place)}

    @property
    def behind(self) -> tuple[TenantStatus, ...]:
        """The tenants with pending revisions, whatever their latest run came to."""
        return tuple(tenant for tenant in self.tenants if tenant.pending)


@dataclass(frozen=True, slots=True)
class TenantLife:
    """One tenant: how it stands, and the runs that had it, newest first.

    `status` is None if there is no tenant of the name any more.
    """

    name: str
    status: TenantStatus | None
    runs: tuple[TenantRun, ...]


def read_status(
    ledger: Ledger, read: ReadVersions, history: History, tenants: Sequence[Tenant]
) -> FleetStatus:
    """Read where these tenants stand towards the head(s) of the history."""
    plan = plan_rollout(read, history, RunKind.UPGRADE, "heads", tenants)
    plan = mark_ahead(plan, ledger.recorded_revisions)
    troubles, partial = ledger.troubled_tenants(), ledger.partial_schemas()
    found = [
        _status(tenant, heads, 0, Standing.AT_HEAD, troubles) for tenant, heads in plan.at_target
    ]
    for group in plan.groups:
        heads, pending = group.path.source, len(group.path.revisions)
        found += [
            _status(tenant, heads, pending, Standing.BEHIND, troubles) for tenant in group.tenants
        ]
    for problem in plan.problems:
        standing = Standing.AHEAD if problem.is_ahead else Standing.UNKNOWN
        heads = problem.source if problem.is_known else ()
        status = _status(problem.tenant, heads, 0, standing, troubles)
        is_readable, is_known = not problem.is_forbidden, problem.is_known
        told = problem.message
        found.append(replace(status, problem=told, is_readable=is_readable, is_known=is_known))
    found = [_with_parts(status, partial) for status in found]
    found.sort(key=lambda status: status.tenant.name)
    return FleetStatus(",".join(history.heads) or "base", tuple(found), order=history.revisions)


def _with_parts(status: TenantStatus, partial: dict[str, str]) -> TenantStatus:
    """A revision that has committed a part of itself leaves a tenant behind in doubt."""
    revision = partial.get(status.tenant.schema)
    if revision is None or status.standing is Standing.AT_HEAD:
        return status
    told = status.problem or f"part of revision {revision} is committed"
    return replace(status, standing=Standing.IN_DOUBT, problem=told)


def _status(
    tenant: Tenant, heads: Heads, pending: int, read: Standing, troubles: dict[str, Trouble]
) -> TenantStatus:
    """A doubt stands until a run settles it; a failure only while the tenant is behind."""
    trouble = troubles.get(tenant.name)
    standing, problem = read, None
    if trouble and trouble.outcome is Outcome.IN_DOUBT:
        standing = Standing.IN_DOUBT
    elif trouble and read is Standing.BEHIND:
        standing = Standing.FAILED
    if trouble and standing is not read:
        problem = f"run {trouble.run}: {trouble.error or trouble.outcome}"
    return TenantStatus(tenant, show_heads(heads), pending, standing, problem)

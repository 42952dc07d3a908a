"""Planning: what a run would do to each selected tenant. Changes nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from tenantmig.domain.plan import (
    Path,
    Plan,
    PlanGroup,
    RunKind,
    Way,
)
from tenantmig.domain.tenant import Tenant
from tenantmig.errors import SelectionError
from tenantmig.history.revisions import History
from tenantmig.postgres.version_table import ReadVersions
from tenantmig.rollout.planner import Planner


def plan_rollout(
    read: ReadVersions,
    history: History,
    kind: RunKind,
    target: str,
    tenants: Sequence[Tenant],
    **facts: Any,
) -> Plan:
    """Group the tenants by where they stand and find each group's path to `target`.

    For upgrade, downgrade, stamp and offboard. A tenant whose version cannot be trusted, or from
    which no path leads there, is a problem of its own and does not keep the others. `facts` are
    told of the plan as a whole.

    Raises:
        UnknownRevisionError, HistoryError: the target itself is unusable.
    """
    resolved = "base" if kind is RunKind.OFFBOARD else history.target(target, kind)
    versions = read([tenant.schema for tenant in tenants])
    planner = Planner(history, kind)
    for tenant in tenants:
        planner.add(tenant, versions[tenant.schema], resolved)
    return planner.plan(kind, resolved, **facts)


def plan_onboarding(
    history: History, target: str, tenants: Sequence[Tenant], birth: str = ""
) -> Plan:
    """Plan to bring new tenants from nothing to `target`; or the function `birth` makes them there.

    Raises:
        SelectionError: `birth` does not make what stands at `target`.
    """
    resolved = history.target(target)
    if birth:
        heads = history.stamp_path((), resolved).target
        if heads != history.heads or not heads:  # without a revision nothing could be stamped
            raise SelectionError(
                f"The setting `birth` ({birth}) creates tenants at head, not at {resolved}. "
                "Onboard them without --to. Nothing was touched."
            )
        made = Path((), heads, (), resolved)
        return Plan(RunKind.ONBOARD, resolved, (PlanGroup(made, tuple(tenants)),))
    path = history.path(RunKind.UPGRADE, (), resolved)
    return Plan(RunKind.ONBOARD, resolved, (PlanGroup(path, tuple(tenants)),))


def show_ways(history: History, plan: Plan, known: Mapping[str, str]) -> Plan:
    """Say of each revision of a plan which way it goes, and why; `known` is from earlier runs.

    About those that nothing keeps from being replayed two tenants decide, when they run.
    """
    kind, ways = plan.moves, []
    passed = dict.fromkeys(revision for group in plan.groups for revision in group.path.revisions)
    for revision in passed:
        reason = history.obstacle(revision, kind) or known.get(revision)
        is_isolated = history.proofs.why_isolated(kind, [revision]) is not None
        ways.append(Way(revision, reason is None, reason is not None and is_isolated, reason))
    obstacles = {way.revision: way.reason for way in ways if way.reason}
    return replace(plan, obstacles=obstacles, ways=tuple(ways))

"""Refusals: what keeps a plan from being carried out, said before anything is touched. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from tenantmig.domain.counting import counted
from tenantmig.domain.plan import Plan, Problem, RunKind
from tenantmig.domain.tenant import Tenant
from tenantmig.domain.waves import Canary
from tenantmig.errors import EmptyFleetError, IrreversibleRevisionError, SelectionError
from tenantmig.history.revisions import History
from tenantmig.rollout.rollout import Rollout

SHOWN = 5


def refuse_nobody(plan: Plan, *, has_shared: bool) -> None:
    """Refuse a run over nobody: the source may be the wrong one.

    Raises:
        EmptyFleetError: with what the source lists and what to do.
    """
    if plan.nobody:
        alone = " `upgrade --lineage shared` upgrades the shared tables alone."
        raise EmptyFleetError(
            f"{plan.nobody} If that is right, pass "
            f"--allow-empty.{alone if has_shared else ''} Nothing was touched."
        )


def refuse_unknown_canary(canary: Canary, rollout: Rollout) -> None:
    """Refuse a canary by a name that the run does not have.

    Raises:
        SelectionError: naming it.
    """
    plan = rollout.plan
    known = {t.name for group in plan.groups for t in group.tenants} | rollout.before.keys()
    known |= {tenant.name for tenant, _ in plan.at_target}
    known |= {problem.tenant.name for problem in (*plan.problems, *plan.left_out)}
    strangers = [name for name in canary.names if name not in known]
    if strangers:
        raise SelectionError(
            f'The canary "{strangers[0]}" is not among the selected tenants. Nothing was touched.'
        )


def heed_irreversible(history: History, plan: Plan, *, skip: bool) -> Plan:
    """Refuse a plan that passes a revision which cannot be undone, or leave its tenants out.

    Raises:
        IrreversibleRevisionError: naming the revision and the tenants; nothing was touched.
    """
    if plan.moves is not RunKind.DOWNGRADE:
        return plan
    reasons: dict[str, list[Tenant]] = {}
    kept = []
    for group in plan.groups:
        found = next(filter(history.irreversible, group.path.revisions), None)
        if found is None:
            kept.append(group)
        else:
            reasons.setdefault(found, []).extend(group.tenants)
    if reasons and not skip:
        raise IrreversibleRevisionError(_irreversible(history, reasons))
    left_out = list(plan.left_out) + [
        Problem(tenant, f"revision {revision} is irreversible", group.path.source)
        for revision, tenants in reasons.items()
        for tenant in tenants
        for group in plan.groups
        if tenant in group.tenants
    ]
    return replace(plan, groups=tuple(kept), left_out=tuple(left_out))


def _irreversible(history: History, reasons: Mapping[str, Sequence[Tenant]]) -> str:
    parts = []
    for revision, tenants in reasons.items():
        names = ", ".join(tenant.name for tenant in tenants[:SHOWN])
        more = f" and {len(tenants) - SHOWN} more" if len(tenants) > SHOWN else ""
        parts.append(
            f"Revision {revision} cannot be downgraded ({history.irreversible(revision)}), "
            f"and the path of {counted(len(tenants), 'tenant')} includes it: {names}{more}."
        )
    return (
        " ".join(parts)
        + " Choose a later revision, or leave out these tenants with --skip-irreversible. "
        "Nothing was touched."
    )

"""Refusals: what keeps a plan from being carried out, said before anything is touched. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace

from tenantmig.domain.counting import counted
from tenantmig.domain.lineage import Lineage
from tenantmig.domain.plan import Heads, Plan, Problem, RunKind, show_heads
from tenantmig.domain.tenant import Tenant
from tenantmig.domain.waves import Canary
from tenantmig.errors import (
    EmptyFleetError,
    IrreversibleRevisionError,
    OlderCodeError,
    SelectionError,
    UnknownRevisionError,
)
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


def mark_ahead(plan: Plan, recorded: Callable[[Collection[str]], Collection[str]]) -> Plan:
    """Tell the tenants that are ahead of this history from those with a strange version table.

    A revision that is not in the history is newer code's if a run brought a tenant there
    (`recorded` asks the ledger), or several tenants are at it.
    """
    times = Counter(revision for problem in plan.problems for revision in problem.unknown)
    if not times:
        return plan
    several = {revision for revision, number in times.items() if number > 1}
    newer = several | {*recorded(times.keys() - several)}
    problems = [
        replace(p, is_ahead=True, message=f"it is ahead of this code: {p.message}")
        if p.unknown and newer.issuperset(p.unknown)
        else p
        for p in plan.problems
    ]
    return replace(plan, problems=tuple(problems))


def refuse_older_code(plan: Plan) -> None:
    """Refuse an upgrade by code that is older than what its tenants are at.

    Raises:
        OlderCodeError: naming the revision and the tenants; nothing was touched.
    """
    ahead = [problem for problem in plan.problems if problem.is_ahead]
    if not ahead or plan.moves is not RunKind.UPGRADE or plan.kind is not RunKind.UPGRADE:
        return
    revision = ahead[0].unknown[0]
    names = ", ".join(problem.tenant.name for problem in ahead[:SHOWN])
    more = f" and {len(ahead) - SHOWN} more" if len(ahead) > SHOWN else ""
    is_one = len(ahead) == 1
    where = (
        "the shared lineage is"
        if plan.lineage is Lineage.SHARED
        else f"{counted(len(ahead), 'tenant')} ({names}{more}) {'is' if is_one else 'are'}"
    )
    skipped = "" if plan.lineage is Lineage.SHARED else ", or leave them out with --skip"
    raise OlderCodeError(
        f"This code is older than the fleet: {where} at revision {revision}, which is not "
        f"in this history. Deploy the newer code and upgrade with it{skipped}. Nothing was "
        "touched."
    )


def refuse_beyond(history: History, plan: Plan) -> None:
    """Refuse to go N revisions back or on where a tenant has not as many on that side.

    Raises:
        UnknownRevisionError: naming the tenants and how far each could go; nothing was touched.
    """
    beyond = [problem for problem in plan.problems if problem.is_beyond]
    if not beyond:
        return
    is_down = plan.moves is RunKind.DOWNGRADE
    told = ", ".join(
        f'"{p.tenant.name}" ({_how_far(history, p.source, is_down=is_down)})'
        for p in beyond[:SHOWN]
    )
    more = f" and {len(beyond) - SHOWN} more" if len(beyond) > SHOWN else ""
    way = "A downgrade" if is_down else "An upgrade"
    name = "`base` undoes everything" if is_down else "`head` is the last one"
    raise UnknownRevisionError(
        f"{way} by {plan.target} is impossible for {counted(len(beyond), 'tenant')}: "
        f"{told}{more}. Name a revision ({name}), or leave these tenants out with --skip. "
        "Nothing was touched."
    )


def _how_far(history: History, heads: Heads, *, is_down: bool) -> str:
    at = f"at {show_heads(heads) or 'base'}"
    if len(heads) > 1:
        return f"{at}: several heads"
    if is_down:
        return (
            f"{at}: {counted(len(history.applied(heads)), 'revision')} above base" if heads else at
        )
    above = history.applied(history.heads) - history.applied(heads)
    return f"{at}: {counted(len(above), 'revision')} below head" if above else f"{at}, the head"


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

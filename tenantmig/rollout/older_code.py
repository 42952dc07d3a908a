"""Tenants that are ahead of this history: another, newer code has upgraded them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection
from dataclasses import replace

from tenantmig.domain.counting import counted
from tenantmig.domain.lineage import Lineage
from tenantmig.domain.plan import Plan, RunKind
from tenantmig.errors import OlderCodeError
from tenantmig.rollout.refusals import SHOWN


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

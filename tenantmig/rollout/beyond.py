"""Relative targets that would lead tenants beyond base or head."""

from __future__ import annotations

from tenantmig.domain.counting import counted
from tenantmig.domain.plan import Heads, Plan, RunKind, show_heads
from tenantmig.errors import UnknownRevisionError
from tenantmig.history.revisions import History
from tenantmig.rollout.refusals import SHOWN


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

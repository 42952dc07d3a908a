"""The canary of a run: who may be one, in which order, and what its failure means. Pure.

A tenant that is in trouble (its latest run failed or left it in doubt) tells nothing about a
release. It is no canary while there is another, and it is rolled behind the others.
"""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Mapping, Sequence

from tenantmig.domain.failure import FailureKind
from tenantmig.domain.outcome import Outcome, TenantOutcome
from tenantmig.rollout.tenant_work import TenantWork


def canary_order(works: Sequence[TenantWork]) -> list[TenantWork]:
    """Order tenants as canaries: those that stand where most stand first.

    Where as many stand in two places, those with the longer path come first.
    """
    standing = Counter(work.path.source for work in works)
    return sorted(works, key=lambda work: (-standing[work.path.source], -len(work.path.revisions)))


def healthy(works: Sequence[TenantWork]) -> list[TenantWork]:
    """Return the tenants that were not in trouble when the run began."""
    return [work for work in works if work.trouble is None]


def in_trouble(works: Sequence[TenantWork]) -> list[TenantWork]:
    """Return the tenants whose latest run failed or left them in doubt."""
    return [work for work in works if work.trouble is not None]


def has_failed(work: TenantWork) -> bool:
    """True when a tenant has failed; one that was only locked is tried again."""
    return work.has_failed and not work.is_deferred and not work.is_arrived


def has_failed_newly(work: TenantWork) -> bool:
    """True when a tenant has failed, and not only as it had failed before this run."""
    failure = work.last.failure if work.last else None
    if failure is None or not has_failed(work):
        return False
    if failure.kind is FailureKind.RUN or work.trouble is None:
        return True
    outcome = Outcome.IN_DOUBT if work.is_in_doubt else Outcome.FAILED
    return not work.trouble.is_again(outcome, failure.sqlstate, failure.message)


def is_unproved(names: Sequence[str], known: Mapping[str, TenantOutcome]) -> bool:
    """True when canaries are named, and none of them is `known` to be at the target."""
    return bool(names) and not any(
        name in known and known[name].outcome.is_at_target for name in names
    )


def describe_failure(work: TenantWork, run: int, others: Sequence[TenantWork]) -> str:
    """Say that a canary failed, and the two ways to go on."""
    name = work.tenant.name
    other = shlex.quote(others[0].tenant.name) if others else "OTHER"
    return (
        f'the canary "{name}" failed; run `tenantmig resume {run} --skip '
        f"{shlex.quote(name)}` without it, or `tenantmig resume {run} --canary {other}` "
        "with another canary"
    )


def describe_locked(run: int, others: Sequence[TenantWork]) -> str:
    """Say that no named canary can be had, and how to go on."""
    other = shlex.quote(others[0].tenant.name) if others else "OTHER"
    return (
        f"other sessions hold the locks of all canaries; run `tenantmig resume {run} "
        f"--canary {other}` with another canary"
    )

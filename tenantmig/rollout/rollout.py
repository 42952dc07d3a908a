"""A rollout: a plan, and how it is to be carried out. Data; `run` carries it out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any

from tenantmig.domain.events import OnEvent, ignore
from tenantmig.domain.outcome import Outcome, TenantOutcome
from tenantmig.domain.plan import Heads, Plan, show_heads
from tenantmig.domain.stop_signal import StopSignal
from tenantmig.domain.tenant import Tenant
from tenantmig.domain.waves import WavePolicy
from tenantmig.engines import Engine
from tenantmig.postgres.retry import RetryPolicy
from tenantmig.rollout.attempts import Backup


@dataclass(frozen=True, slots=True)
class WaveReport:
    """What a gate is told: the wave that ended, and the counts of the run so far."""

    run: int
    wave: int
    counts: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class RolloutOptions:
    """How a run is carried out. Durations are in seconds.

    `gate` is asked between waves, and says why the run should stop, or None. `stored` is kept in
    the ledger for `resume`.
    """

    parallel: int = 1
    retry: RetryPolicy = field(default_factory=RetryPolicy)
    deadline_s: float | None = None
    waves: WavePolicy = field(default_factory=WavePolicy)
    gate: Callable[[WaveReport, StopSignal], str | None] | None = None
    backup: Backup | None = None
    stored: Mapping[str, Any] = field(default_factory=dict)
    onboarding_wait_s: float = 300.0
    on_event: OnEvent = ignore


@dataclass(frozen=True, slots=True)
class Rollout:
    """What is carried out: a plan, and what belongs to its kind of run.

    `undo(tenant)` is called for a tenant that did not arrive, before its outcome is written; if it
    says True, nothing is left. `sweep(known)` plans for tenants that the run does not know yet.
    `check` refuses the run, in the transaction that would write it. `resumed` is a run that an
    earlier driver began, with what it did `before` to each tenant.
    """

    plan: Plan
    open_engine: Callable[[int], AbstractContextManager[Engine]]
    undo: Callable[[Tenant], bool] | None = None
    sweep: Callable[[frozenset[str]], Plan] | None = None
    check: Callable[[], None] | None = None
    resumed: int | None = None
    before: Mapping[str, TenantOutcome] = field(default_factory=dict)


def decided(plan: Plan) -> list[TenantOutcome]:
    """The outcomes that are known before anything is run."""
    stay: list[tuple[Tenant, Heads, Outcome, str | None]]
    stay = [(tenant, heads, Outcome.ALREADY_CURRENT, None) for tenant, heads in plan.at_target]
    stay += [(p.tenant, p.source, Outcome.FAILED, p.message) for p in plan.problems]
    stay += [(p.tenant, p.source, Outcome.SKIPPED, p.message) for p in plan.left_out]
    return [
        TenantOutcome(t.name, t.schema, outcome, show_heads(at), show_heads(at), error=error)
        for t, at, outcome, error in stay
    ]

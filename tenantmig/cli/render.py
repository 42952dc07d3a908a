"""Results as tables and as JSON values."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any

from tenantmig.cli.printing import console, table
from tenantmig.domain.counting import counted
from tenantmig.domain.lineage import Lineage
from tenantmig.domain.outcome import DONE, RunReport, TenantOutcome, UnreadableRun
from tenantmig.domain.plan import RESUMABLE, Plan, RunKind, show_heads

SHOWN = 20


def tenant_json(tenant: TenantOutcome) -> dict[str, Any]:
    """Return what a run did to one tenant."""
    return {
        "tenant": tenant.tenant,
        "outcome": tenant.outcome.value,
        "from": tenant.from_revision,
        "to": tenant.to_revision,
        "engine": tenant.engine,
        "attempts": tenant.attempts,
        "wave": tenant.wave,
        "duration_s": tenant.duration_s,
        "sqlstate": tenant.sqlstate,
        "error": tenant.error,
        "backup": tenant.backup,
    }


def run_json(report: RunReport) -> dict[str, Any]:
    """Return a run's report as the command line promises it."""
    return {
        "run": report.run,
        "kind": report.kind.value,
        "target": report.target,
        "undoes": report.undoes,
        "state": report.state.value,
        "reason": report.reason,
        "started_at": report.started_at.isoformat() if report.started_at else None,
        "duration_s": report.duration_s,
        "counts": report.counts,
        "obstacles": dict(report.obstacles),
        "warnings": [asdict(warned) for warned in report.warnings],
        "lineage": report.lineage.value,
        "shared": run_json(report.shared) if report.shared else None,
        "tenants": [tenant_json(tenant) for tenant in report.tenants],
        "problems": list(report.problems),
    }


def print_run(
    report: RunReport, *, everyone: bool = False, only: Collection[TenantOutcome] | None = None
) -> None:
    """Print a run: the counts, and the tenants that are not at the target (or everyone).

    `only` are the tenants that the table names.
    """
    listed = report.tenants if only is None else only
    out = console()
    if report.shared is not None:
        out.print(_headline(report.shared))
    out.print(_headline(report))
    if everyone and listed:
        names = ("tenant", "outcome", "from", "to", "engine", "tries", "seconds")
        rows = (_run_row(tenant) for tenant in listed)
        out.print(table(names, rows, folds=("tenant", "from", "to")))
    if everyone and only is None:
        _print_obstacles(report.obstacles)
    for one in report.warnings:
        out.print(
            f"warning [{one.sqlstate}] in revision {one.revision}, "
            f"{counted(one.tenants, 'tenant')} (for example {one.example}): {one.message}"
        )
    for problem in report.problems:
        out.print(problem)
    failed = [tenant for tenant in report.tenants if not tenant.outcome.is_at_target]
    for tenant in failed if everyone else failed[:SHOWN]:
        out.print(failure_line(tenant))
    if not everyone and len(failed) > SHOWN:
        out.print(f"... and {len(failed) - SHOWN} more: tenantmig show {report.run}")
    if failed and report.lineage is Lineage.SHARED and report.kind is RunKind.UPGRADE:
        out.print(
            "Fix the errors above, then run: tenantmig upgrade (the tenants come after the "
            "shared lineage)"
        )
    elif failed and report.kind in RESUMABLE:
        out.print(f"Fix the errors above, then run: tenantmig resume {report.run}")


def _print_obstacles(obstacles: Mapping[str, str]) -> None:
    """Say which revisions go through Alembic for each tenant, and why."""
    if obstacles:
        console().print(table(("not replayed", "because"), obstacles.items()))


def _run_row(tenant: TenantOutcome) -> tuple[object, ...]:
    return (
        tenant.tenant,
        tenant.outcome.value,
        tenant.from_revision or "base",
        tenant.to_revision or "base",
        tenant.engine,
        tenant.attempts,
        f"{tenant.duration_s:.2f}",
    )


def show_time(time: datetime | None) -> str:
    """Write a moment for people, on one line and in one width."""
    return time.strftime("%Y-%m-%d %H:%M:%S") if time else ""


def failure_line(tenant: TenantOutcome) -> str:
    """Write one line on a tenant that is not at the target: where it stands, and why."""
    state = f" [{tenant.sqlstate}]" if tenant.sqlstate else ""
    reason = f": {tenant.error}" if tenant.error else ""
    return f"{tenant.tenant}: {tenant.outcome} at {tenant.to_revision or 'base'}{state}{reason}"


def undertaking(kind: RunKind, target: str, lineage: Lineage = Lineage.TENANT) -> str:
    """Write what a run does: "upgrade to 0015", "rollback of run 7", "offboard"."""
    if kind is RunKind.OFFBOARD:
        return kind.value
    if kind is RunKind.ROLLBACK:
        return f"{kind} of {target}"
    what = f"{kind} of the shared lineage" if lineage is Lineage.SHARED else kind.value
    return f"{what} to {target}"


def _headline(report: RunReport) -> str:
    counts = ", ".join(f"{n} {outcome}" for outcome, n in report.counts.items()) or "no tenants"
    reason = f" ({report.reason})" if report.reason else ""
    return (
        f"Run {report.run}, {undertaking(report.kind, report.target, report.lineage)}:"
        f" {report.state}{reason};"
        f" {counts}; {report.duration_s:.1f} s"
    )


def print_runs(reports: Sequence[RunReport], unreadable: Sequence[UnreadableRun] = ()) -> None:
    """Print a list of runs, and why others are not in it."""
    rows = [
        (
            r.run,
            r.kind.value,
            r.target,
            r.state.value,
            show_time(r.started_at),
            f"{r.duration_s:.1f}",
        )
        for r in reports
    ]
    names = ("run", "kind", "target", "state", "started", "seconds")
    if rows or not unreadable:
        console().print(table(names, rows, folds=("target",)) if rows else "There is no run yet.")
    for report in reports:
        if report.reason:
            console().print(f"run {report.run}: {report.reason}")
    for run in unreadable:
        console().print(run.problem)


def plan_json(plan: Plan) -> dict[str, Any]:
    """Return a plan as JSON."""
    return {
        "kind": plan.kind.value,
        "target": plan.target,
        "pending": plan.pending,
        "at_target": len(plan.at_target),
        "nobody": plan.nobody,
        "lineage": plan.lineage.value,
        "shared": plan_json(plan.shared) if plan.shared else None,
        "obstacles": dict(plan.obstacles),
        "ways": [
            {
                "revision": way.revision,
                "engine": "replay" if way.is_replayed else "alembic",
                "process": "own" if way.is_isolated else "shared",
                "reason": way.reason,
            }
            for way in plan.ways
        ],
        "groups": [
            {
                "from": show_heads(group.path.source),
                "to": show_heads(group.path.target),
                "revisions": list(group.path.revisions),
                "tenants": [tenant.name for tenant in group.tenants],
            }
            for group in plan.groups
        ],
        "problems": [
            {"tenant": p.tenant.name, "error": p.message, "ahead": p.is_ahead}
            for p in plan.problems
        ],
        "left_out": [{"tenant": p.tenant.name, "error": p.message} for p in plan.left_out],
    }


def print_plan(plan: Plan) -> None:
    """Print what a run would do, by starting revision."""
    if plan.shared is not None:
        print_plan(plan.shared)
    out = console()
    undertaken = undertaking(plan.kind, plan.target, plan.lineage).capitalize()
    done = DONE[plan.moves].value
    if plan.nobody:
        out.print(plan.nobody)
    out.print(
        f"{undertaken}: {counted(plan.pending, 'tenant')} to change,"
        f" {len(plan.at_target)} at the target"
        + (f", {len(plan.left_out)} skipped" if plan.left_out else "")
        + (f"; {counted(len(plan.problems), 'tenant')} cannot be {done}" if plan.problems else "")
    )
    rows = [
        (
            show_heads(group.path.source) or "base",
            show_heads(group.path.target) or "base",
            len(group.tenants),
            " ".join(group.path.revisions),
        )
        for group in plan.groups
    ]
    if rows:
        out.print(table(("from", "to", "tenants", "revisions"), rows))
    _print_obstacles(plan.obstacles)
    refused = [*plan.problems, *plan.left_out]
    if refused:
        problems = [(p.tenant.name, p.message) for p in refused[:SHOWN]]
        out.print(table(("tenant", "problem"), problems))

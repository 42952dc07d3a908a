"""The fleet's status, and one tenant's life, as text and as JSON values."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from tenantmig.cli.printing import console, table
from tenantmig.cli.render import SHOWN, run_json, show_time, tenant_json, undertaking
from tenantmig.domain.counting import counted
from tenantmig.domain.outcome import RunReport, TenantRun, UnreadableRun
from tenantmig.fleet.status import FleetStatus, Standing, TenantLife, TenantStatus

NAMED = 10  # tenants behind that are named
RARE = frozenset({Standing.AHEAD.value, Standing.UNKNOWN.value})
"""Standings that are told of only if a tenant has them."""


def status_json(status: FleetStatus, *, only_behind: bool = False) -> dict[str, Any]:
    """Return the fleet's status as the command line promises it."""
    return {
        "head": status.head,
        "summary": status.summary,
        "nobody": status.nobody,
        "unborn": list(status.unborn),
        "shared": status_json(status.shared) if status.shared else None,
        "env_problem": status.env_problem,
        "tenants": [_tenant_json(s) for s in (status.behind if only_behind else status.tenants)],
    }


def _tenant_json(s: TenantStatus) -> dict[str, Any]:
    return {
        "tenant": s.tenant.name,
        "schema": s.tenant.schema,
        "database": s.tenant.database,
        "revision": s.revision,
        "state": s.tenant.state.value,
        "pending": s.pending,
        "standing": s.standing.value,
        "problem": s.problem,
    }


def print_status(status: FleetStatus, *, all_behind: bool = False) -> None:
    """Print how many tenants are at each revision, who is behind, and who needs attention."""
    out = console()
    tenants, *stands = status.summary.items()
    kept = [(name, n) for name, n in stands if n or name not in RARE]
    told = [counted(tenants[1], "tenant"), *(f"{n} {_words(name)}" for name, n in kept)]
    if status.shared is not None:
        _print_shared(status.shared)
    out.print(f"Head {status.head}: {', '.join(told)}")
    if status.nobody:
        out.print(status.nobody)
    if status.unborn:
        left = len(status.unborn) - NAMED
        more = f" and {left} more" if left > 0 else ""
        names = f"{', '.join(status.unborn[:NAMED])}{more}"
        out.print(f"Listed but not onboarded yet (`tenantmig onboard NAME`): {names}")
    counts = [
        (revision or "base", count, "head" if revision == status.head else "")
        for revision, count in status.by_revision.items()
    ]
    if counts:
        out.print(table(("revision", "tenants", ""), counts))
    _print_behind(status.behind, everyone=all_behind)
    troubled = [s for s in status.tenants if s.standing not in {Standing.AT_HEAD, Standing.BEHIND}]
    for found in troubled[:SHOWN]:
        where = f"{found.tenant.name}: {_standing(found)}"
        out.print(f"{where}: {found.problem}" if found.problem else where)
    if len(troubled) > SHOWN:
        out.print(f"... and {len(troubled) - SHOWN} more: tenantmig status --json")


def print_env_problem(status: FleetStatus) -> None:
    """Print what is wrong with env.py: where tenants stand is known all the same."""
    if status.env_problem:
        console().print(f"No run can begin: {status.env_problem}")


def _print_behind(behind: Sequence[TenantStatus], *, everyone: bool) -> None:
    """Name those behind: the first ten on a line, or all with where each is."""
    out = console()
    if everyone and behind:
        rows = ((s.tenant.name, s.shown_revision, s.pending, _words(s.standing)) for s in behind)
        out.print(table(("behind", "revision", "pending", "standing"), rows))
    elif behind:
        names = ", ".join(s.tenant.name for s in behind[:NAMED])
        left = len(behind) - NAMED
        more = f" and {left} more: tenantmig status --behind" if left > 0 else ""
        out.print(f"Behind: {names}{more}")


def _print_shared(status: FleetStatus) -> None:
    for found in status.tenants:
        line = f"Shared lineage, head {status.head}: {_standing(found)}"
        console().print(f"{line}: {found.problem}" if found.problem else line)


def _standing(found: TenantStatus) -> str:
    """Write how a tenant stands, and where: "failed at r2", "revision unknown"."""
    if not found.is_known and found.standing is Standing.UNKNOWN:
        return "revision unknown"
    return f"{_words(found.standing.value)} at {found.shown_revision}"


def _words(key: str) -> str:
    """Write a key of JSON for people: "at head"."""
    return key.replace("_", " ")


def life_json(life: TenantLife, runs: Collection[TenantRun]) -> dict[str, Any]:
    """Return one tenant: how it stands, and what each of these runs did to it."""
    status = _tenant_json(life.status) if life.status else None
    return {"tenant": life.name, "status": status, "runs": runs_json(runs)}


def runs_json(runs: Collection[TenantRun]) -> list[dict[str, Any]]:
    """Return what each of these runs did to a tenant."""
    return [_life_json(one) for one in runs]


def _life_json(one: TenantRun) -> dict[str, Any]:
    if isinstance(one.run, UnreadableRun):
        return {"run": one.run.run, "problem": one.run.problem} | _did(one)
    told = run_json(one.run)
    kept = ("run", "kind", "target", "state", "reason", "started_at", "lineage")
    return {key: told[key] for key in kept} | _did(one)


def _did(one: TenantRun) -> dict[str, Any]:
    return {key: value for key, value in tenant_json(one.outcome).items() if key != "tenant"}


def print_life(life: TenantLife, runs: Sequence[TenantRun]) -> None:
    """Print how one tenant stands, and what each of these runs did to it, newest first."""
    out, found = console(), life.status
    if found is None:
        out.print(f"{life.name}: this tenant no longer exists")
    else:
        tenant = found.tenant
        labels = "".join(f", {key}={value}" for key, value in tenant.labels.items())
        out.print(f'{tenant.name}: schema "{tenant.schema}", {tenant.state.value}{labels}')
        pending = f", {counted(found.pending, 'revision')} pending" if found.pending else ""
        problem = f": {found.problem}" if found.problem else ""
        out.print(f"{_standing(found)}{pending}{problem}")
    rows = [_life_row(one) for one in runs]
    names = ("run", "what", "started", "outcome", "from", "to", "tries")
    out.print(
        table(names, rows, folds=("what", "from", "to")) if rows else "No run included this tenant."
    )
    for one in runs:
        run, reason = one.run, one.outcome.error
        if isinstance(run, UnreadableRun):
            out.print(run.problem)
        elif reason:
            state = f" [{one.outcome.sqlstate}]" if one.outcome.sqlstate else ""
            out.print(f"run {run.run}: {one.outcome.outcome}{state}: {reason}")


def _life_row(one: TenantRun) -> tuple[object, ...]:
    run, did, what, started = one.run, one.outcome, "", ""
    if isinstance(run, RunReport):
        what = undertaking(run.kind, run.target, run.lineage)
        started = show_time(run.started_at)
    return (
        run.run,
        what,
        started,
        did.outcome.value,
        did.from_revision or "base",
        did.to_revision or "base",
        did.attempts,
    )

"""Planning a rollback: each tenant that a run moved goes back to where it stood before.

Works from the record of that run; knows nothing of other ways to choose tenants or a target.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from tenantmig.domain.plan import Plan, RunKind, show_heads
from tenantmig.domain.tenant import Tenant
from tenantmig.errors import SelectionError
from tenantmig.history.heads import read_heads
from tenantmig.history.revisions import History
from tenantmig.ledger.run_rows import RunRecord
from tenantmig.ledger.tenant_rows import TenantRecord
from tenantmig.postgres.version import Version
from tenantmig.postgres.version_table import ReadVersions
from tenantmig.rollout.planner import Planner

UNDONE_BY: Mapping[RunKind, RunKind] = {
    RunKind.UPGRADE: RunKind.DOWNGRADE,
    RunKind.DOWNGRADE: RunKind.UPGRADE,
    RunKind.STAMP: RunKind.STAMP,
}


def plan_rollback(
    read: ReadVersions,
    history: History,
    record: RunRecord,
    fleet: Iterable[Tenant],
    replaced: Mapping[str, str],
) -> Plan:
    """Plan to bring each tenant that a run moved back to where it stood before, and no other.

    A tenant that was moved on since, or `replaced` by a later run (onboarded anew, restored), is a
    problem of its own.

    Raises:
        SelectionError: the run cannot be undone, or moved nobody.
    """
    run, moves = record.report.run, UNDONE_BY.get(record.direction)
    if moves is None:
        born = " To drop the tenants that it created: `tenantmig offboard NAME --yes`."
        raise SelectionError(
            f"Run {run} is of kind {record.direction}. Only an upgrade, a downgrade, a "
            "stamp or a rollback can be rolled "
            f"back.{born if record.direction is RunKind.ONBOARD else ''}"
        )
    moved = [
        r for r in record.tenants if r.problem or r.outcome.to_revision != r.outcome.from_revision
    ]
    if not moved:
        raise SelectionError(f"Run {run} changed no tenant; there is nothing to roll back.")
    planner = Planner(history, moves)
    for tenant, version, known in stand(read, moved, fleet, planner):
        undo(planner, tenant, version, known, run, replaced.get(tenant.name))
    facts = {"undoes": run} | facts_of(record)
    return planner.plan(RunKind.ROLLBACK, f"run {run}", **facts)


def undo(
    planner: Planner,
    tenant: Tenant,
    version: Version,
    known: TenantRecord,
    run: int | None,
    replaced: str | None,
) -> None:
    """Plan to bring a tenant from where a run left it to where that run found it."""
    before, after = known.outcome.from_revision, known.outcome.to_revision
    stands = show_heads(version.heads)
    if known.problem:
        planner.refuse(tenant, known.problem, version.heads)
    elif replaced:
        planner.refuse(
            tenant,
            f"{replaced} replaced this tenant after run {run}; use `tenantmig downgrade` if "
            "you want to downgrade the new one",
            version.heads,
        )
    elif version.problem is None and stands == before:
        planner.arrived(tenant, version.heads)
    elif version.problem is None and stands != after:
        planner.refuse(
            tenant,
            f"it is at {stands or 'base'}, not at {after or 'base'}, where run {run} left "
            "it; first roll back the later run that moved it",
            version.heads,
        )
    else:
        planner.add(tenant, version, read_heads(before))


def facts_of(record: RunRecord) -> dict[str, Any]:
    """Return what a plan takes over from the run as a whole."""
    return {"is_fleetwide": record.is_fleetwide, "lineage": record.report.lineage}


def stand(
    read: ReadVersions,
    records: Sequence[TenantRecord],
    fleet: Iterable[Tenant],
    planner: Planner,
) -> Iterable[tuple[Tenant, Version, TenantRecord]]:
    """Find a run's tenants in the fleet, and where they stand."""
    named = {tenant.name: tenant for tenant in fleet}
    versions = read([record.outcome.schema for record in records])
    for record in records:
        name, schema = record.outcome.tenant, record.outcome.schema
        tenant = named.get(name)
        if record.problem:
            planner.refuse(tenant or Tenant(name, schema), record.problem)
        elif tenant is None and planner.moves is RunKind.OFFBOARD:
            planner.arrived(Tenant(name, schema), ())
        elif tenant is None or tenant.schema != schema:
            planner.refuse(Tenant(name, schema), "this tenant no longer exists")
        else:
            yield tenant, versions[schema], record

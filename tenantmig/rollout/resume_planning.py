"""Planning to resume: the tenants of a run that are not at its target go on to it.

Works from the record of that run, and of the one that it undoes; chooses no other tenants.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from tenantmig.domain.plan import Plan, RunKind
from tenantmig.domain.tenant import Selection, Tenant
from tenantmig.history.heads import read_heads
from tenantmig.history.revisions import History
from tenantmig.ledger.run_rows import RunRecord
from tenantmig.ledger.tenant_rows import TenantRecord
from tenantmig.postgres.version_table import ReadVersions
from tenantmig.rollout.planner import Planner
from tenantmig.rollout.rollback_planning import facts_of, stand, undo


def plan_resumption(
    read: ReadVersions,
    history: History,
    record: RunRecord,
    fleet: Iterable[Tenant],
    undone: RunRecord | None = None,
    replaced: Mapping[str, str] | None = None,
    skip: Sequence[str] = (),
) -> Plan:
    """Plan to bring the tenants of a run that are not at its target there, but for `skip`.

    A relative target counts from where the tenant stood when the run began. For a rollback,
    `undone` is the run that it undoes, and `replaced` are tenants that are no longer that run's.

    Raises:
        UnknownTenantError: the run has no such tenant to skip.
    """
    rest = [t for t in _not_skipped(record, skip) if not t.outcome.outcome.is_at_target]
    report = record.report
    planner = Planner(history, record.direction)
    for tenant, version, known in stand(read, rest, fleet, planner):
        if known.destination is None and undone is not None:  # it was refused before
            rows = (r for r in undone.tenants if r.outcome.tenant == tenant.name)
            before = next(rows, None)
            again = (replaced or {}).get(tenant.name)
            if before is None:
                planner.refuse(
                    tenant, f"the ledger has no row of run {undone.report.run} for this tenant"
                )
            else:
                undo(planner, tenant, version, before, undone.report.run, again)
        elif report.kind is RunKind.ROLLBACK and known.destination is not None:
            planner.add(tenant, version, read_heads(known.destination))
        else:
            planner.add(tenant, version, known.destination or report.target)
    facts = {"undoes": report.undoes} | facts_of(record)
    return planner.plan(report.kind, report.target, **facts)


def _not_skipped(record: RunRecord, skip: Sequence[str]) -> list[TenantRecord]:
    tenants = [Tenant(known.outcome.tenant, known.outcome.schema) for known in record.tenants]
    kept = Selection(is_all=True, skip=tuple(skip)).select(tenants)
    names = {tenant.name for tenant in kept}
    return [known for known in record.tenants if known.outcome.tenant in names]

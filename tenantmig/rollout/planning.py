"""Planning: what a run would do to each selected tenant. Changes nothing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from tenantmig.domain.plan import (
    Heads,
    Leg,
    Path,
    Plan,
    PlanGroup,
    Problem,
    RunKind,
    Way,
    show_heads,
)
from tenantmig.domain.tenant import Selection, Tenant
from tenantmig.errors import SelectionError, UnknownRevisionError, sentence_of
from tenantmig.history.heads import read_heads
from tenantmig.history.revisions import History
from tenantmig.ledger.records import RunRecord, TenantRecord
from tenantmig.postgres.version_table import ReadVersions, Version

UNDONE_BY: Mapping[RunKind, RunKind] = {
    RunKind.UPGRADE: RunKind.DOWNGRADE,
    RunKind.DOWNGRADE: RunKind.UPGRADE,
    RunKind.STAMP: RunKind.STAMP,
}

RELATIVE = ((RunKind.DOWNGRADE, "-"), (RunKind.UPGRADE, "+"))


class _Planner:
    """Sorts tenants into groups with the same path, those that are there, and problems."""

    def __init__(self, history: History, moves: RunKind) -> None:
        self.history = history
        self.moves = moves
        self._groups: dict[Path, list[Tenant]] = {}
        self._paths: dict[tuple[Heads, str | Heads], Path] = {}
        self._at_target: list[tuple[Tenant, Heads]] = []
        self._problems: list[Problem] = []

    def refuse(self, tenant: Tenant, message: str, heads: Heads = (), **facts: Any) -> None:
        """A tenant cannot be brought along; `facts` are those of `Problem`."""
        self._problems.append(Problem(tenant, message, heads, **facts))

    def add(self, tenant: Tenant, version: Version, destination: str | Heads) -> None:
        """Find a tenant's way to a target, in Alembic's words, or to exactly these heads."""
        try:
            self._check(tenant, version)
            path = self._path(version.heads, destination)
        except Exception as error:  # noqa: BLE001  what is wrong with one ends nothing for others
            self._refuse_for(error, tenant, version, destination)
            return
        if path.is_empty and self.moves not in {RunKind.STAMP, RunKind.OFFBOARD}:
            self._at_target.append((tenant, version.heads))
        else:
            self._groups.setdefault(path, []).append(tenant)

    def arrived(self, tenant: Tenant, heads: Heads) -> None:
        """A tenant is where it should be."""
        self._at_target.append((tenant, heads))

    def _refuse_for(
        self, error: Exception, tenant: Tenant, version: Version, destination: str | Heads
    ) -> None:
        is_known = not (tenant.problem or version.problem)
        is_relative = (self.moves, destination[:1]) in RELATIVE
        self.refuse(
            tenant,
            sentence_of(error),
            version.heads,
            is_forbidden=version.is_forbidden and not tenant.problem,
            is_known=is_known,
            unknown=self.history.unknown(version.heads) if is_known else (),
            is_beyond=is_relative and isinstance(error, UnknownRevisionError),
        )

    def _check(self, tenant: Tenant, version: Version) -> None:
        problem = tenant.problem
        if self.moves is RunKind.STAMP:
            forbidden = version.problem if version.forbids_stamp else None
            problem = problem or tenant.unfinished or forbidden
        elif self.moves is not RunKind.OFFBOARD:
            # the next `onboard` would drop what a run did
            problem = problem or tenant.unfinished or version.problem
            if not problem:
                self.history.check_heads(version.heads)
        if problem:
            raise SelectionError(problem)

    def _path(self, heads: Heads, destination: str | Heads) -> Path:
        key = heads, destination
        if key not in self._paths:
            if not isinstance(destination, str):
                self._paths[key] = self.history.exact_path(self.moves, heads, destination)
            elif self.moves is RunKind.STAMP:
                self._paths[key] = self.history.stamp_path(heads, destination)
            elif self.moves is RunKind.OFFBOARD:
                self._paths[key] = Path(heads, (), (), "base")
            else:
                self._paths[key] = self.history.path(self.moves, heads, destination)
        return self._paths[key]

    def plan(self, kind: RunKind, target: str, **facts: Any) -> Plan:
        """Return the plan."""
        groups = []
        for path, tenants in sorted(self._groups.items(), key=lambda item: item[0].source):
            try:
                groups.append(PlanGroup(path, tuple(tenants), self._legs(path)))
            except Exception as error:  # noqa: BLE001  the others' paths may be sound
                for tenant in tenants:
                    self.refuse(tenant, sentence_of(error), path.source)
        direction = self.moves if self.moves is not kind else None
        current, problems = tuple(self._at_target), tuple(self._problems)
        return Plan(kind, target, tuple(groups), current, problems, direction=direction, **facts)

    def _legs(self, path: Path) -> tuple[Leg, ...]:
        if self.moves in {RunKind.UPGRADE, RunKind.DOWNGRADE}:
            return self.history.legs(self.moves, path)
        return (Leg(path),)


def plan_rollout(
    read: ReadVersions,
    history: History,
    kind: RunKind,
    target: str,
    tenants: Sequence[Tenant],
    **facts: Any,
) -> Plan:
    """Group the tenants by where they stand and find each group's path to `target`.

    For upgrade, downgrade, stamp and offboard. A tenant whose version cannot be trusted, or from
    which no path leads there, is a problem of its own and does not keep the others. `facts` are
    told of the plan as a whole.

    Raises:
        UnknownRevisionError, HistoryError: the target itself is unusable.
    """
    resolved = "base" if kind is RunKind.OFFBOARD else history.target(target, kind)
    versions = read([tenant.schema for tenant in tenants])
    planner = _Planner(history, kind)
    for tenant in tenants:
        planner.add(tenant, versions[tenant.schema], resolved)
    return planner.plan(kind, resolved, **facts)


def plan_onboarding(
    history: History, target: str, tenants: Sequence[Tenant], birth: str = ""
) -> Plan:
    """Plan to bring new tenants from nothing to `target`; or the function `birth` makes them there.

    Raises:
        SelectionError: `birth` does not make what stands at `target`.
    """
    resolved = history.target(target)
    if birth:
        heads = history.stamp_path((), resolved).target
        if heads != history.heads or not heads:  # without a revision nothing could be stamped
            raise SelectionError(
                f"The setting `birth` ({birth}) makes tenants at head, and not at {resolved};"
                " onboard them without --to. Nothing was touched."
            )
        made = Path((), heads, (), resolved)
        return Plan(RunKind.ONBOARD, resolved, (PlanGroup(made, tuple(tenants)),))
    path = history.path(RunKind.UPGRADE, (), resolved)
    return Plan(RunKind.ONBOARD, resolved, (PlanGroup(path, tuple(tenants)),))


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
        born = " To drop the tenants that it made: `tenantmig offboard NAME --yes`."
        raise SelectionError(
            f"Run {run} is of kind {record.direction}; only an upgrade, a downgrade, a stamp or a"
            f" rollback can be rolled back.{born if record.direction is RunKind.ONBOARD else ''}"
        )
    moved = [
        r for r in record.tenants if r.problem or r.outcome.to_revision != r.outcome.from_revision
    ]
    if not moved:
        raise SelectionError(f"Run {run} moved no tenant; there is nothing to roll back.")
    planner = _Planner(history, moves)
    for tenant, version, known in _stand(read, moved, fleet, planner):
        _undo(planner, tenant, version, known, run, replaced.get(tenant.name))
    facts = {"undoes": run} | _of(record)
    return planner.plan(RunKind.ROLLBACK, f"run {run}", **facts)


def _undo(
    planner: _Planner,
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
            f"{replaced} put another in its place since run {run};"
            " downgrade it by name if you mean it",
            version.heads,
        )
    elif version.problem is None and stands == before:
        planner.arrived(tenant, version.heads)
    elif version.problem is None and stands != after:
        planner.refuse(
            tenant,
            f"it stands at {stands or 'base'} and not at {after or 'base'}, where run {run}"
            " left it; roll back what moved it since, first",
            version.heads,
        )
    else:
        planner.add(tenant, version, read_heads(before))


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
    planner = _Planner(history, record.direction)
    for tenant, version, known in _stand(read, rest, fleet, planner):
        if known.destination is None and undone is not None:  # it was refused before
            rows = (r for r in undone.tenants if r.outcome.tenant == tenant.name)
            before = next(rows, None)
            again = (replaced or {}).get(tenant.name)
            if before is None:
                planner.refuse(tenant, f"run {undone.report.run} has no row for it in the ledger")
            else:
                _undo(planner, tenant, version, before, undone.report.run, again)
        elif report.kind is RunKind.ROLLBACK and known.destination is not None:
            planner.add(tenant, version, read_heads(known.destination))
        else:
            planner.add(tenant, version, known.destination or report.target)
    facts = {"undoes": report.undoes} | _of(record)
    return planner.plan(report.kind, report.target, **facts)


def _not_skipped(record: RunRecord, skip: Sequence[str]) -> list[TenantRecord]:
    tenants = [Tenant(known.outcome.tenant, known.outcome.schema) for known in record.tenants]
    kept = Selection(is_all=True, skip=tuple(skip)).select(tenants)
    names = {tenant.name for tenant in kept}
    return [known for known in record.tenants if known.outcome.tenant in names]


def _of(record: RunRecord) -> dict[str, Any]:
    return {"is_fleetwide": record.is_fleetwide, "lineage": record.report.lineage}


def _stand(
    read: ReadVersions,
    records: Sequence[TenantRecord],
    fleet: Iterable[Tenant],
    planner: _Planner,
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
            planner.refuse(Tenant(name, schema), "there is no such tenant any more")
        else:
            yield tenant, versions[schema], record


def show_ways(history: History, plan: Plan, known: Mapping[str, str]) -> Plan:
    """Say of each revision of a plan which way it goes, and why; `known` is from earlier runs.

    About those that nothing keeps from being replayed two tenants decide, when they run.
    """
    kind, ways = plan.moves, []
    passed = dict.fromkeys(revision for group in plan.groups for revision in group.path.revisions)
    for revision in passed:
        reason = history.obstacle(revision, kind) or known.get(revision)
        is_isolated = history.proofs.why_isolated(kind, [revision]) is not None
        ways.append(Way(revision, reason is None, reason is not None and is_isolated, reason))
    obstacles = {way.revision: way.reason for way in ways if way.reason}
    return replace(plan, obstacles=obstacles, ways=tuple(ways))

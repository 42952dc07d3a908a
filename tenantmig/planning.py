"""Planning: what a run would do to each selected tenant. Changes nothing."""

from __future__ import annotations

from collections.abc import Sequence

import psycopg

from tenantmig.errors import TenantmigError
from tenantmig.plan import Heads, Path, Plan, PlanGroup, Problem, RunKind
from tenantmig.revisions import History
from tenantmig.tenant import UNFINISHED, Tenant
from tenantmig.version_table import Version, read_versions


def plan_rollout(
    connection: psycopg.Connection,
    history: History,
    kind: RunKind,
    target: str,
    tenants: Sequence[Tenant],
    version_table: str,
) -> Plan:
    """Group the tenants by where they stand and find each group's path to `target`.

    A tenant whose version cannot be trusted, or from which no path leads there, is a problem of
    its own and does not keep the others.

    Raises:
        UnknownRevisionError, HistoryError: the target itself is unusable.
    """
    resolved = history.target(target, kind)
    versions = read_versions(connection, [tenant.schema for tenant in tenants], version_table)
    groups: dict[Heads, list[Tenant]] = {}
    problems = []
    for tenant in tenants:
        problem = _unfinished(tenant) or _problem(history, versions[tenant.schema])
        if problem:
            problems.append(Problem(tenant, problem, versions[tenant.schema].heads))
        else:
            groups.setdefault(versions[tenant.schema].heads, []).append(tenant)
    paths: list[PlanGroup] = []
    current: list[tuple[Tenant, Heads]] = []
    for heads, members in sorted(groups.items()):
        try:
            path = history.path(kind, heads, resolved)
        except TenantmigError as error:
            problems += [Problem(tenant, error.message, heads) for tenant in members]
            continue
        if path.is_empty:
            current += [(tenant, heads) for tenant in members]
        else:
            paths.append(PlanGroup(path, tuple(members)))
    return Plan(kind, resolved, tuple(paths), tuple(current), tuple(problems))


def plan_stamp(
    connection: psycopg.Connection,
    history: History,
    target: str,
    tenants: Sequence[Tenant],
    version_table: str,
) -> Plan:
    """Plan to write `target` into the version table of each tenant, whatever stands there now."""
    resolved = history.target(target, RunKind.STAMP)
    versions = read_versions(connection, [tenant.schema for tenant in tenants], version_table)
    groups: dict[Heads, list[Tenant]] = {}
    problems = []
    for tenant in tenants:
        version = versions[tenant.schema]
        problem = _unfinished(tenant)
        if problem or version.is_schema_missing:
            problems.append(Problem(tenant, problem or str(version.problem)))
        else:
            groups.setdefault(version.heads, []).append(tenant)
    paths = tuple(
        PlanGroup(history.stamp_path(heads, resolved), tuple(members))
        for heads, members in sorted(groups.items())
    )
    return Plan(RunKind.STAMP, resolved, paths, problems=tuple(problems))


def plan_onboarding(history: History, target: str, tenants: Sequence[Tenant]) -> Plan:
    """Plan to bring new tenants from nothing to `target`."""
    resolved = history.target(target)
    path = history.path(RunKind.UPGRADE, (), resolved)
    return Plan(RunKind.ONBOARD, resolved, (PlanGroup(path, tuple(tenants)),))


def plan_offboarding(
    connection: psycopg.Connection, tenants: Sequence[Tenant], version_table: str
) -> Plan:
    """Plan to drop tenants from wherever they stand."""
    versions = read_versions(connection, [tenant.schema for tenant in tenants], version_table)
    groups: dict[Heads, list[Tenant]] = {}
    for tenant in tenants:
        groups.setdefault(versions[tenant.schema].heads, []).append(tenant)
    paths = tuple(
        PlanGroup(Path(heads, (), (), "base"), tuple(members))
        for heads, members in sorted(groups.items())
    )
    return Plan(RunKind.OFFBOARD, "base", paths)


def _unfinished(tenant: Tenant) -> str | None:
    """A tenant that is being born or dropped: the next `onboard` would drop what a run did."""
    if tenant.state in UNFINISHED:
        return f"its {tenant.state} was cut off; run `tenantmig {tenant.state.verb}` for it again"
    return None


def _problem(history: History, version: Version) -> str | None:
    if version.problem:
        return version.problem
    try:
        history.check_heads(version.heads)
    except TenantmigError as error:
        return error.message
    return None

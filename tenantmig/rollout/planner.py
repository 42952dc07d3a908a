"""The planner: sorts tenants into those with the same path, those that are there, and problems.

Knows a history and where each tenant stands; of runs and the ledger it knows nothing.
"""

from __future__ import annotations

from typing import Any

from tenantmig.domain.plan import Heads, Leg, Path, Plan, PlanGroup, Problem, RunKind
from tenantmig.domain.tenant import Tenant
from tenantmig.errors import SelectionError, UnknownRevisionError, sentence_of
from tenantmig.history.revisions import History
from tenantmig.postgres.version import Version

RELATIVE = ((RunKind.DOWNGRADE, "-"), (RunKind.UPGRADE, "+"))


class Planner:
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

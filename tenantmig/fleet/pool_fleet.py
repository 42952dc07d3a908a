"""The pool of a fleet, as an application asks for it; see `Fleet`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import psycopg

from tenantmig.domain.events import RunFinished, RunStarted
from tenantmig.domain.outcome import RunReport
from tenantmig.domain.plan import Plan, RunKind
from tenantmig.domain.tenant import Tenant
from tenantmig.errors import SelectionError, TenantNameError, UnknownRevisionError
from tenantmig.fleet.kept_connections import KeptConnections
from tenantmig.fleet.reader import DEFAULT, FleetReader
from tenantmig.fleet.run_options import RunOptions
from tenantmig.postgres.connection import BoundedConnection, connect
from tenantmig.rollout import planning
from tenantmig.settings import Settings

if TYPE_CHECKING:
    from tenantmig.fleet.pooling import PoolReport


class PoolFleet(FleetReader):
    """A fleet, and the finished schemas that wait for its next tenants."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self._connections = KeptConnections(lambda: connect(self._driver.session_options))
        self._histories: set[str] = set()

    def pool(self) -> PoolReport:
        """Return the members of the pool, and why one is not given out."""
        from tenantmig.fleet import pooling

        return pooling.show(self._driver)

    def fill_pool(self, options: RunOptions = DEFAULT) -> PoolReport:
        """Create the members that the pool lacks, and drop those that cannot be given out.

        Idempotent: yes. If another session is filling it, nothing is done, and the report says so.
        """
        from tenantmig.fleet import pooling

        return pooling.fill(self._driver, options)

    def drain_pool(self) -> PoolReport:
        """Drop every member of the pool that no sign-up holds.

        Raises:
            FleetBusyError: another session is filling it; nothing was touched.
        """
        from tenantmig.fleet import pooling

        return pooling.drain(self._driver)

    def _take_from_pool(
        self, tenants: Sequence[Tenant | str], to: str, options: RunOptions
    ) -> RunReport | None:
        """Give a member of the pool to the one new tenant; None if an ordinary birth is needed.

        What is wrong with the tenant is found by the ordinary birth too, and told there.
        """
        if not self._may_take(tenants, options):
            return None
        try:
            tenant = self._only(tenants)
            plan = planning.plan_onboarding(self.history, to, [tenant])
            if self.settings.source != "registry" or self.settings.names != "strict":
                plan = self.plan_onboarding([tenant], to)
                tenant = plan.groups[0].tenants[0]
        except (SelectionError, TenantNameError, UnknownRevisionError):
            return None
        if plan.groups[0].path.target != self.history.heads:
            return None
        report = self._claim(tenant, plan)
        if report is not None:
            options.on_event(RunStarted(report.run or 0, RunKind.ONBOARD, report.target, 1, 1, 1))
            options.on_event(RunFinished(report))
        return report

    def _may_take(self, tenants: Sequence[Tenant | str], options: RunOptions) -> bool:
        settings = self.settings
        is_fixed = not settings.birth and "{" not in settings.onboard_owner
        return bool(settings.pool and options.use_pool and len(tenants) == 1 and is_fixed)

    def _only(self, tenants: Sequence[Tenant | str]) -> Tenant:
        given = tenants[0]
        name, schema = (given, "") if isinstance(given, str) else (given.name, given.schema)
        labels = {} if isinstance(given, str) else given.labels
        rules = self.settings.name_rules
        rules.check(name)
        return Tenant(name, rules.check(schema or name, "tenant schema"), labels=labels)

    def _claim(self, tenant: Tenant, plan: Plan) -> RunReport | None:
        """Claim a member over a kept connection, and once more over a new one if that was lost."""
        for _ in range(2):
            try:
                with self._connections.lend() as connection:
                    found = self._claim_over(connection, tenant, plan)
                    if found is not None or not connection.closed:
                        return found
            except psycopg.OperationalError:  # lost before anything was claimed
                continue
        return None

    def _claim_over(
        self, connection: BoundedConnection, tenant: Tenant, plan: Plan
    ) -> RunReport | None:
        from tenantmig.fleet import pool_claim

        if not self._histories:
            self._histories = pool_claim.histories(self._driver, connection)
        found = pool_claim.claim(self._driver, connection, tenant, plan, self._histories)
        if found is None:
            self._histories = set()  # others may have filled the pool since; the next call looks
        return found

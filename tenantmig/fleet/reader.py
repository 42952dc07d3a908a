"""Read a fleet, and plan what runs would do to it. Changes nothing.

What only some commands need is imported when they are called: it is half of what a short one costs.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Self

from tenantmig.domain.lineage import Lineage
from tenantmig.domain.outcome import RunReport, UnreadableRun
from tenantmig.domain.plan import Plan, PlanGroup, RunKind
from tenantmig.domain.tenant import EVERYONE, Selection, Tenant
from tenantmig.errors import SelectionError
from tenantmig.fleet.baseline import NOTHING, Baseline
from tenantmig.fleet.check_report import CheckReport, Watch, ignore
from tenantmig.fleet.driver import Driver
from tenantmig.fleet.run_options import RunOptions
from tenantmig.fleet.standings import read_drift, read_fleet, read_life
from tenantmig.fleet.status import FleetStatus, TenantLife
from tenantmig.history.revisions import History
from tenantmig.lint import CHOICE, Choice, LintReport
from tenantmig.rollout import planning, refusals
from tenantmig.settings import Settings, load_settings

if TYPE_CHECKING:
    from tenantmig.drift.drift import FleetDrift
    from tenantmig.fleet.replay_check import ReplayReport

DEFAULT = RunOptions()


class FleetReader:
    """All tenants of one database, read-only; see `Fleet`."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._driver = Driver(settings)

    @classmethod
    def open(cls, config: str | Path = "alembic.ini", **settings: object) -> Self:
        """Open the fleet of an Alembic ini; keyword arguments are settings (`Settings`).

        Raises:
            SettingsError: a setting cannot be used.
        """
        return cls(load_settings(config=Path(config), **settings))

    @property
    def history(self) -> History:
        """The migration history, loaded once.

        Raises:
            HistoryError: it is broken.
        """
        return self._driver.history

    def tenants(self, selection: Selection | None = None) -> list[Tenant]:
        """Return the tenants of the source; without a selection all of them, in any state.

        Raises:
            SourceError, TenantNameError: the source cannot be read.
        """
        with self._driver.ledger() as ledger:
            fleet = self._driver.discover(ledger)
        return fleet if selection is None else selection.select(fleet)

    def status(self, selection: Selection = EVERYONE) -> FleetStatus:
        """Return the revision and standing of the selected tenants, and any problem of env.py."""
        return read_fleet(self._driver, self._shared, selection)

    def tenant(self, name: str, limit: int = 20) -> TenantLife:
        """Return the status of one tenant, and the newest runs that included it.

        Raises:
            UnknownTenantError: neither the source nor the ledger knows the name.
        """
        return read_life(self._driver, name, limit)

    @cached_property
    def _shared(self) -> Driver | None:
        """The driver of the shared lineage, if there is one."""
        return self._driver.of(Lineage.SHARED) if self.settings.has_shared_lineage else None

    def runs(self, limit: int = 20) -> tuple[RunReport, ...]:
        """Return the newest runs, newest first, without their tenants."""
        with self._driver.ledger() as ledger:
            return ledger.runs(limit)

    def all_runs(self, limit: int = 20) -> tuple[RunReport | UnreadableRun, ...]:
        """Return the same, including runs whose row in the ledger cannot be used."""
        with self._driver.ledger() as ledger:
            return ledger.all_runs(limit)

    def run(self, run: int) -> RunReport:
        """Return one run and what it did to each tenant.

        Raises:
            UnknownRunError: there is no such run.
        """
        with self._driver.ledger() as ledger:
            return ledger.run(run)

    def failed_in(self, run: int) -> Selection:
        """Select the active tenants that a run did not bring to its target.

        Raises:
            UnknownRunError: there is no such run.
            SelectionError: every tenant of the run is at the target.
        """
        report = self.run(run)
        behind = {t.tenant for t in report.tenants if not t.outcome.is_at_target}
        if not behind:
            raise SelectionError(f"Every tenant of run {run} is at its target.")
        names = tuple(tenant.name for tenant in self.tenants(EVERYONE) if tenant.name in behind)
        if not names:
            raise SelectionError(f"The tenants that run {run} did not finish are no longer active.")
        return Selection(names=names)

    def plan(
        self,
        target: str = "head",
        selection: Selection = EVERYONE,
        kind: RunKind = RunKind.UPGRADE,
        options: RunOptions = DEFAULT,
        lineage: Lineage | None = None,
    ) -> Plan:
        """Return what a run would do; nothing is changed. For upgrade, downgrade, stamp, offboard.

        Without `lineage`, it is that of the tenants; an upgrade then upgrades the shared lineage to
        its heads first, if there is one.

        Raises:
            UnknownRevisionError, HistoryError: the target cannot be used.
            UnknownTenantError: the selection names a tenant that does not exist.
        """
        driver = self._driver.of(lineage or Lineage.TENANT)
        with self._driver.ledger() as ledger:
            plan = driver.plan(ledger, target, selection, kind)
            known = ledger.known_obstacles()
            if lineage is None and kind is RunKind.UPGRADE and self._shared is not None:
                plan = replace(plan, shared=self._shared.plan(ledger, "heads", EVERYONE))
        driver.require_fit_env(plan)
        if plan.shared is not None and plan.shared.pending and self._shared is not None:
            self._shared.require_fit_env(plan.shared)
        plan = planning.show_ways(driver.history, plan, known)
        return refusals.heed_irreversible(driver.history, plan, skip=options.skip_irreversible)

    def require_tenants(self, plan: Plan) -> None:
        """Refuse a plan without tenants, as the run would, unless `allow_empty` is set.

        Raises:
            EmptyFleetError: naming the source.
        """
        self._driver.require_tenants(plan)

    def refuse_unfit(self, plan: Plan) -> None:
        """Refuse a plan as the run would, also that of the shared lineage before it.

        Raises:
            EmptyFleetError: it selects no tenant; naming the source.
            OlderCodeError: this history lacks the revision at which tenants are.
            UnknownRevisionError: it would move a tenant beyond base or head; naming the tenants.
        """
        self._driver.of(plan.lineage).refuse_unfit(plan)
        if plan.shared is not None:
            self.refuse_unfit(plan.shared)

    def plan_sql(self, plan: Plan) -> Iterator[tuple[PlanGroup, str]]:
        """Write the SQL of an upgrade for the first tenant of each group, by Alembic's `--sql`.

        That of the shared lineage comes first.


        Raises:
            EnvironmentFileError: a script of the path cannot be written offline.
        """
        if plan.shared is not None:
            yield from self.plan_sql(plan.shared)
        with self._driver.of(plan.lineage).engines.alembic(1) as engine:
            for group in plan.groups:
                yield group, engine.render_sql(group.tenants[0], group.path)

    def drift(
        self, selection: Selection = EVERYONE, *, with_privileges: bool = False
    ) -> FleetDrift:
        """Compare the catalog of each selected tenant with what the history makes at its revision.

        Runs the history in a scratch schema. `with_privileges` compares owners and grants as well.
        If the history needs objects that it does not create, there is no reference: each tenant
        concerned then has this problem.

        Raises:
            ScratchError: the history cannot be run there for another reason.
        """
        return read_drift(self._driver, selection, with_privileges=with_privileges)

    def check_replay(self) -> ReplayReport:
        """Compare the default engine with plain Alembic, in scratch schemas with made-up rows.

        Raises:
            HistoryError, ScratchError, EnvironmentFileError: it cannot be run.
        """
        from tenantmig.fleet.replay_check import check_replay
        from tenantmig.fleet.scratch_database import beside_shared

        with beside_shared(self._driver) as driver:
            return check_replay(driver)

    def check(
        self,
        begin: str | None = None,
        watch: Watch = ignore,
        baseline: Baseline = NOTHING,
    ) -> CheckReport:
        """Compare the models with the history's head, and run each revision up, down and up.

        With `begin`, the revisions that it depends on are run but not checked. `watch` is called
        after each checked revision, so it also gets those before an error. What `baseline` accepts
        is not a finding. If the database is empty and there is a shared lineage, both are run in a
        scratch database.

        Raises:
            UnknownRevisionError: `begin` is not in the history.
            HistoryError, ScratchError, EnvironmentFileError: it cannot be run.
        """
        from tenantmig.fleet.check import check_history
        from tenantmig.fleet.scratch_database import beside_shared

        with beside_shared(self._driver) as driver:
            return check_history(driver, begin, watch, baseline)

    def lint(
        self,
        revision_range: str | None = None,
        pg_version: str | None = None,
        choice: Choice = CHOICE,
    ) -> LintReport:
        """Look for unsafe SQL in a range of revisions; in all without one. Needs no database.

        Raises:
            SelectionError: `choice` names an unknown rule.
            UnknownRevisionError: the range names an unknown revision.
            SquawkError: squawk is not installed.
            EnvironmentFileError: env.py cannot be run offline.
        """
        from tenantmig.lint.linter import lint

        return lint(self.settings, self.history, revision_range, pg_version, choice)

    # -- what other runs would do --------------------------------------------------------------

    def plan_onboarding(self, tenants: Iterable[Tenant | str], to: str = "head") -> Plan:
        """Check that these tenants can be created, and return the plan; changes nothing.

        A name, or a `Tenant` whose schema is empty, gets the schema that the source lists for it;
        otherwise the schema has the tenant's name. It tells what kept earlier runs from births by
        blueprint.
        """
        from tenantmig.engines.blueprints import BLUEPRINT
        from tenantmig.fleet.onboarding_plan import plan_onboarding

        plan = plan_onboarding(self._driver, tenants, to)
        with self._driver.ledger() as ledger:
            known = ledger.known_obstacles()
        told = {name: why for name, why in known.items() if name == BLUEPRINT}
        return replace(plan, obstacles=told)

    def plan_rollback(self, run: int, options: RunOptions = DEFAULT) -> Plan:
        """Return what `rollback` would do; nothing is changed."""
        from tenantmig.fleet import recovery

        with self._driver.ledger() as ledger:
            return recovery.plan_rollback(self._driver, ledger, run, options)

    def resumable(self, run: int | None = None) -> RunReport:
        """Return the run that `resume` would finish.

        Raises:
            UnknownRunError, SelectionError: there is nothing to resume.
        """
        from tenantmig.fleet import recovery

        with self._driver.ledger() as ledger:
            return recovery.find_run(ledger, run).report

    def plan_resumption(self, run: int | None = None, options: RunOptions = DEFAULT) -> Plan:
        """Return what `resume` would do; nothing is changed."""
        from tenantmig.fleet import recovery

        with self._driver.ledger() as ledger:
            record = recovery.find_run(ledger, run)
            return recovery.plan_resumption(self._driver, ledger, record, options)

    def plan_restore(self, name: str, backup: str | Path, *, trust_file: bool = False) -> Plan:
        """Return what `restore` would do; nothing is changed."""
        from tenantmig.fleet import recovery

        with self._driver.ledger() as ledger:
            return recovery.plan_restore(
                self._driver, ledger, name, Path(backup), trust_file=trust_file
            ).plan

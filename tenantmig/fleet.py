"""The fleet: what an application and the command line call. Reads, decides, and starts runs.

A `Fleet` may be used from several threads: each call opens its own control connection. Inside a
`with` block it keeps its worker processes from call to call (a sign-up endpoint wants that).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Self

from tenantmig import onboarding, planning, recovery, registry
from tenantmig.driver import Driver, RunOptions
from tenantmig.errors import SelectionError, SourceError, TenantStateError
from tenantmig.ledger import Ledger
from tenantmig.lineage import Lineage
from tenantmig.outcome import RunReport
from tenantmig.plan import Plan, PlanGroup, RunKind
from tenantmig.revisions import History
from tenantmig.settings import Settings, load_settings
from tenantmig.status import FleetStatus, read_status
from tenantmig.tenant import EVERYONE, UNFINISHED, Selection, Tenant, TenantState

DEFAULT = RunOptions()


class Fleet:
    """All tenants of one database, and what can be done to them.

    Errors are `TenantmigError`s; a tenant that fails is in the report and raises nothing.
    """

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

    def __enter__(self) -> Self:
        self._driver.engines.keep()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the worker processes that a `with` block keeps."""
        self._driver.engines.close()

    @property
    def history(self) -> History:
        """The migration history, loaded once.

        Raises:
            HistoryError: it is broken.
        """
        return self._driver.history

    # -- reading ----------------------------------------------------------------------------

    def tenants(self, selection: Selection | None = None) -> list[Tenant]:
        """Return the tenants of the source; without a selection all of them, whatever their state.

        Raises:
            SourceError, TenantNameError: the source cannot be read.
        """
        with self._driver.ledger() as ledger:
            fleet = self._driver.discover(ledger)
        return fleet if selection is None else selection.select(fleet)

    def status(self, selection: Selection = EVERYONE) -> FleetStatus:
        """Return where the selected tenants stand."""
        driver, shared = self._driver, self._shared
        _ = driver.history  # a broken one is told before a database is asked
        with driver.ledger() as ledger:
            tenants = selection.select(driver.discover(ledger))
            found = read_status(ledger, driver.reader(ledger), driver.history, tenants)
            if shared is None:
                return found
            place, read = shared.discover(ledger), shared.reader(ledger)
            return replace(found, shared=read_status(ledger, read, shared.history, place))

    @property
    def _shared(self) -> Driver | None:
        """The driver of the shared lineage, if there is one."""
        return self._driver.of(Lineage.SHARED) if self.settings.has_shared_lineage else None

    def runs(self, limit: int = 20) -> tuple[RunReport, ...]:
        """Return the newest runs, newest first, without their tenants."""
        with self._driver.ledger() as ledger:
            return ledger.runs(limit)

    def run(self, run: int) -> RunReport:
        """Return one run with what it did to each tenant.

        Raises:
            UnknownRunError: there is no such run.
        """
        with self._driver.ledger() as ledger:
            return ledger.run(run)

    def failed_in(self, run: int) -> Selection:
        """Select the tenants that a run did not bring to its target and that are still active.

        Raises:
            UnknownRunError: there is no such run.
            SelectionError: every tenant of the run arrived.
        """
        report = self.run(run)
        behind = {t.tenant for t in report.tenants if not t.outcome.is_at_target}
        if not behind:
            raise SelectionError(f"Every tenant of run {run} is at its target.")
        names = tuple(tenant.name for tenant in self.tenants(EVERYONE) if tenant.name in behind)
        if not names:
            raise SelectionError(f"The tenants that run {run} left behind are no longer active.")
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

        Without `lineage` it is that of the tenants, and an upgrade brings the shared one, if there
        is one, to its heads first.

        Raises:
            UnknownRevisionError, HistoryError: the target is unusable.
            UnknownTenantError: the selection names a tenant that does not exist.
        """
        driver = self._driver.of(lineage or Lineage.TENANT)
        with self._driver.ledger() as ledger:
            plan = driver.plan(ledger, target, selection, kind)
            known = ledger.known_obstacles()
            if lineage is None and kind is RunKind.UPGRADE and self._shared is not None:
                plan = replace(plan, shared=self._shared.plan(ledger, "heads", EVERYONE))
        plan = replace(plan, obstacles=planning.obstacles(driver.history, plan, known))
        return planning.heed_irreversible(driver.history, plan, skip=options.skip_irreversible)

    def plan_sql(self, plan: Plan) -> Iterator[tuple[PlanGroup, str]]:
        """Write the SQL of an upgrade for the first tenant of each group, by Alembic's `--sql`.

        Raises:
            EnvironmentFileError: a script of the path cannot be written offline.
        """
        with self._driver.engines.alembic(1) as engine:
            for group in plan.groups:
                yield group, engine.render_sql(group.tenants[0], group.path)

    # -- runs -------------------------------------------------------------------------------

    def upgrade(
        self,
        target: str = "head",
        selection: Selection = EVERYONE,
        options: RunOptions = DEFAULT,
        lineage: Lineage | None = None,
    ) -> RunReport:
        """Roll the selected tenants forward; all active ones by default.

        Without `lineage` the shared one, if there is one, is brought to its heads first; if that
        fails, its report is returned and no tenant is touched.

        Locks: each tenant's advisory lock while it is worked on.
        Idempotent: yes.
        Raises:
            TenantmigError: refused before anything was touched.
        """
        return self._roll(target, selection, RunKind.UPGRADE, options, lineage)

    def downgrade(
        self,
        target: str,
        selection: Selection,
        options: RunOptions = DEFAULT,
        lineage: Lineage | None = None,
    ) -> RunReport:
        """Bring the selected tenants back to a revision, or `-N` revisions back.

        The shared lineage has no tenants to select; it is brought back as a whole.

        Raises:
            SelectionError: nothing is selected.
            TenantmigError: refused before anything was touched.
        """
        return self._roll(target, selection, RunKind.DOWNGRADE, options, lineage)

    def stamp(
        self,
        target: str,
        selection: Selection,
        options: RunOptions = DEFAULT,
        lineage: Lineage | None = None,
    ) -> RunReport:
        """Write a revision into the selected tenants' version tables without running anything."""
        return self._roll(target, selection, RunKind.STAMP, options, lineage)

    def offboard(self, selection: Selection, options: RunOptions = DEFAULT) -> RunReport:
        """Drop the selected tenants' schemas, with all they hold, and their registrations.

        A tenant on which objects of other schemas depend fails and loses nothing.
        """
        return self._roll("base", selection, RunKind.OFFBOARD, options)

    def onboard(
        self, tenants: Iterable[Tenant | str], to: str = "head", options: RunOptions = DEFAULT
    ) -> RunReport:
        """Create each tenant schema at `to` and register it; all or nothing per tenant.

        Raises:
            TenantExistsError, TenantNameError, PrivilegeError: one of them cannot be born;
                nothing was touched.
        """
        plan = self.plan_onboarding(tenants, to)
        session, schema = self._driver.session_options, self.settings.ledger_schema
        with self._driver.ledger() as ledger:
            return self._driver.carry_out(
                plan,
                ledger,
                options,
                undo=lambda tenant: onboarding.undo_onboarding(session, schema, tenant),
                check=lambda: onboarding.refuse_older_code(ledger, self.history),
            )

    def plan_onboarding(self, tenants: Iterable[Tenant | str], to: str = "head") -> Plan:
        """Check that these tenants can be born, and return the plan; changes nothing."""
        if isinstance(tenants, str):
            raise SelectionError(f"Give a list of tenants, such as [{tenants!r}].")
        born = [Tenant(t, t) if isinstance(t, str) else t for t in tenants]
        if not born:
            raise SelectionError("No tenant is named to onboard.")
        rules = self.settings.name_rules
        for tenant in born:
            rules.check(tenant.name)
        plan = planning.plan_onboarding(self.history, to, born)
        with self._driver.ledger() as ledger:
            if self.settings.source != "registry":
                onboarding.check_listed(self.settings, ledger, born, self._driver.discover(ledger))
            onboarding.refuse_older_code(ledger, self.history)
            onboarding.check_new_tenants(
                ledger.connection, born, registry.list_tenants(ledger), rules
            )
        return plan

    def _roll(
        self,
        target: str,
        selection: Selection,
        kind: RunKind,
        options: RunOptions,
        lineage: Lineage | None = None,
    ) -> RunReport:
        driver = self._driver.of(lineage or Lineage.TENANT)
        is_shared_first = lineage is None and kind is RunKind.UPGRADE
        with driver.ledger() as ledger:
            plan = driver.plan(ledger, target, selection, kind)
            shared = self._roll_shared(ledger, options) if is_shared_first else None
            if shared is not None and not shared.is_complete:
                return shared
            sweep = driver.sweep(plan, ledger, selection)
            return replace(driver.start(plan, ledger, options, sweep=sweep), shared=shared)

    def _roll_shared(self, ledger: Ledger, options: RunOptions) -> RunReport | None:
        """Bring the shared lineage to its heads, unless there is none or nothing to do."""
        if self._shared is None:
            return None
        plan = self._shared.plan(ledger, "heads", EVERYONE)
        if not plan.pending and not plan.problems:
            return None
        return self._shared.start(plan, ledger, options)

    # -- the way back, and on -----------------------------------------------------------------

    def rollback(self, run: int, options: RunOptions = DEFAULT) -> RunReport:
        """Return every tenant that a run moved to the revision it had before, and no other.

        Raises:
            UnknownRunError: there is no such run.
            SelectionError: the run moved nobody, or is of a kind that cannot be undone.
            IrreversibleRevisionError: a revision on the way cannot be downgraded.
        """
        return recovery.rollback(self._driver, run, options)

    def plan_rollback(self, run: int, options: RunOptions = DEFAULT) -> Plan:
        """Return what `rollback` would do; nothing is changed."""
        with self._driver.ledger() as ledger:
            return recovery.plan_rollback(self._driver, ledger, run, options)

    def resume(
        self,
        run: int | None = None,
        options: RunOptions = DEFAULT,
        given: Mapping[str, object] | None = None,
    ) -> RunReport:
        """Finish a run that was cut off or did not bring every tenant along.

        Without `run` it is the newest that moves the fleet. It goes on with the settings with which
        it was begun, but for those `given`.

        Raises:
            UnknownRunError, SelectionError: there is nothing to resume.
            FleetBusyError: its driver lives.
        """
        return recovery.resume(self._driver, run, options, given or {})

    def plan_resumption(self, run: int | None = None) -> Plan:
        """Return what `resume` would do; nothing is changed."""
        with self._driver.ledger() as ledger:
            return recovery.plan_resumption(self._driver, ledger, recovery.find_run(ledger, run))

    def restore(self, name: str, backup: str | Path, options: RunOptions = DEFAULT) -> RunReport:
        """Bring one tenant back from its backup: its schema is replaced by what the file holds.

        A tenant that was offboarded is registered again. One transaction: there is the old tenant
        or the restored one, whatever is killed.

        Raises:
            BackupFileError, ClientProgramError: the file or the programs cannot be used; nothing
                was touched.
            FleetBusyError: a run moves the fleet.
        """
        return recovery.restore(self._driver, name, Path(backup), options)

    def plan_restore(self, name: str, backup: str | Path) -> Plan:
        """Return what `restore` would do; nothing is changed."""
        with self._driver.ledger() as ledger:
            return recovery.plan_restore(self._driver, ledger, name, Path(backup))[0]

    # -- the registry -----------------------------------------------------------------------

    def set_state(self, selection: Selection, state: TenantState) -> list[Tenant]:
        """Suspend or activate tenants of the registry; return them as they now are.

        Raises:
            SourceError: the tenants are listed elsewhere.
        """
        with self._registered(selection) as (ledger, tenants):
            names = [tenant.name for tenant in tenants]
            registry.set_state(ledger.connection, ledger.schema, names, TenantState(state))
        return [replace(tenant, state=state) for tenant in tenants]

    def set_labels(
        self, selection: Selection, labels: Mapping[str, str], removed: Sequence[str] = ()
    ) -> list[Tenant]:
        """Put labels on tenants of the registry and take others off; return them as they now are.

        Raises:
            SourceError: the tenants are listed elsewhere.
        """
        with self._registered(selection) as (ledger, tenants):
            names = [tenant.name for tenant in tenants]
            registry.set_labels(ledger.connection, ledger.schema, names, labels, removed)
        kept = [{k: v for k, v in t.labels.items() if k not in removed} for t in tenants]
        return [
            replace(tenant, labels={k: v for k, v in {**old, **labels}.items() if k not in removed})
            for tenant, old in zip(tenants, kept, strict=True)
        ]

    @contextmanager
    def _registered(self, selection: Selection) -> Iterator[tuple[Ledger, list[Tenant]]]:
        if self.settings.source != "registry":
            raise SourceError(
                f"The tenants come from the source {self.settings.source!r}; change them there."
            )
        with self._driver.ledger() as ledger:
            tenants = selection.select(self._driver.discover(ledger))
            unfinished = [t.name for t in tenants if t.state in UNFINISHED]
            if unfinished:
                raise TenantStateError(
                    f'The tenant "{unfinished[0]}" is half-made or half-dropped;'
                    " finish that first (`tenantmig tenants list` shows which)."
                )
            yield ledger, tenants

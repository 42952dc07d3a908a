"""The fleet: what an application and the command line call. Reads, decides, and starts runs.

A `Fleet` may be used from several threads: each call opens its own control connection. Inside a
`with` block it keeps its worker processes from call to call (a sign-up endpoint wants that).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Self

from tenantmig import embedded, planning, registry
from tenantmig.capacity import default_parallel
from tenantmig.database_url import DatabaseUrl
from tenantmig.discovery import discover
from tenantmig.engines.pool import EnginePool
from tenantmig.engines.worker import WorkerOptions
from tenantmig.errors import SelectionError, SourceError, TenantStateError
from tenantmig.events import OnEvent, ignore
from tenantmig.forkserver import refuse_in_worker
from tenantmig.ledger import Ledger
from tenantmig.onboarding import check_listed, check_new_tenants, undo_onboarding
from tenantmig.outcome import RunReport
from tenantmig.plan import Plan, PlanGroup, RunKind
from tenantmig.retry import RetryPolicy
from tenantmig.revisions import History
from tenantmig.rollout import RolloutOptions, StopSignal, carry_out
from tenantmig.session import SessionOptions, connect
from tenantmig.settings import Settings, load_settings
from tenantmig.status import FleetStatus, read_status
from tenantmig.tenant import UNFINISHED, Selection, Tenant, TenantState

EVERYONE = Selection(is_all=True)


@dataclass(frozen=True, slots=True)
class RunOptions:
    """What a caller may say about one run.

    `on_event` is called in the thread that started the run; `signal` stops the run from any
    thread.
    """

    parallel: int | None = None
    on_event: OnEvent = ignore
    signal: StopSignal | None = None


DEFAULT = RunOptions()


class Fleet:
    """All tenants of one database, and what can be done to them.

    Errors are `TenantmigError`s; a tenant that fails is in the report and raises nothing.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings

    @classmethod
    def open(cls, config: str | Path = "alembic.ini", **settings: object) -> Self:
        """Open the fleet of an Alembic ini; keyword arguments are settings (`Settings`).

        Raises:
            SettingsError: a setting cannot be used.
        """
        return cls(load_settings(config=Path(config), **settings))

    def __enter__(self) -> Self:
        self._engines.keep()
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
        self._engines.close()

    @cached_property
    def history(self) -> History:
        """The migration history, loaded once.

        Raises:
            HistoryError: it is broken.
        """
        return History(self.settings.config)

    @cached_property
    def _url(self) -> DatabaseUrl:
        return embedded.resolve(self.settings.url)

    @property
    def _session_options(self) -> SessionOptions:
        return SessionOptions.of(self.settings, self._url)

    @cached_property
    def _engines(self) -> EnginePool:
        return EnginePool(
            WorkerOptions(
                ini=self.settings.config.absolute(),
                session=self._session_options,
                ledger=self.settings.ledger_schema,
                version_table=self.settings.version_table,
                recycle_after=self.settings.recycle_after,
                is_registry_source=self.settings.source == "registry",
            ),
            self.settings.parallel,
        )

    @contextmanager
    def _ledger(self) -> Iterator[Ledger]:
        options = self._session_options
        ledger = Ledger(lambda: connect(options), self.settings.ledger_schema)
        try:
            yield ledger
        finally:
            ledger.close()

    def _discover(self, ledger: Ledger) -> list[Tenant]:
        if self.settings.source == "callable":
            _ = self.history  # loading it puts Alembic's prepend_sys_path on sys.path
        return discover(self.settings, ledger)

    # -- reading ----------------------------------------------------------------------------

    def tenants(self, selection: Selection | None = None) -> list[Tenant]:
        """Return the tenants of the source; without a selection all of them, whatever their state.

        Raises:
            SourceError, TenantNameError: the source cannot be read.
        """
        with self._ledger() as ledger:
            fleet = self._discover(ledger)
        return fleet if selection is None else selection.select(fleet)

    def status(self, selection: Selection = EVERYONE) -> FleetStatus:
        """Return where the selected tenants stand."""
        history = self.history
        with self._ledger() as ledger:
            tenants = selection.select(self._discover(ledger))
            return read_status(ledger, history, tenants, self.settings.version_table)

    def runs(self, limit: int = 20) -> tuple[RunReport, ...]:
        """Return the newest runs, newest first, without their tenants."""
        with self._ledger() as ledger:
            return ledger.runs(limit)

    def run(self, run: int) -> RunReport:
        """Return one run with what it did to each tenant.

        Raises:
            UnknownRunError: there is no such run.
        """
        with self._ledger() as ledger:
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
    ) -> Plan:
        """Return what a run would do; nothing is changed. For upgrade, downgrade, stamp, offboard.

        Raises:
            UnknownRevisionError, HistoryError: the target is unusable.
            UnknownTenantError: the selection names a tenant that does not exist.
        """
        with self._ledger() as ledger:
            return self._plan(ledger, target, selection, kind)

    def _plan(self, ledger: Ledger, target: str, selection: Selection, kind: RunKind) -> Plan:
        history, table = self.history, self.settings.version_table
        if kind is not RunKind.OFFBOARD:
            history.target(target, kind)  # a wrong target is told before a database is asked
        tenants = selection.select(self._discover(ledger))
        connection = ledger.connection
        if kind is RunKind.STAMP:
            return planning.plan_stamp(connection, history, target, tenants, table)
        if kind is RunKind.OFFBOARD:
            return planning.plan_offboarding(connection, tenants, table)
        return planning.plan_rollout(connection, history, kind, target, tenants, table)

    def plan_sql(self, plan: Plan) -> Iterator[tuple[PlanGroup, str]]:
        """Write the SQL of an upgrade for the first tenant of each group, by Alembic's `--sql`.

        Raises:
            EnvironmentFileError: a script of the path cannot be written offline.
        """
        with self._engines.alembic(1) as engine:
            for group in plan.groups:
                yield group, engine.render_sql(group.tenants[0], group.path)

    # -- runs -------------------------------------------------------------------------------

    def upgrade(
        self,
        target: str = "head",
        selection: Selection = EVERYONE,
        options: RunOptions = DEFAULT,
    ) -> RunReport:
        """Roll the selected tenants forward; all active ones by default.

        Locks: each tenant's advisory lock while it is worked on.
        Idempotent: yes.
        Raises:
            TenantmigError: refused before anything was touched.
        """
        return self._roll(target, selection, RunKind.UPGRADE, options)

    def downgrade(
        self, target: str, selection: Selection, options: RunOptions = DEFAULT
    ) -> RunReport:
        """Bring the selected tenants back to a revision, or `-N` revisions back.

        Raises:
            SelectionError: nothing is selected.
            TenantmigError: refused before anything was touched.
        """
        return self._roll(target, selection, RunKind.DOWNGRADE, options)

    def stamp(self, target: str, selection: Selection, options: RunOptions = DEFAULT) -> RunReport:
        """Write a revision into the selected tenants' version tables without running anything."""
        return self._roll(target, selection, RunKind.STAMP, options)

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
        session, ledger_schema = self._session_options, self.settings.ledger_schema
        with self._ledger() as ledger:
            return self._carry_out(
                plan,
                ledger,
                options,
                lambda tenant: undo_onboarding(session, ledger_schema, tenant),
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
        with self._ledger() as ledger:
            if self.settings.source != "registry":
                check_listed(self.settings, ledger, born, self._discover(ledger))
            check_new_tenants(ledger.connection, born, registry.list_tenants(ledger), rules)
        return plan

    def _roll(
        self, target: str, selection: Selection, kind: RunKind, options: RunOptions
    ) -> RunReport:
        with self._ledger() as ledger:
            plan = self._plan(ledger, target, selection, kind)
            return self._carry_out(plan, ledger, options)

    def _carry_out(
        self,
        plan: Plan,
        ledger: Ledger,
        options: RunOptions,
        undo: Callable[[Tenant], bool] | None = None,
    ) -> RunReport:
        refuse_in_worker()
        wanted = options.parallel or self.settings.parallel
        rollout = RolloutOptions(
            parallel=wanted or default_parallel(ledger.connection, plan.pending),
            retry=RetryPolicy(attempts=self.settings.attempts),
            deadline_s=self.settings.deadline,
            on_event=options.on_event,
        )
        return carry_out(
            plan,
            ledger,
            lambda workers: self._engines.engine(plan.kind, workers),
            rollout,
            options.signal,
            undo,
        )

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
        with self._ledger() as ledger:
            tenants = selection.select(self._discover(ledger))
            unfinished = [t.name for t in tenants if t.state in UNFINISHED]
            if unfinished:
                raise TenantStateError(
                    f'The tenant "{unfinished[0]}" is half-made or half-dropped;'
                    " finish that first (`tenantmig tenants list` shows which)."
                )
            yield ledger, tenants

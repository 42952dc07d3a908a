"""The driver: turns settings into a run's options, engine and ledger, and carries plans out.

What only some commands need is imported when it is called.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager, suppress
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import psycopg

from tenantmig.domain.database_url import DatabaseUrl
from tenantmig.domain.lineage import Lineage
from tenantmig.domain.outcome import RunReport
from tenantmig.domain.plan import Heads, Plan, RunKind
from tenantmig.domain.tenant import Selection, Tenant, TenantState
from tenantmig.domain.written_values import AUTO
from tenantmig.engines.pool import EnginePool
from tenantmig.errors import ConnectError, SettingsError
from tenantmig.fleet.run_options import RunOptions
from tenantmig.fleet.worker_settings import worker_options
from tenantmig.history.revisions import History
from tenantmig.ledger.activity import live_onboardings
from tenantmig.ledger.ledger import Ledger
from tenantmig.postgres import embedded
from tenantmig.postgres.capacity import catalog_helpers, reading_helpers
from tenantmig.postgres.connection import SessionOptions, connect
from tenantmig.postgres.version import Version
from tenantmig.postgres.version_table import ReadVersions, read_versions
from tenantmig.rollout import beyond, older_code, planning, refusals
from tenantmig.rollout.ownership import check_ownership
from tenantmig.settings import Settings
from tenantmig.tenants.discovery import describe_nobody, discover
from tenantmig.tenants.shared import find_shared

if TYPE_CHECKING:
    from tenantmig.catalog.catalog import CatalogReader
    from tenantmig.drift.reference import Reference
    from tenantmig.drift.scratch import Scratch
    from tenantmig.engines.blueprints import Blueprints
    from tenantmig.fleet.run_settings import RunSettings

ANY_RUN = 2**62  # later than all
CONTROL_TIMEOUT_S = 60.0  # of a statement on the control connection


class Driver:
    """What the runs of one fleet are made with."""

    def __init__(
        self, settings: Settings, lineage: Lineage = Lineage.TENANT, url: DatabaseUrl | None = None
    ) -> None:
        self.settings = settings
        self.lineage = lineage
        self._given_url = url

    def of(self, lineage: Lineage) -> Driver:
        """Return the driver of a lineage with the same settings.

        Raises:
            SettingsError: the Alembic ini does not describe the lineage.
        """
        if lineage is self.lineage:
            return self
        if lineage is Lineage.SHARED and not self.settings.has_shared_lineage:
            config, section = self.settings.config, self.settings.shared_section
            raise SettingsError(
                f"{config} has no section [{section}], so there is no shared lineage. Add "
                "the section with its script_location (docs/guides/lineages.md), or set "
                "`shared_section`."
            )
        return Driver(self.settings, lineage, self._given_url)

    def in_database(self, name: str) -> Driver:
        """Return the driver for another database of the same server."""
        return Driver(self.settings, self.lineage, self.url.naming(name))

    @cached_property
    def history(self) -> History:
        """The migration history, loaded once."""
        asked = self.settings
        found = History(asked.config, self.lineage, asked.pure_modules, asked.shared_section)
        found.check_lengths(asked.version_length)
        return found

    @cached_property
    def url(self) -> DatabaseUrl:
        """The database; an embedded server is started."""
        return self._given_url or embedded.resolve(self.settings.url)

    def close(self) -> None:
        """End the worker processes that are kept."""
        self.engines.close()

    @property
    def session_options(self) -> SessionOptions:
        """What each session is opened with."""
        return SessionOptions.of(self.settings, self.url)

    @cached_property
    def engines(self) -> EnginePool:
        """The engines, over worker processes that start with the first run."""
        return EnginePool(
            worker_options(self.settings, self.session_options, self.lineage),
            lambda: self.history.proofs,
            None if self.settings.parallel == AUTO else self.settings.parallel,
            self.settings.engine if self.lineage is Lineage.TENANT else "alembic",
            self._blueprints,
        )

    def _blueprints(self) -> Blueprints:
        from tenantmig.fleet.blueprinting import blueprints_of

        return blueprints_of(self)

    @property
    def run_settings(self) -> RunSettings:
        """How the settings have a rollout carried out."""
        from tenantmig.fleet.run_settings import RunSettings

        return RunSettings(self.settings, self.lineage, self.session_options, self.discover)

    @property
    def _control_options(self) -> SessionOptions:
        control = min(self.settings.statement_timeout, CONTROL_TIMEOUT_S)
        return replace(self.session_options, statement_timeout_s=control)

    @contextmanager
    def scratch(self) -> Iterator[Scratch]:
        """A scratch schema, and a worker process that runs the history in it."""
        from tenantmig.drift.scratch import Scratch, open_scratch

        with (
            open_scratch(self._control_options) as (connection, schema),
            self.engines.alembic(1) as engine,  # ended before the schema is dropped
        ):
            yield Scratch(engine, connection, schema)

    def scratch_schema(self) -> AbstractContextManager[tuple[psycopg.Connection, str]]:
        """A scratch schema, and a connection that sees it."""
        from tenantmig.drift.scratch import open_scratch

        return open_scratch(self._control_options)

    @contextmanager
    def catalogs(
        self, ledger: Ledger, tenants: int, *, has_privileges: bool = False
    ) -> Iterator[CatalogReader]:
        """What reads the catalogs of that many tenants, of many over several connections."""
        from tenantmig.catalog.catalog import CatalogOptions, CatalogReader

        session, settings = self._control_options, self.settings
        options = CatalogOptions(settings.version_table, has_privileges, settings.recycle_after)
        sessions = 1 + catalog_helpers(ledger.connection, tenants)
        with closing(CatalogReader(lambda: connect(session), options, sessions)) as reader:
            yield reader

    def references(self, reader: CatalogReader, wanted: Collection[Heads]) -> Iterator[Reference]:
        """Make the reference of each of these heads (see `build_references`)."""
        from tenantmig.drift.reference_building import build_references

        table, birth = self.settings.version_table, self.settings.birth
        return build_references(self.scratch, self.history, reader, table, wanted, birth)

    @contextmanager
    def ledger(self) -> Iterator[Ledger]:
        """The ledger, over a control connection of its own."""
        options, reconnect_s = self._control_options, self.settings.reconnect_timeout
        ledger = Ledger(lambda: connect(options), self.settings.ledger_schema, reconnect_s)
        try:
            yield ledger
        finally:
            ledger.close()

    def discover(self, ledger: Ledger) -> list[Tenant]:
        """Return all tenants of the source; of the shared lineage, what stands for it.

        Raises:
            TenantSchemaMissingError: the shared schema does not exist.
        """
        if self.lineage is Lineage.SHARED:
            return [find_shared(ledger, self.settings.shared_schema)]
        if self.settings.source == "callable":
            _ = self.history  # loading it puts Alembic's prepend_sys_path on sys.path
        return discover(self.settings, ledger)

    def plan(
        self, ledger: Ledger, target: str, selection: Selection, kind: RunKind = RunKind.UPGRADE
    ) -> Plan:
        """Plan to bring the selected tenants to a target; the shared lineage has but one place.

        Raises:
            UnknownRevisionError, HistoryError: the target is unusable; no database was asked.
        """
        if kind is not RunKind.OFFBOARD:
            self.history.target(target, kind)
        fleet, is_shared = self.discover(ledger), self.lineage is Lineage.SHARED
        tenants = fleet if is_shared else selection.select(fleet)
        plan = planning.plan_rollout(
            self.reader(ledger),
            self.history,
            kind,
            target,
            tenants,
            is_fleetwide=selection.is_everyone and not is_shared,
            lineage=self.lineage,
            nobody=None if tenants else self.describe_nobody(ledger, fleet, kind),
        )
        return older_code.mark_ahead(plan, ledger.recorded_revisions)

    def describe_nobody(
        self, ledger: Ledger, fleet: Sequence[Tenant], kind: RunKind | None = None
    ) -> str | None:
        """Say why no tenant is selected; None if an upgrade is to wait for one that is born."""
        is_unborn = any(tenant.state is TenantState.ONBOARDING for tenant in fleet)
        if kind is RunKind.UPGRADE and is_unborn and live_onboardings(ledger, ANY_RUN):
            return None
        return describe_nobody(self.settings, ledger.connection.info.dbname, fleet)

    def require_tenants(self, plan: Plan) -> None:
        """Refuse a run over nobody, unless the settings allow it: the source may be the wrong one.

        Raises:
            EmptyFleetError: with what the source lists.
        """
        if not self.settings.allow_empty:
            refusals.refuse_nobody(plan, has_shared=self.settings.has_shared_lineage)

    def refuse_unfit(self, plan: Plan) -> None:
        """Refuse a run that can do nothing, or not what was asked.

        Raises:
            EmptyFleetError: it is over nobody.
            OlderCodeError: this history lacks the revision at which tenants are.
            UnknownRevisionError: -N would lead a tenant beyond base, or +N beyond head.
        """
        self.require_tenants(plan)
        older_code.refuse_older_code(plan)
        beyond.refuse_beyond(self.history, plan)

    def require_fit_env(self, plan: Plan) -> None:
        """Make sure that env.py does what the plan's tenants need, before anything is run.

        Raises:
            EnvironmentFileError: it does not; with its file, the line and what to do.
        """
        if plan.kind not in {RunKind.OFFBOARD, RunKind.RESTORE}:
            moved = [tenant for group in plan.groups for tenant in group.tenants]
            moved += [problem.tenant for problem in plan.problems]
            self.engines.require_fit_env(moved or [tenant for tenant, _ in plan.at_target])

    def reader(self, ledger: Ledger) -> ReadVersions:
        """Return what reads the version tables, those of a large fleet over several connections."""
        table = self.settings.version_table

        def read(schemas: Sequence[str]) -> dict[str, Version]:
            with ExitStack() as opened:
                helpers = []
                with suppress(ConnectError):  # then with those that there are
                    for _ in range(reading_helpers(ledger.connection, len(schemas))):
                        helper = closing(connect(self._control_options))
                        helpers.append(opened.enter_context(helper))
                versions = read_versions(ledger.connection, schemas, table, helpers)
            return {schema: v.seen_from(self.lineage) for schema, v in versions.items()}

        return read

    def sweep(
        self, plan: Plan, ledger: Ledger, selection: Selection
    ) -> Callable[[frozenset[str]], Plan] | None:
        """Plan for tenants that are onboarded while an upgrade of the fleet runs."""
        is_open = selection.is_open and self.lineage is Lineage.TENANT
        if plan.kind is not RunKind.UPGRADE or not is_open or plan.target[0] == "+":
            return None

        def plan_newcomers(known: frozenset[str]) -> Plan:
            fleet = [t for t in self.discover(ledger) if t.name not in known]
            tenants = selection.among(fleet)
            read = self.reader(ledger)
            return planning.plan_rollout(read, self.history, plan.kind, plan.target, tenants)

        return plan_newcomers

    def start(
        self, plan: Plan, ledger: Ledger, options: RunOptions, **belongings: Any
    ) -> RunReport:
        """Carry a plan out, unless it or an option is refused (see `prepare`)."""
        return self.prepare(plan, ledger, options, **belongings)()

    def prepare(
        self, plan: Plan, ledger: Ledger, options: RunOptions, **belongings: Any
    ) -> Callable[[], RunReport]:
        """Check all that can be checked before anything is touched; return what carries it out.

        `belongings` are those of its kind of run (see `Rollout`).

        Raises:
            IrreversibleRevisionError: the plan passes a revision that cannot be undone.
            EmptyFleetError: there are no tenants.
            SelectionError, ClientProgramError: an option does not fit.
        """
        from tenantmig.rollout.rollout import Rollout
        from tenantmig.rollout.run import carry_out

        self.refuse_unfit(plan)
        plan = refusals.heed_irreversible(self.history, plan, skip=options.skip_irreversible)
        check_ownership(ledger.connection, plan, self.session_options)
        if plan.pending or plan.problems:
            self.require_fit_env(plan)
        belongings.setdefault("open_engine", lambda n: self.engines.engine(plan.moves, n))
        rollout = Rollout(plan, **belongings)
        prepared = self.run_settings.of(rollout, ledger, options)

        def go() -> RunReport:
            if plan.pending and plan.tenants > self.settings.recycle_after:
                ledger.renew()  # while it holds no run's lock: it has read all version tables
            return carry_out(rollout, ledger, prepared, options.signal)

        return go

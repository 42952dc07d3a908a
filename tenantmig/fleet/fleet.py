"""The fleet: what an application and the command line call. Decides, and starts runs.

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

from tenantmig.domain.draft import Draft, RevisionReport
from tenantmig.domain.lineage import Lineage
from tenantmig.domain.outcome import RunReport
from tenantmig.domain.plan import RunKind
from tenantmig.domain.tenant import EVERYONE, UNFINISHED, Selection, Tenant, TenantState
from tenantmig.errors import SourceError, TenantStateError
from tenantmig.fleet.adopted import Adopted
from tenantmig.fleet.pool_fleet import PoolFleet
from tenantmig.fleet.reader import DEFAULT
from tenantmig.fleet.run_options import RunOptions
from tenantmig.ledger import rights as ledger_rights
from tenantmig.ledger.ledger import Ledger
from tenantmig.tenants import registry


class Fleet(PoolFleet):
    """All tenants of one database, and the operations on them.

    Errors are `TenantmigError`s. A tenant that fails is in the report and raises nothing.
    """

    def __enter__(self) -> Self:
        self._driver.engines.keep()
        self._connections.keep()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the worker processes and connections that a `with` block keeps."""
        self._driver.engines.close()
        self._connections.close()

    # -- runs -------------------------------------------------------------------------------

    def upgrade(
        self,
        target: str = "head",
        selection: Selection = EVERYONE,
        options: RunOptions = DEFAULT,
        lineage: Lineage | None = None,
    ) -> RunReport:
        """Upgrade the selected tenants; all active ones by default.

        Without `lineage`, the shared lineage, if there is one, is upgraded to its heads first. If
        that fails, its report is returned and no tenant is touched.

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
        """Downgrade the selected tenants to a revision, or by `-N` revisions.

        The shared lineage has no tenants to select; it is downgraded as a whole.

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
        """Drop the selected tenants' schemas with everything in them, and their registrations.

        If objects of other schemas depend on a tenant, that tenant fails and loses nothing.
        """
        return self._roll("base", selection, RunKind.OFFBOARD, options)

    def onboard(
        self, tenants: Iterable[Tenant | str], to: str = "head", options: RunOptions = DEFAULT
    ) -> RunReport:
        """Create each tenant schema at `to` and register it; all or nothing per tenant.

        With the setting `pool`, one tenant alone gets a finished schema of the pool, if it has one.

        Raises:
            TenantExistsError, TenantNameError, PrivilegeError: one of them cannot be created;
                nothing was touched.
        """
        from tenantmig.fleet.onboarding_plan import plan_onboarding
        from tenantmig.tenants import onboarding

        tenants = tenants if isinstance(tenants, str) else list(tenants)
        given = self._take_from_pool(tenants, to, options)
        if given is not None:
            return given
        plan = plan_onboarding(self._driver, tenants, to)
        session, schema = self._driver.session_options, self.settings.ledger_schema
        with self._driver.ledger() as ledger:
            return self._driver.start(
                plan,
                ledger,
                options,
                undo=lambda tenant: onboarding.undo_onboarding(session, schema, tenant),
                check=lambda: onboarding.refuse_older_code(ledger, self.history),
            )

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
            sweep = driver.sweep(plan, ledger, selection)
            go = driver.prepare(plan, ledger, options, sweep=sweep)
            shared = self._roll_shared(ledger, options) if is_shared_first else None
            if shared is not None and not shared.is_complete:
                return shared
            return replace(go(), shared=shared)

    def _roll_shared(self, ledger: Ledger, options: RunOptions) -> RunReport | None:
        """Upgrade the shared lineage to its heads, unless there is none or nothing to do."""
        if self._shared is None:
            return None
        plan = self._shared.plan(ledger, "heads", EVERYONE)
        if not plan.pending and not plan.problems:
            return None
        return self._shared.start(plan, ledger, replace(options, backup=None))

    # -- the way back, and on -----------------------------------------------------------------

    def rollback(self, run: int, options: RunOptions = DEFAULT) -> RunReport:
        """Return every tenant that a run moved to the revision it had before, and no other.

        Raises:
            UnknownRunError: there is no such run.
            SelectionError: the run moved no tenant, or is of a kind that cannot be undone.
            IrreversibleRevisionError: a revision of the path cannot be downgraded.
        """
        from tenantmig.fleet import recovery

        return recovery.rollback(self._driver, run, options)

    def resume(
        self,
        run: int | None = None,
        options: RunOptions = DEFAULT,
        given: Mapping[str, object] | None = None,
    ) -> RunReport:
        """Finish a run that was cut off or did not finish all tenants.

        Without `run`, it is the newest run that moves the fleet. The run keeps the settings with
        which it was begun, except those `given`.

        Raises:
            UnknownRunError, SelectionError: there is nothing to resume.
            FleetBusyError: its driver is still running.
        """
        from tenantmig.fleet import recovery

        return recovery.resume(self._driver, run, options, given or {})

    def restore(
        self,
        name: str,
        backup: str | Path,
        options: RunOptions = DEFAULT,
        *,
        trust_file: bool = False,
    ) -> RunReport:
        """Restore one tenant from its backup: the file's contents replace its schema.

        A tenant that was offboarded is registered again. The restore is one transaction: after any
        crash the tenant is either unchanged or restored. `trust_file` accepts a file that nothing
        proves to be yours; statements that do not belong in a backup are still refused.

        Raises:
            UntrustedBackupError: nothing proves that the file is yours.
            BackupRefusedError: it contains a statement that does not belong in a backup.
            BackupFileError, ClientProgramError: the file or the programs cannot be used; nothing
                was touched.
            FleetBusyError: a run is moving the fleet.
        """
        from tenantmig.fleet import recovery

        return recovery.restore(self._driver, name, Path(backup), options, trust_file=trust_file)

    # -- the history --------------------------------------------------------------------------

    def revision(self, draft: Draft) -> RevisionReport:
        """Write a new revision; no script if autogenerate finds nothing to do.

        This fleet keeps the history that it has loaded; open another one for the new revision.

        Raises:
            HistoryError, ScratchError, EnvironmentFileError: nothing was written.
        """
        from tenantmig.fleet import autogenerate

        return autogenerate.write_revision(self._driver.of(draft.lineage), draft)

    # -- the registry -----------------------------------------------------------------------

    def set_state(self, selection: Selection, state: TenantState) -> list[Tenant]:
        """Suspend or activate tenants of the registry; return them with their new state.

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
        """Set and remove labels of tenants in the registry; return them with their new labels.

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

    def adopt(
        self,
        schemas: Sequence[str],
        labels: Mapping[str, str] | None = None,
        *,
        at: str | None = None,
        is_dry_run: bool = False,
    ) -> tuple[Adopted, ...]:
        """Register existing schemas, each under its own name and at its revision.

        If another source than the registry lists the tenants, nothing is registered: `schemas` are
        names or schemas from that source, and only a missing version row is written.

        Without a version table, the revision whose catalog the schema matches is found and written
        there; `at` gives the revision if you already know it. All or nothing per schema; a refused
        one says why.

        Raises:
            SourceError: the source does not list one of them.
            TenantNameError, TenantExistsError, TenantSchemaMissingError: one of them cannot be a
                tenant; nothing was touched.
        """
        from tenantmig.fleet import adoption

        return adoption.adopt(self._driver, schemas, labels or {}, at, is_dry_run=is_dry_run)

    def _require_registry(self) -> None:
        if self.settings.source != "registry":
            raise SourceError(
                f"The tenants come from the source {self.settings.source!r}; change them there."
            )

    @contextmanager
    def _registered(self, selection: Selection) -> Iterator[tuple[Ledger, list[Tenant]]]:
        self._require_registry()
        with self._driver.ledger() as ledger:
            tenants = selection.select(self._driver.discover(ledger))
            unfinished = [t.name for t in tenants if t.state in UNFINISHED]
            if unfinished:
                raise TenantStateError(
                    f'The onboarding or offboarding of the tenant "{unfinished[0]}" has not '
                    "finished. Finish it first (`tenantmig tenants list` shows which). "
                    "Nothing was touched."
                )
            ledger_rights.require(ledger, ledger_rights.CHANGED)
            yield ledger, tenants

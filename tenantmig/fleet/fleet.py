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
from tenantmig.fleet import adoption, autogenerate, recovery
from tenantmig.fleet.adopted import Adopted
from tenantmig.fleet.reader import DEFAULT, FleetReader
from tenantmig.fleet.run_options import RunOptions
from tenantmig.ledger import rights as ledger_rights
from tenantmig.ledger.ledger import Ledger
from tenantmig.tenants import onboarding, registry


class Fleet(FleetReader):
    """All tenants of one database, and what can be done to them.

    Errors are `TenantmigError`s; a tenant that fails is in the report and raises nothing.
    """

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
        """Bring the shared lineage to its heads, unless there is none or nothing to do."""
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
            SelectionError: the run moved nobody, or is of a kind that cannot be undone.
            IrreversibleRevisionError: a revision on the way cannot be downgraded.
        """
        return recovery.rollback(self._driver, run, options)

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

    def restore(
        self,
        name: str,
        backup: str | Path,
        options: RunOptions = DEFAULT,
        *,
        trust_file: bool = False,
    ) -> RunReport:
        """Bring one tenant back from its backup: its schema is replaced by what the file holds.

        A tenant that was offboarded is registered again. One transaction: there is the old tenant
        or the restored one, whatever is killed. `trust_file` takes a file that nothing proves to be
        a backup of ours; what does not belong in a backup is refused all the same.

        Raises:
            UntrustedBackupError: nothing proves that the file is ours.
            BackupRefusedError: it holds a statement that is none of a tenant's backup.
            BackupFileError, ClientProgramError: the file or the programs cannot be used; nothing
                was touched.
            FleetBusyError: a run moves the fleet.
        """
        return recovery.restore(self._driver, name, Path(backup), options, trust_file=trust_file)

    # -- the history --------------------------------------------------------------------------

    def revision(self, draft: Draft) -> RevisionReport:
        """Write a new revision; no script if it was to be autogenerated and would be empty.

        This fleet goes on with the history it has loaded; open another for the new revision.

        Raises:
            HistoryError, ScratchError, EnvironmentFileError: nothing was written.
        """
        return autogenerate.write_revision(self._driver.of(draft.lineage), draft)

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

    def adopt(
        self,
        schemas: Sequence[str],
        labels: Mapping[str, str] | None = None,
        *,
        at: str | None = None,
        is_dry_run: bool = False,
    ) -> tuple[Adopted, ...]:
        """Register schemas that exist already, each under its own name and as it stands.

        Where another source than the registry lists the tenants, nothing is registered: `schemas`
        are names or schemas of theirs, and a missing version row is all that is written.

        Without a version table, the revision that a schema equals is found and written there; `at`
        says it for those who know. All or nothing per schema; a refused one says why.

        Raises:
            SourceError: the source does not list one of them.
            TenantNameError, TenantExistsError, TenantSchemaMissingError: one of them cannot be a
                tenant; nothing was touched.
        """
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

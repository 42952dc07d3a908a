"""Recovery: finishing a run, undoing one, and bringing one tenant back from its backup."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import closing, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path

from psycopg import sql

from tenantmig.backups.backup_file import read_backup
from tenantmig.backups.client_programs import ClientPrograms
from tenantmig.backups.proof import check_proof, hash_file
from tenantmig.backups.recorded_hash import is_known_hash
from tenantmig.backups.restore import RestorePlan, look_into
from tenantmig.backups.restore_roles import choose_role, read_roles
from tenantmig.backups.running_program import Limits
from tenantmig.domain.outcome import RunReport, RunState, UnreadableRun
from tenantmig.domain.plan import MOVES_FLEET, RESUMABLE, Plan, PlanGroup, RunKind, show_heads
from tenantmig.domain.plan import Path as RevisionPath
from tenantmig.domain.tenant import EVERYONE, Tenant
from tenantmig.engines.restoring import RestoringEngine
from tenantmig.errors import SelectionError, UntrustedBackupError
from tenantmig.fleet.driver import Driver
from tenantmig.fleet.run_options import RunOptions
from tenantmig.ledger.ledger import Ledger
from tenantmig.ledger.run_rows import RunRecord
from tenantmig.postgres.tenant_schema import refuse_without_create, refuse_without_drop
from tenantmig.rollout import older_code, refusals, resume_planning, rollback_planning
from tenantmig.settings import Settings, load_settings


def find_run(ledger: Ledger, run: int | None) -> RunRecord:
    """Return the run to be finished: the one named, or the newest that moves the fleet.

    Raises:
        UnknownRunError: there is no such run.
        SelectionError: it is complete, or of a kind that is begun anew instead.
    """
    if run is None:
        run = _newest(ledger)
    record = ledger.record(run)
    report = record.report
    if report.kind not in RESUMABLE:
        raise SelectionError(
            f"Run {run} is of kind {report.kind} and cannot be resumed. Run `tenantmig "
            f"{report.kind}` again for the tenants that it did not finish."
        )
    if report.state is RunState.COMPLETE:
        raise SelectionError(f"Run {run} is complete; there is nothing to resume.")
    return record


def _newest(ledger: Ledger) -> int:
    for report in ledger.all_runs(limit=1000):
        if isinstance(report, UnreadableRun):
            raise SelectionError(
                f"{report.problem} The newest run is therefore not known. Name the run to "
                "resume (`tenantmig runs` lists them)."
            )
        if report.kind in RESUMABLE & MOVES_FLEET and report.run is not None:
            if not ledger.has_intents(report.run):
                continue  # everybody was refused: it has nothing to go on with
            if report.state is RunState.COMPLETE:
                raise SelectionError(
                    f"Run {report.run}, the newest, is complete. Name the run to resume "
                    "(`tenantmig runs` lists them)."
                )
            return report.run
    raise SelectionError("There is no run to resume.")


def settings_of(settings: Settings, record: RunRecord, given: Mapping[str, object]) -> Settings:
    """Return the settings with which a run is resumed: `given`, else those it was begun with.

    Raises:
        SettingsError: one of `given` cannot be used.
    """
    own = settings.model_dump(exclude_unset=True)
    stored = {
        name: record.options[name] for name in record.options if name in Settings.model_fields
    }
    flags = {name: value for name, value in given.items() if value is not None}
    return load_settings(**{**own, **stored, **flags})


def resume(
    driver: Driver, run: int | None, options: RunOptions, given: Mapping[str, object]
) -> RunReport:
    """Finish a run (see `Fleet.resume`)."""
    with driver.ledger() as ledger:
        record = find_run(ledger, run)
        options = _options_of(record, options)
        plan = plan_resumption(driver, ledger, record, options)
        before = {known.outcome.tenant: known.outcome for known in record.tenants}
        settings = settings_of(driver.settings, record, given)
        swept = replace(EVERYONE, skip=options.skip)
        with closing(Driver(settings, record.report.lineage)) as own:
            return own.start(
                plan,
                ledger,
                options,
                sweep=own.sweep(plan, ledger, swept) if record.is_fleetwide else None,
                resumed=record.report.run,
                before=before,
            )


def _options_of(record: RunRecord, options: RunOptions) -> RunOptions:
    stored = record.options.get("backup")
    backup = options.backup or (stored if isinstance(stored, str) else None)
    return replace(
        options,
        skip_irreversible=options.skip_irreversible
        or bool(record.options.get("skip_irreversible")),
        backup=Path(backup) if backup else None,
    )


def plan_resumption(driver: Driver, ledger: Ledger, record: RunRecord, options: RunOptions) -> Plan:
    """Plan for the tenants that a run did not bring to its target."""
    driver, undoes = driver.of(record.report.lineage), record.report.undoes
    plan = resume_planning.plan_resumption(
        driver.reader(ledger),
        driver.history,
        record,
        driver.discover(ledger),
        undone=ledger.record(undoes) if undoes is not None else None,
        replaced=ledger.replaced_since(undoes) if undoes is not None else None,
        skip=options.skip,
    )
    plan = older_code.mark_ahead(plan, ledger.recorded_revisions)
    skip = _options_of(record, options).skip_irreversible
    return refusals.heed_irreversible(driver.history, plan, skip=skip)


def rollback(driver: Driver, run: int, options: RunOptions) -> RunReport:
    """Undo a run (see `Fleet.rollback`)."""
    with driver.ledger() as ledger:
        plan = plan_rollback(driver, ledger, run, options)
        return driver.of(plan.lineage).start(plan, ledger, options)


def plan_rollback(driver: Driver, ledger: Ledger, run: int, options: RunOptions) -> Plan:
    """Plan for the tenants that a run moved; refuse what cannot be downgraded."""
    record = ledger.record(run)
    driver = driver.of(record.report.lineage)
    read, fleet = driver.reader(ledger), driver.discover(ledger)
    replaced = ledger.replaced_since(run)
    plan = rollback_planning.plan_rollback(read, driver.history, record, fleet, replaced)
    return refusals.heed_irreversible(driver.history, plan, skip=options.skip_irreversible)


@dataclass(frozen=True, slots=True)
class RestoreOrder:
    """A restore that may be begun: its backup was read, and nothing in it is refused."""

    plan: Plan
    restore: RestorePlan
    programs: ClientPrograms


def restore(
    driver: Driver, name: str, backup: Path, options: RunOptions, *, trust_file: bool
) -> RunReport:
    """Bring one tenant back from its backup (see `Fleet.restore`)."""
    with driver.ledger() as ledger:
        order = plan_restore(driver, ledger, name, backup, trust_file=trust_file)
        settings = driver.settings
        engine = RestoringEngine(
            driver.session_options,
            settings.ledger_schema,
            settings.version_table,
            order.programs,
            order.restore,
        )
        return driver.start(order.plan, ledger, options, open_engine=lambda _: nullcontext(engine))


def plan_restore(
    driver: Driver, ledger: Ledger, name: str, backup: Path, *, trust_file: bool
) -> RestoreOrder:
    """Read a backup to its end, and plan to put its tenant into the place of what there is."""
    settings = driver.settings
    settings.name_rules.check(name)
    is_proven = _prove(driver, ledger, backup, trust_file=trust_file)
    programs = driver.run_settings.programs(ledger)
    limits = Limits.within(settings.attempt_timeout)
    facts = read_backup(programs, backup, settings.version_table, limits)
    known = next((t for t in driver.discover(ledger) if t.name == name), None)
    tenant = known or Tenant(name, facts.schema)
    refuse_without_create(ledger.connection)
    refuse_without_drop(ledger.connection, facts.schema)
    order = RestorePlan(
        tenant,
        facts,
        settings.ledger_schema if settings.source == "registry" else None,
        extra_sql=sql.SQL(""),
        deadline_s=settings.attempt_timeout,
        outside=(settings.shared_schema,),
        role=settings.restore_role or None,
        is_proven=is_proven,
    )
    held = look_into(driver.session_options, programs, order, limits)
    roles = read_roles(ledger.connection, facts.schema, {*held.owners, order.role or ""})
    choose_role(held, roles, order.role, facts.schema, is_proven=is_proven)
    stands = driver.reader(ledger)([tenant.schema])[tenant.schema].heads
    target = show_heads(facts.heads or ()) or "base"
    path = RevisionPath(stands, facts.heads or (), (), target)
    plan = Plan(RunKind.RESTORE, target, (PlanGroup(path, (tenant,)),))
    return RestoreOrder(plan, replace(order, held=held), programs)


def _prove(driver: Driver, ledger: Ledger, backup: Path, *, trust_file: bool) -> bool:
    """True when a backup is proved to be ours; a user may trust one that is not.

    Raises:
        UntrustedBackupError: it is not, and nobody trusts it.
    """
    digest = hash_file(backup)
    is_known = ledger.exists and is_known_hash(ledger.connection, ledger.schema, digest)
    try:
        check_proof(backup, digest, driver.settings.signing_key, is_known=is_known)
    except UntrustedBackupError:
        if not trust_file:
            raise
        return False
    return True

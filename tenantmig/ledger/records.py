"""Records: what the ledger has on runs and tenants. Reads only, over the control connection."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import closing, suppress
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import psycopg
from psycopg.rows import namedtuple_row

from tenantmig.domain.lineage import Lineage
from tenantmig.domain.notices import Warned
from tenantmig.domain.outcome import (
    Outcome,
    RunReport,
    RunState,
    TenantOutcome,
    TenantRun,
    Trouble,
    UnreadableRun,
)
from tenantmig.domain.plan import RunKind
from tenantmig.errors import ConnectError, LedgerRowError, PrivilegeError, UnknownRunError
from tenantmig.ledger import schema as ledger_schema
from tenantmig.ledger.rows import Row
from tenantmig.postgres import rights, sql
from tenantmig.postgres.connection import BoundedConnection, find_salt
from tenantmig.postgres.lock_holder import name_table_holders


@dataclass(frozen=True, slots=True)
class TenantRecord:
    """What a run has on one tenant, for going on with it or undoing it.

    `destination` is the target in Alembic's words; None if nothing was planned for the tenant.
    """

    outcome: TenantOutcome
    target: str | None
    destination: str | None
    problem: str | None = None
    """Why the row cannot be used: where the tenant came from is not known."""


@dataclass(frozen=True, slots=True)
class RunRecord:
    """What the ledger has on a run beside its report."""

    report: RunReport
    direction: RunKind
    is_fleetwide: bool
    options: Mapping[str, Any]
    server: str | None
    tenants: tuple[TenantRecord, ...] = ()


class Records:
    """The records of one database. Calls open a connection with `connect` and reopen a lost one.

    Not for use by two threads at once.
    """

    def __init__(self, connect: Callable[[], BoundedConnection], schema: str) -> None:
        self._connect = connect
        self.schema = schema
        self._connection: BoundedConnection | None = None
        self._exists = False

    @property
    def connection(self) -> BoundedConnection:
        """The control connection, in autocommit mode."""
        if self._connection is None or self._connection.closed:
            self._connection = self._connect()
        return self._connection

    def renew(self) -> None:
        """Take a new control connection: the old one's backend keeps what it knows of each table.

        The old one is kept if the server has no other to give.
        """
        with suppress(ConnectError):
            new = self._connect()
            self.close()
            self._connection = new

    def close(self) -> None:
        """End the control connection, and with it the lock of the run it held."""
        if self._connection is not None:
            self._connection.close()

    def query(self, name: str, parameters: dict[str, Any] | None = None) -> list[Any]:
        """Run the named query and return its rows as named tuples.

        Raises:
            LedgerError: the ledger's tables are not as tenantmig made them.
            PrivilegeError: this role lacks a right on them.
        """
        try:
            with (
                ledger_schema.refusing_damage(self.schema),
                self.connection.cursor(row_factory=namedtuple_row) as cursor,
            ):
                if "%(salt)s" in sql.text(name):
                    parameters = {"salt": find_salt(self.connection)} | (parameters or {})
                cursor.execute(sql.query(name, self.schema), parameters)
                return cursor.fetchall() if cursor.description else []
        except psycopg.errors.LockNotAvailable as error:
            self._note_holders(error)
            raise
        except psycopg.errors.InsufficientPrivilege as error:
            needs = rights.needs_of(name)
            raise ledger_schema.refused(self.connection, self.schema, needs, error) from error

    def _note_holders(self, error: psycopg.Error) -> None:
        """Add to the error who holds locks on the ledger's tables."""
        failed = self._connection.info.backend_pid if self._connection else 0
        with suppress(psycopg.Error, ConnectError), closing(self._connect()) as other:
            error.add_note(name_table_holders(other, [self.schema], failed))

    @property
    def exists(self) -> bool:
        """True when the ledger has been created and this version of tenantmig can read it.

        An older ledger is brought to this version. Once it was there, it is not looked for again.

        Raises:
            LedgerError: a newer tenantmig wrote it.
        """
        self._exists = self._exists or ledger_schema.exists(self.connection, self.schema)
        return self._exists

    def runs(self, limit: int = 20) -> tuple[RunReport, ...]:
        """Return the newest runs, newest first, without their tenants' rows."""
        return tuple(run for run in self.all_runs(limit) if isinstance(run, RunReport))

    def all_runs(self, limit: int = 20) -> tuple[RunReport | UnreadableRun, ...]:
        """Return the same with those whose row cannot be used, in their places."""
        if not self.exists:
            return ()
        return tuple(
            _told_run(row) for row in self.query("ledger/runs", {"run": None, "limit": limit})
        )

    def tenant_runs(self, tenant: str, limit: int = 20) -> tuple[TenantRun, ...]:
        """Return the newest runs that had a tenant of this name, newest first."""
        if not self.exists:
            return ()
        rows = self.query("ledger/tenant_runs", {"tenant": tenant, "limit": limit})
        return tuple(TenantRun(_told_run(row), _tenant_record(row, row.id).outcome) for row in rows)

    def run(self, run: int) -> RunReport:
        """Return one run with what it did to each tenant.

        Raises:
            UnknownRunError: there is no such run.
        """
        return self.record(run).report

    def record(self, run: int) -> RunRecord:
        """Return all that the ledger has on a run.

        Raises:
            UnknownRunError: there is no such run.
            LedgerRowError: its row cannot be used.
        """
        is_possible = 0 < run < 2**63 and self.exists
        rows = self.query("ledger/runs", {"run": run, "limit": 2}) if is_possible else []
        if not rows:
            raise UnknownRunError(f"There is no run {run}; `tenantmig runs` lists them.")
        if len(rows) > 1:
            raise LedgerRowError(f"The ledger has several rows for run {run}; leave the right one.")
        row, facts = rows[0], Row(rows[0].facts, _named(rows[0]))
        tenants, problems = self._tenant_records(run)
        report = replace(
            _report(row, facts), tenants=tuple(t.outcome for t in tenants), problems=problems
        )
        facts.number("epoch")
        return RunRecord(
            report=report,
            direction=facts.optional_one_of("direction", RunKind) or report.kind,
            is_fleetwide=facts.flag("is_fleetwide"),
            options=facts.mapping("options"),
            server=facts.optional_text("server"),
            tenants=tenants,
        )

    def has_intents(self, run: int) -> bool:
        """True unless every tenant of a run was refused, or left out, before anything was run.

        A run over tenants that all were at the target has something to be complete about.
        """
        return bool(self.query("ledger/run_intents", {"run": run}))

    def _tenant_records(self, run: int) -> tuple[tuple[TenantRecord, ...], tuple[str, ...]]:
        """Return the tenants of a run, and what is wrong in rows that name none."""
        found: dict[str, TenantRecord] = {}
        problems = []
        for row in self.query("ledger/run_tenants", {"run": run}):
            if not row.tenant:
                problems.append(f"A row of run {run} in the ledger names no tenant.")
                continue
            known = _tenant_record(row, run)
            if row.tenant in found:
                why = f"the ledger has several rows for it in run {run}; leave the right one"
                known = _unusable(row.tenant, known.outcome.schema, why)
            found[row.tenant] = known
        return tuple(found.values()), tuple(problems)

    def troubled_tenants(self) -> dict[str, Trouble]:
        """Return the tenants whose latest run failed or left them in doubt, and why."""
        rows = self.query("ledger/troubled_tenants") if self.exists else []
        return {
            str(row.tenant): Trouble(
                row.run, Outcome(row.outcome), _text(row.error), _text(row.sqlstate)
            )
            for row in rows
        }

    def recorded_revisions(self, revisions: Collection[str]) -> frozenset[str]:
        """Return those of the revisions to which a run has brought a tenant.

        None if this role may not read what runs did.
        """
        if not (revisions and self.exists):
            return frozenset()
        with suppress(PrivilegeError):
            rows = self.query("ledger/recorded_revisions", {"revisions": list(revisions)})
            return frozenset(str(row.revision) for row in rows)
        return frozenset()

    def replaced_since(self, run: int) -> dict[str, str]:
        """Return the tenants that are no longer those of a run: what later run saw to that."""
        rows = self.query("ledger/replaced_since", {"run": run})
        return {row.tenant: f"run {row.run} ({row.kind})" for row in rows}

    def known_obstacles(self) -> dict[str, str]:
        """Return why revisions were not replayed, as the latest runs found out."""
        rows = self.query("ledger/known_obstacles") if self.exists else []
        return {row.revision: row.reason for row in rows}

    def partial_schemas(self) -> dict[str, str]:
        """Return the tenant schemas in which a revision committed a part of itself, and which."""
        rows = self.query("ledger/partial_schemas") if self.exists else []
        return {str(row.schema): str(row.revision) for row in rows if row.schema is not None}

    def fleet_target(self) -> tuple[RunKind, str] | None:
        """Return the kind of the newest run over the whole fleet, and its target."""
        facts = {"kinds": [*RunKind]}
        rows = self.query("ledger/fleet_target", facts) if self.exists else []
        return (RunKind(rows[0].kind), rows[0].target) if rows else None


def _named(row: Any) -> str:
    return f"Run {row.id} in the ledger"


def _told_run(row: Any) -> RunReport | UnreadableRun:
    """Read a run without its tenants, or say why its row cannot be used."""
    try:
        return _report(row, Row(row.facts, _named(row)))
    except LedgerRowError as error:
        return UnreadableRun(row.id, error.message)


def _text(value: object) -> str | None:
    return None if value is None else str(value)


def _report(row: Any, facts: Row) -> RunReport:
    """Read a run without its tenants."""
    options, started = facts.mapping("options"), facts.time("started_at")
    ended = facts.optional_time("finished_at") or datetime.fromisoformat(row.now)
    run = facts.optional_id("id")
    state = facts.one_of("state", RunState)
    lineage = Row(json.dumps(options), facts.what).optional_one_of("lineage", Lineage)
    return RunReport(
        run=run,
        kind=facts.one_of("kind", RunKind),
        target=facts.required("target"),
        state=RunState.INTERRUPTED if row.is_cut_off else state,
        tenants=(),
        started_at=started,
        duration_s=(ended - started).total_seconds(),
        reason=facts.optional_text("reason"),
        undoes=facts.optional_id("undoes"),
        obstacles=_obstacles(options.get("obstacles")),
        warnings=tuple(_warnings(options.get("warnings"))),
        lineage=lineage or Lineage.TENANT,
    )


def _obstacles(found: object) -> dict[str, str]:
    if not isinstance(found, dict):
        return {}
    return {revision: why for revision, why in found.items() if isinstance(why, str)}


def _warnings(found: object) -> Iterator[Warned]:
    """Read the warnings of a run; one that is not as we wrote it is left out."""
    for one in found if isinstance(found, list) else ():
        with suppress(LedgerRowError):
            facts = Row(json.dumps(one), "A warning")
            yield Warned(
                facts.optional_text("revision") or "",
                facts.optional_text("sqlstate") or "",
                facts.optional_text("message") or "",
                facts.number("count"),
                facts.number("tenants"),
                facts.optional_text("example") or "",
            )


def _tenant_record(row: Any, run: int | str) -> TenantRecord:
    """Read what a run has on one tenant; of a row that cannot be used nothing is believed."""
    what = f'The row of "{row.tenant}" for run {run} in the ledger'
    schema = ""
    try:
        intent = Row(row.intent, what)
        schema = intent.required("schema")
        doubt = Row(row.doubt or "{}", what)
        outcome = TenantOutcome(
            intent.required("tenant"),
            schema,
            # an intent never carried out
            intent.optional_one_of("outcome", Outcome)
            or (Outcome.IN_DOUBT if row.doubt else Outcome.INTERRUPTED),
            intent.optional_text("from_revision"),
            intent.optional_text("to_revision"),
            intent.optional_text("engine"),
            intent.number("attempts"),
            intent.number("wave"),
            intent.seconds("duration_s"),
            intent.optional_text("sqlstate") or doubt.optional_text("sqlstate"),
            intent.optional_text("error") or doubt.optional_text("error"),
            intent.optional_text("backup"),
            intent.transaction("lost_xid") or doubt.transaction("lost_xid"),
        )
        target, destination = intent.optional_text("target"), intent.optional_text("destination")
    except LedgerRowError as error:
        return _unusable(row.tenant, schema, error.message)
    return TenantRecord(outcome, target, destination)


def _unusable(tenant: str, schema: str, problem: str) -> TenantRecord:
    outcome = TenantOutcome(tenant, schema, Outcome.IN_DOUBT, error=problem)
    return TenantRecord(outcome, None, None, problem)

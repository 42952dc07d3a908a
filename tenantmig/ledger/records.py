"""Records: what the ledger has on runs and tenants. Reads only, over the control connection."""

from __future__ import annotations

from collections.abc import Callable, Collection
from contextlib import closing, suppress
from dataclasses import replace
from typing import Any

import psycopg
from psycopg.rows import namedtuple_row

from tenantmig.domain.outcome import Outcome, RunReport, TenantRun, Trouble, UnreadableRun
from tenantmig.domain.plan import RunKind
from tenantmig.errors import ConnectError, LedgerRowError, PrivilegeError, UnknownRunError
from tenantmig.ledger import schema as ledger_schema
from tenantmig.ledger.rows import Row
from tenantmig.ledger.run_rows import RunRecord, name_run, read_report, read_run
from tenantmig.ledger.tenant_rows import TenantRecord, read_tenant, unusable
from tenantmig.postgres import rights, sql
from tenantmig.postgres.connection import BoundedConnection, find_salt
from tenantmig.postgres.lock_holder import name_table_holders


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
            read_run(row) for row in self.query("ledger/runs", {"run": None, "limit": limit})
        )

    def tenant_runs(self, tenant: str, limit: int = 20) -> tuple[TenantRun, ...]:
        """Return the newest runs that had a tenant of this name, newest first."""
        if not self.exists:
            return ()
        rows = self.query("ledger/tenant_runs", {"tenant": tenant, "limit": limit})
        return tuple(TenantRun(read_run(row), read_tenant(row, row.id).outcome) for row in rows)

    def run(self, run: int) -> RunReport:
        """Return one run and what it did to each tenant.

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
            raise LedgerRowError(
                f"The ledger has several rows for run {run}. Keep the right one and delete "
                "the others."
            )
        row, facts = rows[0], Row(rows[0].facts, name_run(rows[0]))
        tenants, problems = self._tenant_records(run)
        report = replace(
            read_report(row, facts), tenants=tuple(t.outcome for t in tenants), problems=problems
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
                problems.append(f"A row of run {run} in the ledger does not name a tenant.")
                continue
            known = read_tenant(row, run)
            if row.tenant in found:
                why = (
                    f"the ledger has several rows for this tenant in run {run}; keep the "
                    "right one and delete the others"
                )
                known = unusable(row.tenant, known.outcome.schema, why)
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


def _text(value: object) -> str | None:
    return None if value is None else str(value)

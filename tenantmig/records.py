"""Records: what the ledger has on runs and tenants. Reads only, over the control connection."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from psycopg.rows import namedtuple_row

from tenantmig import ledger_schema, sql
from tenantmig.connection import BoundedConnection
from tenantmig.errors import ConnectError, UnknownRunError
from tenantmig.lineage import Lineage
from tenantmig.notices import Warned
from tenantmig.outcome import Outcome, RunReport, RunState, TenantOutcome
from tenantmig.plan import RunKind


@dataclass(frozen=True, slots=True)
class Trouble:
    """What the latest run of a tenant left: it failed or is in doubt."""

    run: int
    outcome: Outcome
    error: str | None


@dataclass(frozen=True, slots=True)
class TenantRecord:
    """What a run has on one tenant, for going on with it or undoing it.

    `destination` is the target in Alembic's words; None if nothing was planned for the tenant.
    """

    outcome: TenantOutcome
    target: str | None
    destination: str | None


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
        """Run the named query and return its rows as named tuples."""
        with self.connection.cursor(row_factory=namedtuple_row) as cursor:
            facts = {"salt": self.connection.lock_salt} | (parameters or {})
            cursor.execute(sql.query(name, self.schema), facts)
            return cursor.fetchall() if cursor.description else []

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
        if not self.exists:
            return ()
        return tuple(_report(row, ()) for row in self.query("runs", {"run": None, "limit": limit}))

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
        """
        rows = self.query("runs", {"run": run, "limit": 1}) if self.exists else []
        if not rows:
            raise UnknownRunError(f"There is no run {run}; `tenantmig runs` lists them.")
        row = rows[0]
        tenants = tuple(self._tenant_records(run))
        return RunRecord(
            report=_report(row, (tenant.outcome for tenant in tenants)),
            direction=RunKind(row.direction or row.kind),
            is_fleetwide=row.is_fleetwide,
            options=row.options,
            server=row.server,
            tenants=tenants,
        )

    def _tenant_records(self, run: int) -> Iterator[TenantRecord]:
        for row in self.query("run_tenants", {"run": run}):
            facts = row._asdict()
            target, destination = facts.pop("target"), facts.pop("destination")
            # an intent never carried out
            facts["outcome"] = Outcome(facts["outcome"] or Outcome.INTERRUPTED)
            yield TenantRecord(TenantOutcome(**facts), target, destination)

    def troubled_tenants(self) -> dict[str, Trouble]:
        """Return the tenants whose latest run failed or left them in doubt, and why."""
        rows = self.query("troubled_tenants") if self.exists else []
        return {row.tenant: Trouble(row.run, Outcome(row.outcome), row.error) for row in rows}

    def replaced_since(self, run: int) -> dict[str, str]:
        """Return the tenants that are no longer those of a run: what later run saw to that."""
        rows = self.query("replaced_since", {"run": run})
        return {row.tenant: f"run {row.run} ({row.kind})" for row in rows}

    def known_obstacles(self) -> dict[str, str]:
        """Return why revisions were not replayed, as the latest runs found out."""
        rows = self.query("known_obstacles") if self.exists else []
        return {row.revision: row.reason for row in rows}

    def partial_schemas(self) -> dict[str, str]:
        """Return the tenant schemas in which a revision committed a part of itself, and which."""
        rows = self.query("partial_schemas") if self.exists else []
        return {row.schema: row.revision for row in rows}

    def fleet_target(self) -> tuple[RunKind, str] | None:
        """Return the kind of the newest run over the whole fleet, and its target."""
        rows = self.query("fleet_target") if self.exists else []
        return (RunKind(rows[0].kind), rows[0].target) if rows else None


def _report(row: Any, tenants: Iterable[TenantOutcome]) -> RunReport:
    return RunReport(
        run=row.id,
        kind=RunKind(row.kind),
        target=row.target,
        state=RunState(row.state),
        tenants=tuple(tenants),
        started_at=row.started_at,
        duration_s=row.duration_s,
        reason=row.reason,
        undoes=row.undoes,
        obstacles=row.options.get("obstacles", {}),
        warnings=tuple(Warned(**warned) for warned in row.options.get("warnings", ())),
        lineage=Lineage(row.options.get("lineage", Lineage.TENANT)),
    )

"""The ledger: what each run did to each tenant, in a schema of the database that was migrated.

Owns runs and which driver holds one. What is written in a tenant's own
transaction is in `journal`; everything here may come later and says less.
"""

from __future__ import annotations

import os
import platform
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from importlib.metadata import version
from typing import Any, Final, NamedTuple

import psycopg
from psycopg.rows import namedtuple_row
from psycopg.types.json import Jsonb

from tenantmig import ledger_schema, sql
from tenantmig.connection import BoundedConnection, refuse_other_server
from tenantmig.errors import (
    FleetBusyError,
    OvertakenError,
    UnknownRunError,
)
from tenantmig.journal import DONE_OUTCOMES
from tenantmig.outcome import Outcome, RunReport, RunState, TenantOutcome
from tenantmig.plan import MOVES_FLEET, Path, Plan, RunKind, show_heads
from tenantmig.retry import survive_restart
from tenantmig.tenant import Tenant

RUN_LOCK: Final = "hashtextextended('tenantmig.run:' || %s, 0)"
FLEET_LOCK: Final = "SELECT pg_advisory_xact_lock(hashtextextended('tenantmig.fleet', 0))"


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


class RunClaim(NamedTuple):
    """What a driver holds of a run; a claim of an older epoch than the ledger's is void."""

    run: int
    epoch: int
    started_at: datetime
    server: str


def session_name(run: int) -> str:
    """The application_name of the sessions that work for a run."""
    return f"tenantmig run {run}"


class Ledger:
    """The ledger of one database. Calls open a connection with `connect` and reopen a lost one.

    Not for use by two threads at once.
    """

    def __init__(
        self,
        connect: Callable[[], BoundedConnection],
        schema: str,
        reconnect_s: float = 60.0,
    ) -> None:
        self._connect = connect
        self.schema = schema
        self.reconnect_s = reconnect_s
        self._connection: BoundedConnection | None = None
        self._claim: RunClaim | None = None

    @property
    def connection(self) -> BoundedConnection:
        """The control connection, in autocommit mode.

        Raises:
            ServerChangedError: it was lost, and now leads to another server than the run's.
        """
        if self._connection is None or self._connection.closed:
            self._connection = self._connect()
            if self._claim is not None:
                refuse_other_server(self._connection, self._claim.server, self._claim.run)
                self._lock_run(self._claim.run)
        return self._connection

    def close(self) -> None:
        """End the control connection, and with it the lock of the run it held."""
        if self._connection is not None:
            self._connection.close()

    def query(self, name: str, parameters: dict[str, Any] | None = None) -> list[Any]:
        """Run the named query and return its rows as named tuples."""
        with self.connection.cursor(row_factory=namedtuple_row) as cursor:
            cursor.execute(sql.query(name, self.schema), parameters)
            return cursor.fetchall() if cursor.description else []

    @property
    def exists(self) -> bool:
        """True when the ledger has been created and this version of tenantmig can read it.

        An older ledger is brought to this version.

        Raises:
            LedgerError: a newer tenantmig wrote it.
        """
        return ledger_schema.exists(self.connection, self.schema)

    def create(self) -> None:
        """Make the ledger where there is none.

        Idempotent: yes, also for several callers at once.
        Raises:
            PrivilegeError: this role may not create a schema in the database.
        """
        ledger_schema.create(self.connection, self.schema)

    # -- runs -------------------------------------------------------------------------------

    def begin_run(
        self,
        plan: Plan,
        decided: Sequence[TenantOutcome] = (),
        options: Mapping[str, Any] | None = None,
        check: Callable[[], None] | None = None,
    ) -> RunClaim:
        """Write a run, what it intends for each tenant and what is decided already.

        Locks: a shared advisory lock of the run, held on the control connection while the driver
        lives, so that a run whose driver died is seen as interrupted.
        Raises:
            FleetBusyError: another run moves the fleet, and so would this one.
        """
        facts = self._driver() | {
            "kind": plan.kind.value,
            "target": plan.target,
            "direction": plan.direction,
            "undoes": plan.undoes,
            "is_fleetwide": plan.is_fleetwide,
            "options": Jsonb(dict(options or {})),
        }
        with self.transaction():
            self._refuse_busy(plan.kind)
            if check is not None:
                check()
            claim = RunClaim(*self.query("begin_run", facts)[0])
            self._lock_run(claim.run)
            self.write_intents(claim.run, plan, decided)
        self._claim = claim
        return claim

    def take_over(
        self, run: int, kind: RunKind, options: Mapping[str, Any] | None = None
    ) -> RunClaim:
        """Go on with a run whose driver has ended; whatever is left of that driver is fenced out.

        Raises:
            FleetBusyError: its driver lives, or another run moves the fleet.
        """
        facts = self._driver() | {"run": run, "options": Jsonb(dict(options or {}))}
        with self.transaction():
            self._refuse_busy(kind, run)
            claim = RunClaim(*self.query("take_over_run", facts)[0])
            self._lock_run(run)
        self._claim = claim
        return claim

    def _driver(self) -> dict[str, Any]:
        return {
            "host": platform.node(),
            "driver_pid": os.getpid(),
            "tool_version": version("tenantmig"),
            "server": self.connection.server,
        }

    def _refuse_busy(self, kind: RunKind, run: int | None = None) -> None:
        """Make sure that one run moves the fleet; fence out drivers that have died."""
        self.connection.execute(FLEET_LOCK)
        kinds = [k.value for k in MOVES_FLEET] if kind in MOVES_FLEET else []
        alive = self.query("live_runs", {"kinds": [*RunKind]})
        for other in alive:
            if other.kind in kinds or other.id == run:
                raise FleetBusyError(
                    f"Run {other.id} ({other.kind} to {other.target}) has held the fleet since"
                    f" {other.started_at:%Y-%m-%d %H:%M:%S %Z}, begun by {other.actor} on"
                    f" {other.host} (pid {other.driver_pid}). Wait for it, or interrupt it there;"
                    " nothing was touched."
                )
        if kinds:
            dead = {"kinds": kinds, "alive": [other.id for other in alive]}
            self.query("fence_dead_runs", dead)

    def write_intents(self, run: int, plan: Plan, decided: Sequence[TenantOutcome] = ()) -> None:
        """Write what a run is about to do to each tenant, and what is decided already."""
        rows: list[tuple[str | None, ...]]
        rows = [
            (
                t.name,
                t.schema,
                show_heads(p.source),
                show_heads(p.target),
                p.destination,
                None,
                None,
            )
            for t, p in _intended(plan)
        ]
        rows += [
            (d.tenant, d.schema, d.from_revision, d.to_revision, None, d.outcome, d.error)
            for d in decided
        ]
        names = ("tenants", "schemas", "sources", "targets", "destinations", "outcomes", "errors")
        columns = {name: [row[i] for row in rows] for i, name in enumerate(names)}
        self.query("write_intents", {"run": run, **columns})

    def _lock_run(self, run: int) -> None:
        # shared, so that a driver that reconnects never waits for its own lost connection
        assert self._connection is not None
        self._connection.execute(f"SELECT pg_try_advisory_lock_shared({RUN_LOCK})", [str(run)])

    def record_outcome(
        self, claim: RunClaim, outcome: TenantOutcome, *, is_undone: bool = False
    ) -> TenantOutcome:
        """Write what a run came to for one tenant, and return it as the ledger then has it.

        What was written in the DDL's own transaction stands: if the last COMMIT did arrive, the
        tenant is done whatever the driver saw; and the revision it reached is always that of the
        journal. `is_undone` says that nothing of the tenant is left.

        Raises:
            OvertakenError: another driver has taken the run over; nothing was written.
        """
        facts = asdict(outcome) | {
            "run": claim.run,
            "epoch": claim.epoch,
            "is_undone": is_undone,
            "done": DONE_OUTCOMES,
        }
        try:
            rows = self._insist(lambda: self.query("record_outcome", facts))
        except psycopg.errors.LockNotAvailable:
            # the transaction in doubt holds the tenant's row; if it commits, its word stands
            rows = self._insist(lambda: self.query("record_doubt", facts))
            self._refuse_overtaken(rows, claim)
            return replace(outcome, outcome=Outcome.IN_DOUBT)
        self._refuse_overtaken(rows, claim)
        row = rows[0]
        return replace(outcome, outcome=Outcome(row.outcome), to_revision=row.to_revision)

    @staticmethod
    def _refuse_overtaken(rows: Sequence[Any], claim: RunClaim) -> None:
        if not rows:
            raise OvertakenError(
                f"Run {claim.run} was taken over by another driver; this one stopped."
            )

    def finish_run(self, claim: RunClaim, state: RunState, reason: str | None) -> None:
        """Write how a run ended and give up its lock.

        Raises:
            OvertakenError: another driver has taken the run over; nothing was written.
        """
        facts = {
            "run": claim.run,
            "epoch": claim.epoch,
            "state": state.value,
            "reason": reason,
        }
        rows = self._insist(lambda: self.query("finish_run", facts))
        self._claim = None
        with suppress(psycopg.OperationalError):  # a lost connection has given it up already
            unlock = f"SELECT pg_advisory_unlock_shared({RUN_LOCK})"
            self.connection.execute(unlock, [str(claim.run)])
        self._refuse_overtaken(rows, claim)

    def _insist(self, write: Callable[[], list[Any]]) -> list[Any]:
        """Make an idempotent write also through a restart of the server."""
        return survive_restart(write, self.reconnect_s)

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

    def partial_schemas(self) -> dict[str, str]:
        """Return the tenant schemas in which a revision committed a part of itself, and which."""
        rows = self.query("partial_schemas") if self.exists else []
        return {row.schema: row.revision for row in rows}

    def fleet_target(self) -> tuple[RunKind, str] | None:
        """Return what the newest run over the whole fleet does, and its target."""
        rows = self.query("fleet_target") if self.exists else []
        return (RunKind(rows[0].direction or rows[0].kind), rows[0].target) if rows else None

    @contextmanager
    def transaction(self) -> Iterator[psycopg.Connection]:
        """A transaction on the control connection."""
        with self.connection.transaction():
            yield self.connection


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
    )


def _intended(plan: Plan) -> Iterator[tuple[Tenant, Path]]:
    for group in plan.groups:
        for tenant in group.tenants:
            yield tenant, group.path

"""The ledger: what each run did to each tenant, in a schema of the database that was migrated.

Owns its tables and their version. The row that says a tenant reached a revision is written by
`record_step` in the transaction of the DDL; everything else may come later and says less.
"""

from __future__ import annotations

import platform
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from importlib.metadata import version
from typing import Any, Final, NamedTuple

import psycopg
from psycopg.rows import namedtuple_row

from tenantmig import sql
from tenantmig.errors import (
    ConnectError,
    LedgerError,
    PrivilegeError,
    TenantSessionError,
    UnknownRunError,
)
from tenantmig.outcome import DONE, Outcome, RunReport, RunState, TenantOutcome
from tenantmig.plan import Assignment, Heads, Path, RunKind, show_heads
from tenantmig.retry import survive_restart
from tenantmig.tenant import Tenant

LEDGER_VERSION = 1
RUN_LOCK: Final = "hashtextextended('tenantmig.run:' || %s, 0)"
CREATION_LOCK: Final = "SELECT pg_advisory_xact_lock(hashtextextended('tenantmig.ledger', 0))"


@dataclass(frozen=True, slots=True)
class Trouble:
    """What the latest run of a tenant left: it failed or is in doubt."""

    run: int
    outcome: Outcome
    error: str | None


def session_name(run: int) -> str:
    """The application_name of the sessions that work for a run."""
    return f"tenantmig run {run}"


class Ledger:
    """The ledger of one database. Calls open a connection with `connect` and reopen a lost one.

    Not for use by two threads at once.
    """

    def __init__(self, connect: Callable[[], psycopg.Connection], schema: str) -> None:
        self._connect = connect
        self.schema = schema
        self._connection: psycopg.Connection | None = None
        self._held_run: int | None = None

    @property
    def connection(self) -> psycopg.Connection:
        """The control connection, in autocommit mode."""
        if self._connection is None or self._connection.closed:
            self._connection = self._connect()
            if self._held_run is not None:
                self._lock_run(self._held_run)
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

    # -- the ledger itself ------------------------------------------------------------------

    @property
    def exists(self) -> bool:
        """True when the ledger has been created and this version of tenantmig can read it.

        Raises:
            LedgerError: a newer tenantmig wrote it.
        """
        # a scan of pg_class: to_regclass may answer from a stale cache inside a transaction
        found = self.connection.execute(
            "SELECT EXISTS (SELECT FROM pg_class JOIN pg_namespace AS n ON n.oid = relnamespace"
            " WHERE nspname = %s AND relname = 'ledger_version')",
            [self.schema],
        ).fetchone()
        if not (found and found[0]):
            return False
        current = self.query("ledger_version")[0].version
        if current > LEDGER_VERSION:
            raise LedgerError(
                f'The ledger "{self.schema}" has version {current} and this tenantmig knows'
                f" {LEDGER_VERSION}; upgrade tenantmig. Nothing was touched."
            )
        return True

    def create(self) -> None:
        """Make the ledger where there is none.

        Idempotent: yes, also for several callers at once.
        Raises:
            PrivilegeError: this role may not create a schema in the database.
        """
        if self.exists:
            return
        try:
            with self.connection.transaction():
                self.connection.execute(CREATION_LOCK)
                if not self.exists:
                    self._create_schema()
                    self.connection.execute(sql.query("ledger_v1", self.schema))
        except psycopg.errors.InsufficientPrivilege as error:
            raise PrivilegeError(
                f'The ledger schema "{self.schema}" cannot be created:'
                f" {error.diag.message_primary}. Grant CREATE on the database to this role,"
                " or have its owner create the schema and give it to this role."
            ) from error

    def _create_schema(self) -> None:
        """Create the ledger's schema unless its owner made it: IF NOT EXISTS asks for the right."""
        lookup = "SELECT FROM pg_namespace WHERE nspname = %s::text"
        if self.connection.execute(lookup, [self.schema]).rowcount == 0:
            create = psycopg.sql.SQL("CREATE SCHEMA {}")
            self.connection.execute(create.format(psycopg.sql.Identifier(self.schema)))

    # -- runs -------------------------------------------------------------------------------

    def begin_run(
        self,
        kind: RunKind,
        target: str,
        intended: Sequence[tuple[Tenant, Path]],
        decided: Sequence[TenantOutcome] = (),
    ) -> tuple[int, datetime]:
        """Write a run, what it intends for each tenant and what is decided already.

        Returns its id and when it began, by the database's clock.

        Locks: an advisory lock of the run, held on the control connection while the driver lives,
        so that a run whose driver died is seen as interrupted.
        """
        facts = {
            "kind": kind.value,
            "target": target,
            "host": platform.node(),
            "tool_version": version("tenantmig"),
        }
        rows = [
            (
                tenant.name,
                tenant.schema,
                show_heads(path.source),
                show_heads(path.target),
                None,
                None,
            )
            for tenant, path in intended
        ] + [
            (
                done.tenant,
                done.schema,
                done.from_revision,
                done.to_revision,
                done.outcome,
                done.error,
            )
            for done in decided
        ]
        names = ("tenants", "schemas", "sources", "targets", "outcomes", "errors")
        columns = {name: [row[i] for row in rows] for i, name in enumerate(names)}
        with self.transaction():
            run, started_at = self.query("begin_run", facts)[0]
            self._lock_run(run)
            self.query("write_intents", {"run": run, **columns})
        self._held_run = run
        return run, started_at

    def _lock_run(self, run: int) -> None:
        # shared, so that a driver that reconnects never waits for its own lost connection
        assert self._connection is not None
        self._connection.execute(f"SELECT pg_try_advisory_lock_shared({RUN_LOCK})", [str(run)])

    def record_outcome(
        self, run: int, outcome: TenantOutcome, *, is_undone: bool = False
    ) -> TenantOutcome:
        """Write what a run came to for one tenant, and return it as the ledger then has it.

        What was written in the DDL's own transaction stands: if the last COMMIT did arrive, the
        tenant is done whatever the driver saw; and the revision it reached is always that of the
        journal. `is_undone` says that nothing of the tenant is left.
        """
        facts = asdict(outcome) | {"run": run, "is_undone": is_undone}
        row = survive_restart(lambda: self.query("record_outcome", facts))[0]
        return replace(outcome, outcome=Outcome(row.outcome), to_revision=row.to_revision)

    def finish_run(self, run: int, state: RunState, reason: str | None) -> None:
        """Write how a run ended and give up its lock."""
        facts = {"run": run, "state": state.value, "reason": reason}
        survive_restart(lambda: self.query("finish_run", facts))
        self._held_run = None
        self.connection.execute(f"SELECT pg_advisory_unlock_shared({RUN_LOCK})", [str(run)])

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
        rows = self.query("runs", {"run": run, "limit": 1}) if self.exists else []
        if not rows:
            raise UnknownRunError(f"There is no run {run}; `tenantmig runs` lists them.")
        return _report(rows[0], self._tenant_outcomes(run))

    def _tenant_outcomes(self, run: int) -> Iterator[TenantOutcome]:
        for row in self.query("run_tenants", {"run": run}):
            yield TenantOutcome(
                tenant=row.tenant,
                schema=row.schema,
                outcome=Outcome(row.outcome or Outcome.INTERRUPTED),  # an intent never carried out
                from_revision=row.from_revision,
                to_revision=row.to_revision,
                engine=row.engine,
                attempts=row.attempts,
                wave=row.wave,
                duration_s=row.duration_s,
                sqlstate=row.sqlstate,
                error=row.error,
            )

    def troubled_tenants(self) -> dict[str, Trouble]:
        """Return the tenants whose latest run failed or left them in doubt, and why."""
        rows = self.query("troubled_tenants") if self.exists else []
        return {row.tenant: Trouble(row.run, Outcome(row.outcome), row.error) for row in rows}

    def cancel_statements(self, application_name: str) -> int:
        """Cancel what other sessions of this name run right now; return how many were told."""
        with suppress(psycopg.OperationalError, ConnectError):
            return len(self.query("cancel_statements", {"application_name": application_name}))
        return 0

    @contextmanager
    def transaction(self) -> Iterator[psycopg.Connection]:
        """A transaction on the control connection."""
        with self.connection.transaction():
            yield self.connection


class Claim(NamedTuple):
    """What earlier attempts of the same run left: an outcome, or a revision committed in part."""

    outcome: Outcome | None
    is_partial: bool


def begin_attempt(connection: psycopg.Connection, ledger: str, assignment: Assignment) -> Claim:
    """Claim an attempt, on the tenant's own connection and under its lock.

    The claim has an outcome if an earlier attempt's last transaction did commit after all.

    Raises:
        LedgerError: a later attempt has been claimed: this driver was overtaken.
    """
    claimed = connection.execute(sql.query("begin_attempt", ledger), _key(assignment)).fetchone()
    if claimed is None:
        raise LedgerError(
            f'Attempt {assignment.attempt} on "{assignment.tenant.name}" in run {assignment.run}'
            " was taken over by another driver."
        )
    outcome, is_partial = claimed
    return Claim(Outcome(outcome) if outcome else None, is_partial)


def record_part(connection: psycopg.Connection, ledger: str, assignment: Assignment) -> None:
    """Write that a part of a revision is being committed, in the transaction of that part.

    Until `record_step` of the same revision, nothing may run it again blindly.
    """
    connection.execute(sql.query("record_part", ledger), _key(assignment))


def _key(assignment: Assignment) -> dict[str, object]:
    return {
        "run": assignment.run,
        "tenant": assignment.tenant.name,
        "attempt": assignment.attempt,
    }


def record_step(
    connection: psycopg.Connection,
    ledger: str,
    assignment: Assignment,
    heads: Heads,
    *,
    is_bound: bool = True,
) -> None:
    """Write the revision that a tenant reached, in the transaction of the DDL that reached it.

    The statement also asserts that the session is still in the tenant schema (`is_bound`; an
    offboarded tenant has none) and that no other driver has taken the tenant over; otherwise the
    transaction must not be committed.

    Raises:
        TenantSessionError: one of these does not hold.
    """
    is_done = heads == assignment.path.target
    written = connection.execute(
        sql.query("record_step", ledger),
        {
            **_key(assignment),
            "schema": assignment.tenant.schema if is_bound else None,
            "revision": show_heads(heads),
            "outcome": DONE[assignment.kind].value if is_done else None,
        },
    )
    if written.rowcount != 1:
        raise TenantSessionError(
            f'A script left the session outside the tenant schema "{assignment.tenant.schema}"'
            " (it changed search_path), or another driver took the tenant over;"
            " the revision was rolled back."
        )


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
    )

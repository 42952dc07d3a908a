"""The ledger: what each run did to each tenant, in a schema of the database that was migrated.

Owns runs and which driver holds one. What is written in a tenant's own
transaction is in `journal`; everything here may come later and says less.
"""

from __future__ import annotations

import os
import platform
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict
from importlib.metadata import version
from typing import Any, Final, TypeVar

import psycopg
from psycopg.types.json import Jsonb

from tenantmig.domain.notices import Warned
from tenantmig.domain.outcome import RunState, TenantOutcome
from tenantmig.domain.plan import MOVES_FLEET, Path, Plan, RunKind, show_heads
from tenantmig.domain.tenant import Tenant
from tenantmig.errors import FleetBusyError
from tenantmig.ledger import schema as ledger_schema
from tenantmig.ledger.claim import RunClaim, refuse_overtaken
from tenantmig.ledger.records import Records
from tenantmig.postgres.connection import BoundedConnection, salt_of
from tenantmig.postgres.lock_holder import name_holder
from tenantmig.postgres.retry import survive_restart
from tenantmig.postgres.same_server import refuse_other_server

T = TypeVar("T")
RUN_LOCK: Final = "hashtextextended('tenantmig.run:' || %s, %s)"
FLEET_LOCK: Final = "SELECT pg_advisory_xact_lock(hashtextextended('tenantmig.fleet', %s))"


class Ledger(Records):
    """The ledger of one database, and the claim of the driver on its run.

    Writes that a restart of the server cuts off are made again for `reconnect_s`.
    """

    def __init__(
        self,
        connect: Callable[[], BoundedConnection],
        schema: str,
        reconnect_s: float = 60.0,
    ) -> None:
        super().__init__(connect, schema)
        self.reconnect_s = reconnect_s
        self._claim: RunClaim | None = None

    @property
    def connection(self) -> BoundedConnection:
        """The control connection; one that was lost takes the lock of the claimed run again.

        Raises:
            ServerChangedError: it now leads to another server than the run's.
        """
        was_lost = self._connection is None or self._connection.closed
        connection = super().connection
        if was_lost and self._claim is not None:
            refuse_other_server(connection, self._claim.server, self._claim.run)
            self._lock_run(self._claim.run)
        return connection

    def create(self) -> None:
        """Make the ledger where there is none.

        Idempotent: yes, also for several callers at once.
        Raises:
            PrivilegeError: this role may not create a schema in the database.
        """
        if not self.exists:
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
        with self._alone():
            self._refuse_busy(plan.kind)
            if check is not None:
                check()
            claim = RunClaim(*self.query("ledger/begin_run", facts)[0])
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
        with self._alone():
            self._refuse_busy(kind, run)
            claim = RunClaim(*self.query("ledger/take_over_run", facts)[0])
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
        kinds = [k.value for k in MOVES_FLEET] if kind in MOVES_FLEET else []
        alive = self.query("ledger/live_runs")
        for other in alive:
            # of one that this tenantmig does not know the worst is believed
            is_mover = other.kind in kinds or (kinds and other.kind not in [*RunKind])
            if is_mover or other.id == run:
                holder = name_holder(self.connection, f"tenantmig.run:{other.id}")
                raise FleetBusyError(
                    f"Run {other.id} ({other.kind}, target {other.target}) has held the "
                    f"fleet since {other.started_at}. {other.actor} started it on "
                    f"{other.host} (pid {other.driver_pid}); its lock is held by {holder}. "
                    "Wait for that run, or interrupt it there. Nothing was touched."
                )
        if kinds:
            dead = {"kinds": kinds, "alive": [other.id for other in alive]}
            self.query("ledger/fence_dead_runs", dead)

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """A transaction in which no other run begins."""
        is_locked = False
        try:
            with self.transaction():
                self.connection.execute(FLEET_LOCK, [salt_of(self.connection)])
                is_locked = True
                yield
        except psycopg.errors.LockNotAvailable as error:
            if is_locked:
                raise
            holder = name_holder(self.connection, "tenantmig.fleet")
            raise FleetBusyError(
                f"No run can begin: the lock of the fleet is held by {holder}. tenantmig "
                "holds this lock only for a moment. Wait for that session, or end it. "
                "Nothing was touched."
            ) from error

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
        self.query("ledger/write_intents", {"run": run, **columns})

    def _lock_run(self, run: int) -> None:
        # shared, so that a driver that reconnects never waits for its own lost connection
        assert self._connection is not None
        lock = f"SELECT pg_try_advisory_lock_shared({RUN_LOCK})"
        facts = [str(run), salt_of(self._connection)]
        if self._connection.execute(lock, facts).fetchone() != (True,):
            holder = name_holder(self._connection, f"tenantmig.run:{run}")
            raise FleetBusyError(
                f"The lock of run {run} is held by {holder}, which is not a session of "
                "tenantmig. End that session, then run again."
            )

    def finish_run(
        self,
        claim: RunClaim,
        state: RunState,
        reason: str | None,
        obstacles: Mapping[str, str] | None = None,
        warnings: Sequence[Warned] = (),
    ) -> None:
        """Write how a run ended, with the `obstacles` to replaying it met, and give up its lock.

        Raises:
            OvertakenError: another driver has taken the run over; nothing was written.
        """
        facts = {
            "run": claim.run,
            "epoch": claim.epoch,
            "state": state.value,
            "reason": reason,
            "obstacles": Jsonb(dict(obstacles or {})),
            "warnings": Jsonb([asdict(warned) for warned in warnings]),
        }
        rows = self.insist(lambda: self.query("ledger/finish_run", facts))
        self._claim = None
        with suppress(psycopg.OperationalError):  # a lost connection has given it up already
            unlock = f"SELECT pg_advisory_unlock_shared({RUN_LOCK})"
            self.connection.execute(unlock, [str(claim.run), salt_of(self.connection)])
        refuse_overtaken(rows, claim)

    def insist(self, call: Callable[[], T]) -> T:
        """Make an idempotent call on the control connection, also through a restart."""
        return survive_restart(call, self.reconnect_s)

    @contextmanager
    def transaction(self) -> Iterator[psycopg.Connection]:
        """A transaction on the control connection."""
        with self.connection.transaction():
            yield self.connection


def _intended(plan: Plan) -> Iterator[tuple[Tenant, Path]]:
    for group in plan.groups:
        for tenant in group.tenants:
            yield tenant, group.path

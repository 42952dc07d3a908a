"""The pool: finished schemas that wait for a sign-up: shown, filled and drained.

A member is given out only as long as the server's catalogs say that nobody touched it, and its
version table that it is at the target.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, replace
from typing import Final

import psycopg

from tenantmig.domain.plan import show_heads
from tenantmig.domain.tenant import POOL
from tenantmig.errors import FleetBusyError, TenantLockedError
from tenantmig.fleet.driver import Driver
from tenantmig.fleet.pool_births import WITNESSES, add_members
from tenantmig.fleet.pool_history import problem_of, why_off
from tenantmig.fleet.run_options import RunOptions
from tenantmig.ledger import pool_members
from tenantmig.ledger.ledger import Ledger
from tenantmig.postgres.connection import connect, salt_of
from tenantmig.postgres.tenant_extensions import home_of
from tenantmig.postgres.tenant_lock import wait_for_lock
from tenantmig.postgres.tenant_schema import drop_schema, schema_exists

FILL_LOCK: Final = "hashtextextended('tenantmig.pool', %s)"


@dataclass(frozen=True, slots=True)
class PoolMember:
    """One schema of the pool; `problem` says why it is not given out, if it is not."""

    schema: str
    revision: str
    problem: str | None = None

    @property
    def is_ready(self) -> bool:
        """True when a sign-up may get it."""
        return self.problem is None


@dataclass(frozen=True, slots=True)
class PoolReport:
    """The pool: how many members it should have, those that it has, and why it is off, if so."""

    size: int
    members: tuple[PoolMember, ...] = ()
    reason: str | None = None
    """Why no member can be created, or given out."""
    added: int = 0
    dropped: int = 0

    @property
    def ready(self) -> int:
        """How many members can be given out."""
        return sum(member.is_ready for member in self.members)


def show(driver: Driver) -> PoolReport:
    """Return the pool as it is now."""
    with driver.ledger() as ledger:
        return _report(driver, ledger)


def _report(driver: Driver, ledger: Ledger, reason: str | None = None) -> PoolReport:
    rows = pool_members.list_members(ledger.connection, ledger.schema) if ledger.exists else []
    versions = driver.reader(ledger)([row.schema for row in rows if row.is_there])
    members = []
    for row in rows:
        problem = problem_of(driver, row)
        if problem is None:
            found = versions[row.schema]
            at = show_heads(found.heads) or "base"
            problem = found.problem or (None if at == row.revision else f"it is at {at}")
        members.append(PoolMember(row.schema, row.revision, problem))
    return PoolReport(driver.settings.pool, tuple(members), reason or why_off(driver))


def fill(driver: Driver, options: RunOptions, size: int | None = None) -> PoolReport:
    """Drop the members that cannot be given out, and create those that are missing.

    Idempotent: yes. Another fill that is at work is left to it.
    """
    wanted = driver.settings.pool if size is None else size
    with driver.ledger() as ledger:
        ledger.create()
        with _filling(ledger) as is_alone:
            if not is_alone:
                return _report(driver, ledger, "another session is filling the pool")
            pool_members.create_pool(ledger.connection, ledger.schema)
            dropped = _drop_leftovers(driver, ledger)
            members = _report(driver, ledger).members
            stale = [m.schema for m in members if not m.is_ready]
            dropped += sum(_drop_member(driver, ledger, schema) for schema in stale)
            reason = why_off(driver)
            ready = len(members) - len(stale)
            if reason is not None or ready >= wanted:
                surplus = [m.schema for m in members if m.is_ready][max(0, wanted) :]
                dropped += sum(_drop_member(driver, ledger, schema) for schema in surplus)
                return replace(_report(driver, ledger, reason), dropped=dropped)
            count = max(wanted - ready, 0 if ready else WITNESSES)
            added, reason = add_members(driver, ledger, options, count, wanted - ready)
            _drop_leftovers(driver, ledger)  # those that were not taken in
            return replace(_report(driver, ledger, reason), added=added, dropped=dropped)


def drain(driver: Driver) -> PoolReport:
    """Drop every member of the pool that no sign-up holds."""
    with driver.ledger() as ledger:
        if not ledger.exists:
            return _report(driver, ledger)
        with _filling(ledger) as is_alone:
            if not is_alone:
                raise FleetBusyError("Another session is filling the pool. Nothing was touched.")
            pool_members.create_pool(ledger.connection, ledger.schema)
            rows = pool_members.list_members(ledger.connection, ledger.schema)
            dropped = sum(_drop_member(driver, ledger, row.schema) for row in rows)
            dropped += _drop_leftovers(driver, ledger)
            return replace(_report(driver, ledger), dropped=dropped)


@contextmanager
def _filling(ledger: Ledger) -> Iterator[bool]:
    """Hold the lock of whoever fills, on the control connection; false if another has it."""
    connection = ledger.connection
    salt = salt_of(connection)
    row = connection.execute(f"SELECT pg_try_advisory_lock({FILL_LOCK})", [salt]).fetchone()
    is_alone = bool(row and row[0])
    try:
        yield is_alone
    finally:
        if is_alone:
            with suppress(psycopg.Error):
                connection.execute(f"SELECT pg_advisory_unlock({FILL_LOCK})", [salt])


def _drop_member(driver: Driver, ledger: Ledger, schema: str) -> bool:
    """Drop one member, unless a claim holds it or has it.

    Of a row that names a schema which is none of the pool's, only the row: it may be a tenant's.
    """
    with closing(connect(driver.session_options)) as connection:
        if not _is_locked(connection, schema):
            return False
        with connection.transaction():
            if not pool_members.forget_member(connection, ledger.schema, schema):
                return False
            if schema.startswith(POOL):
                _drop_schema(driver, connection, schema)
        return True


def _drop_leftovers(driver: Driver, ledger: Ledger) -> int:
    """Drop the schemas whose birth for the pool was cut off; the caller holds the fill lock."""
    dropped = 0
    for schema in pool_members.leftovers(ledger.connection, ledger.schema):
        with closing(connect(driver.session_options)) as connection:
            if _is_locked(connection, schema):
                with connection.transaction():
                    _drop_schema(driver, connection, schema)
                    pool_members.forget_birth(connection, ledger.schema, schema)
                dropped += 1
    return dropped


def _drop_schema(driver: Driver, connection: psycopg.Connection, schema: str) -> None:
    if schema_exists(connection, schema):
        drop_schema(connection, schema, home_of(driver.session_options.extension_schemas))


def _is_locked(connection: psycopg.Connection, schema: str) -> bool:
    try:
        wait_for_lock(connection, schema, 0.0)
    except TenantLockedError:
        return False
    return True

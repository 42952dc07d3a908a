"""Giving a member of the pool to a tenant: the claim, the read-back, and a claim that was lost."""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterable
from contextlib import closing
from typing import Final

import psycopg

from tenantmig.domain.outcome import Outcome, RunReport, RunState, TenantOutcome
from tenantmig.domain.plan import Plan, RunKind, show_heads
from tenantmig.domain.tenant import Tenant
from tenantmig.errors import ConnectError, ReadBackError, TenantLockedError, sentence_of
from tenantmig.fleet.driver import Driver
from tenantmig.fleet.pool_history import history_mark
from tenantmig.ledger import pool_members
from tenantmig.ledger.pool_members import Claim
from tenantmig.postgres.connection import BoundedConnection, connect
from tenantmig.postgres.tenant_lock import wait_for_lock

PATIENCE_S: Final = 10.0
ENGINE: Final = "pool"


def claim(
    driver: Driver,
    connection: BoundedConnection,
    tenant: Tenant,
    plan: Plan,
    histories: Iterable[str],
) -> RunReport | None:
    """Give a member to a tenant; None where there is none that may be given out.

    Two round trips: the claim, which is one transaction, and the read-back after it.

    Raises:
        ReadBackError: what was committed is not what was asked for.
    """
    wanted = show_heads(plan.groups[0].path.target) or ""
    for history in sorted(histories):
        asked = Claim(
            tenant,
            driver.settings.source == "registry",
            wanted,
            plan.target,
            history,
            driver.settings.version_table,
            driver.history.revisions,
            connection.server,
            secrets.token_hex(8),
        )
        run = None
        try:
            run = pool_members.claim_member(connection, driver.settings.ledger_schema, asked)
            if run is not None:
                return _reported(driver, connection, asked, run)
        except psycopg.Error as error:
            if connection.closed:
                return _after_loss(driver, asked)
            if run is not None:
                raise _in_doubt(asked, error) from error
            return None  # the ordinary birth tries it, and says what is wrong
    return None


def _after_loss(driver: Driver, asked: Claim) -> RunReport | None:
    """Look, under the tenant's lock, whether a claim whose answer was lost was committed.

    Raises:
        ReadBackError: that cannot be found out now.
    """
    try:
        with closing(connect(driver.session_options)) as connection:
            wait_for_lock(connection, asked.tenant.schema, time.monotonic() + PATIENCE_S)
            return _reported(driver, connection, asked, 0)
    except (psycopg.Error, ConnectError, TenantLockedError) as error:
        raise _in_doubt(asked, error) from error


def _in_doubt(asked: Claim, error: Exception) -> ReadBackError:
    return ReadBackError(
        f'Whether "{asked.tenant.name}" was given a schema of the pool is in doubt: '
        f"{sentence_of(error)} Run `tenantmig tenants list` to see it."
    )


def _reported(
    driver: Driver, connection: psycopg.Connection, asked: Claim, run: int
) -> RunReport | None:
    found = pool_members.read_claimed(connection, driver.settings.ledger_schema, asked, run)
    if found is None:
        return None
    outcome = TenantOutcome(
        asked.tenant.name,
        asked.tenant.schema,
        Outcome.ONBOARDED,
        None,
        asked.wanted,
        engine=ENGINE,
        attempts=1,
        duration_s=round(found.duration_s, 3),
    )
    return RunReport(
        run=found.run,
        kind=RunKind.ONBOARD,
        target=asked.destination,
        state=RunState.COMPLETE,
        tenants=(outcome,),
        started_at=found.started_at,
        duration_s=outcome.duration_s,
    )


def histories(driver: Driver, connection: psycopg.Connection) -> set[str]:
    """Return the marks of members that this history and these settings would make."""
    rows = pool_members.list_members(connection, driver.settings.ledger_schema)
    return {row.history for row in rows if row.history == history_mark(driver, row.files)}

"""The advisory lock of a tenant, taken by polling. Knows one connection and a schema's name."""

from __future__ import annotations

import time

import psycopg

from tenantmig.errors import TenantLockedError
from tenantmig.postgres.connection import salt_of
from tenantmig.postgres.lock_holder import name_holder
from tenantmig.postgres.step_watch import BESIDE_LOCK

LOCK_POLL_S = 0.1
TENANT_LOCK = "hashtextextended('tenantmig.tenant:' || %(schema)s, %(salt)s)"
TRY_LOCK = f"""
    SELECT CASE WHEN NOT pg_try_advisory_lock({TENANT_LOCK}) THEN false
                WHEN pg_try_advisory_lock({BESIDE_LOCK}) THEN pg_advisory_unlock({BESIDE_LOCK})
                ELSE NOT pg_advisory_unlock({TENANT_LOCK}) END
"""
"""Who has the lock has it alone only when no connection of an earlier attempt's script is left."""


def wait_for_lock(connection: psycopg.Connection, schema: str, deadline: float) -> None:
    """Take the tenant's lock before the monotonic clock shows `deadline`.

    Raises:
        TenantLockedError: another session holds it and did not end in time.
    """
    while not _try_lock(connection, schema):
        if time.monotonic() >= deadline:
            locks = (f"tenantmig.{kind}:{schema}" for kind in ("tenant", "beside"))
            holder = name_holder(connection, *locks)
            raise TenantLockedError(
                f'Another session is migrating the tenant schema "{schema}": '
                f"{holder}; run again when that session has ended."
            )
        time.sleep(LOCK_POLL_S)


def _try_lock(connection: psycopg.Connection, schema: str) -> bool:
    facts = {"schema": schema, "salt": salt_of(connection)}
    row = connection.execute(TRY_LOCK, facts).fetchone()
    return bool(row and row[0])

"""Locks on tables outside the tenant schema that a revision holds, and keeps others from.

Looks at the session of one tenant; what follows from it is the engines' to decide.
"""

from __future__ import annotations

from tenantmig.domain.tenant import Tenant
from tenantmig.postgres.session import TenantSession
from tenantmig.postgres.sql import query


def find_shared_lock(session: TenantSession, tenant: Tenant, ledger: str) -> str | None:
    """Name a table outside the tenant schema that the revision keeps others from."""
    facts = {"schema": tenant.schema}
    found = session.driver.execute(query("engines/shared_locks", ledger), facts).fetchone()
    return str(found[0]) if found else None

"""Blockers: who was in the way of a revision that met a lock. Told with its error."""

from __future__ import annotations

import psycopg
import sqlalchemy as sa

from tenantmig.connection import in_catalog
from tenantmig.diagnosis import origin_of
from tenantmig.elsewhere import looking
from tenantmig.failure import LOCKED
from tenantmig.lock_holder import name_table_holders
from tenantmig.session import TenantSession


def find_blockers(error: BaseException, session: TenantSession, schema: str, shared: str) -> str:
    """Say who holds locks on the tenant's tables, or else on shared ones, or nothing.

    Rolls the session's transaction back. Whoever has let go meanwhile is not told of; a look that
    fails says nothing.
    """
    origin = origin_of(error)
    if not isinstance(origin, psycopg.Error) or origin.sqlstate not in LOCKED:
        return ""
    try:
        with looking(session) as connection, in_catalog(connection):
            told = name_table_holders(connection, [schema, shared])
    except (psycopg.Error, sa.exc.SQLAlchemyError):
        return ""
    return f"; {told}" if told else ""

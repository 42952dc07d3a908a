"""Blockers: who was in the way of a revision that met a lock. Told with its error."""

from __future__ import annotations

import psycopg
import sqlalchemy as sa

from tenantmig.domain.failure import LOCKED
from tenantmig.postgres.connection import in_catalog
from tenantmig.postgres.diagnosis import origin_of
from tenantmig.postgres.elsewhere import looking
from tenantmig.postgres.lock_holder import name_table_holders
from tenantmig.postgres.session import TenantSession


def find_blockers(error: BaseException, session: TenantSession, *schemas: str) -> str:
    """Say who holds locks on tables of the first of these schemas in which anybody does, or "".

    Rolls the session's transaction back. Whoever has let go meanwhile is not told of; a look that
    fails says nothing.
    """
    origin = origin_of(error)
    if not isinstance(origin, psycopg.Error) or origin.sqlstate not in LOCKED:
        return ""
    try:
        with looking(session) as connection, in_catalog(connection):
            told = name_table_holders(connection, schemas)
    except (psycopg.Error, sa.exc.SQLAlchemyError):
        return ""
    return f"; {told}" if told else ""

"""Denial: which right a session lacked when the server denied it something in a tenant schema.

Read from the catalogs when an attempt has failed, and told with its error.
"""

from __future__ import annotations

import psycopg
import sqlalchemy as sa

from tenantmig.errors import PrivilegeError
from tenantmig.postgres.connection import in_catalog
from tenantmig.postgres.diagnosis import is_denied, is_hiding_rows, origin_of
from tenantmig.postgres.elsewhere import looking
from tenantmig.postgres.rights import missing_grants, needs_of
from tenantmig.postgres.session import TenantSession
from tenantmig.postgres.sql import query

JOURNAL = (
    "ledger/record_step",
    "ledger/read_back",
    "ledger/withdraw_step",
    "ledger/read_parts",
    "ledger/write_part",
    "ledger/forget_parts",
)
"""The queries of a session while and after its scripts run."""
SUPERUSER = (
    "its owner is a superuser: give the schema and the objects in it to a role of their "
    "own, and make this role a member of that role"
)


def find_denied(
    error: BaseException,
    session: TenantSession,
    schema: str,
    version_table: str,
    *,
    needs_owner: bool = False,
) -> str:
    """Say which GRANT was lacking for what the server denied, or nothing.

    Only a role that has the privileges of the owner may ALTER or DROP (PostgreSQL docs, 5.8), so
    what is denied in spite of the privileges on the schema asks for membership. `needs_owner`: the
    schema itself is to be dropped. Rolls the session's transaction back; a look that fails says
    nothing.
    """
    origin = origin_of(error)
    if origin is None or not is_denied(origin) or is_hiding_rows(origin):
        return ""
    if session.owner is not None:  # the owner was denied it, and `explain` has said so
        return ""
    facts = {
        "schema": schema,
        "message": origin.diag.message_primary or "" if isinstance(origin, psycopg.Error) else "",
        "version_table": version_table,
        "needs_owner": needs_owner,
    }
    try:
        with looking(session) as connection, in_catalog(connection):
            rows = connection.execute(query("ledger/missing_in_tenant"), facts).fetchall()
    except (psycopg.Error, sa.exc.SQLAlchemyError):
        return ""
    return _sentence(rows)


def refuse_role(connection: psycopg.Connection, ledger: str) -> None:
    """Make sure that a role which env.py or a script has set may write the journal.

    Raises:
        PrivilegeError: it may not; with the GRANTs.
    """
    row = connection.execute("SELECT current_user::text, session_user::text").fetchone()
    if row is None or row[0] == row[1]:
        return
    with in_catalog(connection):
        grants = missing_grants(connection, ledger, needs_of(*JOURNAL))
    if grants:
        raise PrivilegeError(
            f'The revision runs as the role "{row[0]}" (SET ROLE in env.py or a script), '
            f"and this role may not write tenantmig's ledger. Grant it: {grants}"
        )


def _sentence(rows: list[tuple[int, str]]) -> str:
    grants = [f"{statement};" for rank, statement in rows if rank == 1]
    members = [f"{statement};" for rank, statement in rows if rank == 2 and statement]
    if grants and members:
        return (
            f"; grant this role: {' '.join(grants)} or, if scripts change existing objects, "
            f"make it a member of the owner: {' '.join(members)}"
        )
    if grants or members:
        return f"; grant this role: {' '.join(grants + members)}"
    return f"; {SUPERUSER}" if rows else ""

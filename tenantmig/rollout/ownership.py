"""Ownership: may the connected role act as the owners of the tenant schemas, asked beforehand."""

from __future__ import annotations

import psycopg

from tenantmig.domain.counting import counted
from tenantmig.domain.lineage import Lineage
from tenantmig.domain.plan import Plan, RunKind
from tenantmig.errors import PrivilegeError
from tenantmig.postgres.connection import SessionOptions
from tenantmig.postgres.owner_wall import SCHEMA_OWNER, read_owners
from tenantmig.postgres.sql import query

NO_SCRIPTS = frozenset({RunKind.STAMP, RunKind.OFFBOARD, RunKind.RESTORE})


def check_ownership(connection: psycopg.Connection, plan: Plan, options: SessionOptions) -> None:
    """Refuse a plan whose steps could not run as the owners that the settings name.

    Raises:
        PrivilegeError: the connected role cannot act as one of them; nothing was touched.
    """
    if plan.lineage is not Lineage.TENANT or plan.kind in NO_SCRIPTS:
        return
    pending = [t for group in plan.groups if group.path.revisions for t in group.tenants]
    if plan.kind is RunKind.ONBOARD:
        born = [tenant for group in plan.groups for tenant in group.tenants]
        _check_roles(connection, sorted({owner for t in born if (owner := options.owner_of(t))}))
    elif options.run_as == SCHEMA_OWNER:
        read_owners(connection, [tenant.schema for tenant in pending])


def _check_roles(connection: psycopg.Connection, roles: list[str]) -> None:
    rows = connection.execute(query("rollout/role_problems"), {"roles": roles}).fetchall()
    wrong = [row for row in rows if row[1] is not None]
    if wrong:
        role, problem, me = wrong[0]
        more = f" (and {counted(len(wrong) - 1, 'more role')})" if len(wrong) > 1 else ""
        raise PrivilegeError(
            f'onboard_owner: no tenant schema can be created for the role "{role}": '
            f'{problem}{more}. The role must exist, and "{me}" must be a member of it: '
            f'GRANT "{role}" TO "{me}". Nothing was touched.'
        )

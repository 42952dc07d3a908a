"""Hints: what is told with the error of a script that did not find a name, or found it taken.

The former is the same for tenants, for scratch schemas and where models are compared.
"""

from __future__ import annotations

import re
import shlex

import psycopg
import sqlalchemy as sa
from psycopg import sql

from tenantmig.domain.alembic_ini import read_ini
from tenantmig.domain.lineage import Lineage
from tenantmig.domain.tenant import Tenant
from tenantmig.engines.environment import WorkerOptions
from tenantmig.errors import TenantmigError
from tenantmig.history.revisions import History
from tenantmig.postgres.connection import in_catalog
from tenantmig.postgres.diagnosis import origin_of
from tenantmig.postgres.elsewhere import UNDEFINED, find_elsewhere, looking
from tenantmig.postgres.session import TenantSession
from tenantmig.postgres.version_table import read_versions

NO_SCHEMA = "3F000"
TOO_LONG = "22001"
TAKEN = frozenset({"42P07", "42701", "42710", "42723"})
"""SQLSTATEs of a relation, column, other object or function that is there already."""
BEHIND = "; the shared lineage is behind: run `tenantmig upgrade --lineage shared`"


def find_hint(error: BaseException, session: TenantSession | None, options: WorkerOptions) -> str:
    """Say where a missing name is, or that the shared lineage lacks it, or nothing.

    Rolls the session's transaction back.
    """
    if session is None or session.is_broken:
        return ""
    if _is_of_version(error, options):
        return _widening(session, options)
    if _is_of_shared(error, options) and _is_behind(session, options):
        return BEHIND
    return find_elsewhere(
        error,
        session,
        ledger=options.ledger,
        shared=options.shared_schema,
        version_table=options.version_table,
    )


def say_taken(error: BaseException, tenant: Tenant, options: WorkerOptions) -> str:
    """Say how to see what a tenant has already that a revision makes, or nothing."""
    origin = origin_of(error)
    if not isinstance(origin, psycopg.Error) or options.lineage is not Lineage.TENANT:
        return ""
    if origin.sqlstate not in TAKEN or origin.diag.schema_name == "pg_catalog":
        return ""
    return f"; `tenantmig drift -t {shlex.quote(tenant.name)}` shows what exists there already"


def _is_of_version(error: BaseException, options: WorkerOptions) -> bool:
    """True when a revision id is longer than the version table's column."""
    origin = origin_of(error)
    if not isinstance(origin, psycopg.Error) or origin.sqlstate != TOO_LONG:
        return False
    statement = str(getattr(error, "statement", None) or "")
    table = re.escape(options.version_table)
    return bool(re.match(rf"\s*(UPDATE|INSERT INTO)\s[^=(]*{table}\b", statement))


def _widening(session: TenantSession, options: WorkerOptions) -> str:
    """Say how the version column is widened."""
    table = sql.Identifier(session.schema or "", options.version_table).as_string()
    width = options.session.version_length
    return (
        "; the id is longer than the version table's column, which was created earlier. "
        "Widen the column in an earlier revision (docs/reference/settings.md, Long revision "
        f"ids), or now with ALTER TABLE {table} ALTER version_num TYPE varchar({width})"
    )


def _is_of_shared(error: BaseException, options: WorkerOptions) -> bool:
    """True when a name in the shared schema was not found, and a lineage makes what is there."""
    origin = origin_of(error)
    if not isinstance(origin, psycopg.Error) or options.lineage is not Lineage.TENANT:
        return False
    if origin.sqlstate not in {*UNDEFINED, NO_SCHEMA}:
        return False
    schema = re.escape(options.shared_schema)
    named = rf'(?<![\w.]){schema}"?\.' if origin.sqlstate != NO_SCHEMA else rf"\b{schema}\b"
    if not re.search(named, origin.diag.message_primary or ""):
        return False
    return read_ini(options.ini).has_section(options.shared_section)


def _is_behind(session: TenantSession, options: WorkerOptions) -> bool:
    """True when the shared schema lacks a revision of its history, or is not there."""
    schema, table = options.shared_schema, options.version_table
    try:
        section = options.shared_section
        heads = History(options.ini, Lineage.SHARED, shared_section=section).heads
        with looking(session) as connection, in_catalog(connection):
            found = read_versions(connection, [schema], table)[schema]
    except (psycopg.Error, sa.exc.SQLAlchemyError, TenantmigError):
        return False
    return found.seen_from(Lineage.SHARED).heads != heads

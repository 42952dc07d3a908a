"""Rights: what a role lacks, as the GRANT that gives it. Asks only the catalogs, open to all.

The server says "permission denied for table run" and no more: not which privilege, nor to whom.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

import psycopg
from psycopg.pq import TransactionStatus

from tenantmig.postgres import sql

USED: Final = re.compile(r"(INSERT INTO|UPDATE|DELETE FROM|FROM|JOIN)\s+\{ledger\}\.(\w+)")
"""Where a named query uses a table of the ledger."""
NEEDED: Final[Mapping[str, tuple[str, ...]]] = {
    "FROM": ("SELECT",),
    "JOIN": ("SELECT",),
    "INSERT INTO": ("INSERT",),
    "UPDATE": ("SELECT", "UPDATE"),  # to find the rows
    "DELETE FROM": ("SELECT", "DELETE"),
}
Needs = Mapping[str, frozenset[str]]
"""The privileges on each table."""


def needs_of(*queries: str) -> Needs:
    """Return what named queries need on the ledger's tables (PostgreSQL docs, 5.8)."""
    found: dict[str, frozenset[str]] = {}
    for name in queries:
        text = sql.text(name)
        for verb, table in USED.findall(text):
            needed = {*NEEDED[verb]}
            if verb == "INSERT INTO" and ("RETURNING" in text or "ON CONFLICT (" in text):
                needed.add("SELECT")
            if verb == "INSERT INTO" and "DO UPDATE" in text:
                needed.add("UPDATE")
            found[table] = found.get(table, frozenset()) | needed
    return found


def missing_grants(connection: psycopg.Connection, schema: str, needs: Needs) -> str:
    """Return the GRANTs that this role lacks for these needs in a schema, or nothing.

    Nothing as well in a transaction that has failed: the server then answers no question. To be
    asked with pg_catalog alone on the search path.
    """
    if connection.info.transaction_status is TransactionStatus.INERROR:
        return ""
    facts = {
        "schema": schema,
        "relations": list(needs),
        "privileges": [",".join(sorted(privileges)) for privileges in needs.values()],
    }
    with psycopg.ClientCursor(connection) as cursor:  # sent apart, it would keep a snapshot
        rows = cursor.execute(sql.query("postgres/missing_grants"), facts).fetchall()
    return " ".join(f"{statement};" for (statement,) in rows)


def missing_membership(connection: psycopg.Connection, schema: str) -> str:
    """Return the GRANT that makes this role a member of the owner of a schema, or nothing.

    Nothing where it is one, or the owner is a superuser.
    """
    with psycopg.ClientCursor(connection) as cursor:
        row = cursor.execute(
            sql.query("postgres/missing_membership"), {"schema": schema}
        ).fetchone()
    return f"{row[0]};" if row and row[0] else ""


def grant_on_database(connection: psycopg.Connection, privilege: str) -> str:
    """Return the GRANT of a privilege on the database to the connected role."""
    return database_grant(connection.info.dbname, connection.info.user, privilege)


def database_grant(database: str, role: str, privilege: str) -> str:
    """Return the GRANT of a privilege on a database to a role."""
    to = psycopg.sql.Identifier(role).as_string()
    on = psycopg.sql.Identifier(database).as_string()
    return f"GRANT {privilege} ON DATABASE {on} TO {to};"

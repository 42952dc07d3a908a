"""What Alembic and SQLAlchemy send about versions, with PostgreSQL's own operators by name.

While a tenant's schema is on the search path, an operator of the tenant's own that fits better than
PostgreSQL's is called in its place, as the migrator. `version_num` is a varchar and no operator of
PostgreSQL fits that exactly. Knows SQLAlchemy's constructs, no tenant.
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy.sql import operators, visitors

VERSION = ("version_num",)
HAS_TABLE = """
SELECT pg_catalog.pg_class.relname
  FROM pg_catalog.pg_class, pg_catalog.pg_namespace
 WHERE pg_catalog.pg_namespace.oid OPERATOR(pg_catalog.=) relnamespace
   AND relname OPERATOR(pg_catalog.=) CAST(:table_name AS pg_catalog.text)
   AND relkind OPERATOR(pg_catalog.=) ANY (CAST('{r,p,v,m,f}' AS pg_catalog."char"[]))
   AND """
IN_SCHEMA = "nspname OPERATOR(pg_catalog.=) CAST(:schema AS pg_catalog.text)"
VISIBLE = (
    "nspname OPERATOR(pg_catalog.<>) 'pg_catalog'"
    " AND pg_catalog.pg_table_is_visible(pg_catalog.pg_class.oid)"
)
EQUALS: operators.custom_op[Any] = operators.custom_op(
    "OPERATOR(pg_catalog.=)", is_comparison=True, precedence=5
)


def has_table(
    connection: sa.Connection, table_name: str, schema: str | None = None, **_: object
) -> bool:
    """Do what the method of that name of SQLAlchemy's dialect does.

    It compares a name with a varchar, and Alembic looks by it for its version table.
    """
    facts = {"table_name": table_name} | ({} if schema is None else {"schema": schema})
    text = (HAS_TABLE + (VISIBLE if schema is None else IN_SCHEMA)).lstrip()
    return connection.execute(sa.text(text), facts).first() is not None


def qualify(construct: Any) -> Any:
    """Return an UPDATE or DELETE of a version table with the operator named; others as they are."""
    is_change = isinstance(construct, sa.Update | sa.Delete)
    if not is_change or tuple(construct.table.c.keys()) != VERSION:
        return construct

    def name_operator(binary: Any) -> None:
        if binary.operator is operators.eq:
            binary.operator = EQUALS

    return visitors.cloned_traverse(construct, {}, {"binary": name_operator})

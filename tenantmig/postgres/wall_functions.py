"""The functions of the owner's wall, as SQL. Sends nothing."""

from __future__ import annotations

import secrets
from collections.abc import Sequence

from psycopg import sql

from tenantmig.postgres.sql import text

EVERY_SCHEMA = "*"
PREFIX = "tenantmig_wall_"
ROWS = "tenantmig_rows_"


def raise_sql(wall: str, schema: sql.Composable) -> sql.Composed:
    """Return what makes the wall's functions; `schema` is a literal."""
    return sql.SQL(text("postgres/raise_wall")).format(
        wall=sql.SQL(wall), schema=schema, tag=new_tag()
    )


def lower_sql(
    wall: str, schema: sql.Composable, version_table: str, trusted: Sequence[str]
) -> sql.Composed:
    """Return what ends the wall, and refuses what could run later as the connected role."""
    lower = sql.SQL(text("postgres/lower_wall")).format(wall=sql.SQL(wall))
    if EVERY_SCHEMA in trusted:
        return sql.Composed([lower])
    kept = sql.SQL(text("postgres/version_tables")).format().as_string().replace("%%", "%")
    kept = kept.replace("%(schemas)s", f"ARRAY[{schema.as_string()}]")
    kept = kept.replace("%(version_table)s", sql.Literal(version_table).as_string())
    refuse = sql.SQL(text("postgres/refuse_leftovers")).format(
        schema=schema,
        trusted=sql.Literal(list(trusted)),
        version_tables=sql.SQL(kept),
        tag=new_tag(),
    )
    return sql.Composed([lower, sql.SQL(";\n"), refuse])


def run_sql(wall: str, statement: str) -> str:
    """Return the call that runs a statement; it may hold gaps, which are filled later."""
    tag = new_tag().as_string()
    return f"SELECT {wall}.run({tag}{statement}{tag})"


def new_tag() -> sql.SQL:
    """Return a dollar quote that stands in no script."""
    return sql.SQL(f"$tenantmig_{secrets.token_hex(8)}$")

"""Elsewhere: whether a name that a script did not find is in a schema beside the search path.

Read from the catalogs when a revision has failed, and told with its error; a tenant schema is never
told of. Knows nothing of engines.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
import sqlalchemy as sa

from tenantmig.postgres.connection import GRACE_S
from tenantmig.postgres.diagnosis import origin_of
from tenantmig.postgres.session import TenantSession
from tenantmig.postgres.sql import query

LOOK_S = 2.0
UNDEFINED = frozenset({"42P01", "42883", "42704"})
"""A relation; a function or an operator; a type, an operator class or another object."""
QUOTES = "\"'«»„“”"
NAMES = re.compile(
    rf"[{QUOTES}]\s*([^{QUOTES}.]+?)\s*[{QUOTES}]"  # type "vector"
    r"|(?<!\S)([^\s().]+)\("  # function cosine_distance(text)
    r"|(?<!\S)([-+*/<>=~!@#%^&|`?]+)(?!\S)"  # operator: text <-> text
)
"""What may be a name in the server's message, whatever its language; qualified names are none."""


def find_elsewhere(
    error: BaseException, session: TenantSession, *, ledger: str, shared: str, version_table: str
) -> str:
    """Say which schema has the name that a script did not find, and how to get at it, or nothing.

    Rolls the session's transaction back. Waits for `LOOK_S`; a look that fails says nothing.
    """
    origin = origin_of(error)
    if not isinstance(origin, psycopg.Error) or origin.sqlstate not in UNDEFINED:
        return ""
    found = NAMES.findall(origin.diag.message_primary or "")
    facts = {
        "sqlstate": origin.sqlstate,
        "names": ["".join(groups).removesuffix("[]") for groups in found],
        "ledger": ledger,
        "shared": shared,
        "version_table": version_table,
    }
    try:
        with looking(session) as connection:
            row = connection.execute(query("postgres/named_elsewhere"), facts).fetchone()
    except (psycopg.Error, sa.exc.SQLAlchemyError):
        return ""
    return _sentence(row, session.options.extension_schemas) if row else ""


@contextmanager
def looking(session: TenantSession) -> Iterator[psycopg.Connection]:
    """A transaction in which nothing takes long, in the place of the session's own."""
    patience, session.driver.answer_within_s = session.driver.answer_within_s, LOOK_S + GRACE_S
    limits = "SELECT set_config(name, %s, true) FROM unnest(%s::text[]) AS name"
    try:
        with session.outside_transaction() as connection, connection.transaction():
            names = ["statement_timeout", "lock_timeout"]
            connection.execute(limits, [f"{round(LOOK_S * 1000)}ms", names])
            yield connection
    finally:
        session.driver.answer_within_s = patience


def _sentence(row: tuple[Any, ...], configured: tuple[str, ...]) -> str:
    name, schema, extension, is_usable = row
    owner = f', of the extension "{extension}"' if extension else ""
    where = f'; "{name}" is in the schema "{schema}"{owner}'
    if not is_usable:
        return f"{where}, which this role may not use; first run GRANT USAGE ON SCHEMA"
    listed = json.dumps([*configured, schema], ensure_ascii=False)
    more = ", with everything in it," if schema == "public" else ""
    return (
        f"{where}, which is not on the search path: write the schema before the name, or "
        f"add it{more} with the setting extension_schemas = {listed} (tenantmig.toml, "
        "TENANTMIG_EXTENSION_SCHEMAS)"
    )

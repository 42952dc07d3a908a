"""Blueprints in the ledger: a text for all tenants, under the mark of what it was made from.

A text is read only if it fits its hash, or with a signing key its HMAC. Whoever may write here may
let a birth run SQL as the migrator, as who may write the scripts; both are trusted. Knows no text.
"""

from __future__ import annotations

import hashlib
import hmac
from contextlib import suppress
from typing import Final

import psycopg
from psycopg import sql

TABLE: Final = "blueprint"


def read_blueprint(
    connection: psycopg.Connection, ledger: str, mark: str, key: str | None
) -> str | None:
    """Return the text under a mark; None if there is none, or none that may be read and trusted."""
    table = sql.Identifier(ledger, TABLE)
    asked = sql.SQL("SELECT content, proof FROM {} WHERE mark = %s").format(table)
    with suppress(
        psycopg.errors.UndefinedTable,
        psycopg.errors.InsufficientPrivilege,
        psycopg.errors.UndefinedColumn,
    ):
        row = connection.execute(asked, [mark]).fetchone()
        if row is not None and hmac.compare_digest(str(row[1]), prove(mark, str(row[0]), key)):
            return str(row[0])
    return None


def write_blueprint(
    connection: psycopg.Connection,
    ledger: str,
    heads: str,
    mark: str,
    content: str,
    key: str | None,
) -> bool:
    """Keep a text in the place of all others for these heads; false if that is not ours to do.

    The table is made if it is missing. It is no part of the ledger's version: an older tenantmig
    has no use for it.
    """
    table = sql.Identifier(ledger, TABLE)
    facts = {"mark": mark, "heads": heads, "content": content, "proof": prove(mark, content, key)}
    with (
        suppress(psycopg.errors.InsufficientPrivilege, psycopg.errors.InvalidSchemaName),
        connection.transaction(),
    ):
        found = connection.execute(
            "SELECT to_regclass(%s) IS NULL", [table.as_string(connection)]
        ).fetchone()
        if found and found[0]:
            connection.execute(
                sql.SQL(
                    "CREATE TABLE IF NOT EXISTS {} (mark text PRIMARY KEY, heads text NOT NULL,"
                    " content text NOT NULL, proof text NOT NULL,"
                    " created_at timestamptz NOT NULL DEFAULT clock_timestamp())"
                ).format(table)
            )
        connection.execute(sql.SQL("DELETE FROM {} WHERE heads = %(heads)s").format(table), facts)
        connection.execute(
            sql.SQL(
                "INSERT INTO {} (mark, heads, content, proof)"
                " VALUES (%(mark)s, %(heads)s, %(content)s, %(proof)s)"
                " ON CONFLICT DO NOTHING"
            ).format(table),
            facts,
        )
        return True
    return False


def prove(mark: str, content: str, key: str | None) -> str:
    """Return the hash of a text under its mark; with a key nobody else can make it."""
    said = f"{mark}\n{content}".encode()
    if key:
        return hmac.new(key.encode(), said, hashlib.sha256).hexdigest()
    return hashlib.sha256(said).hexdigest()

"""A scratch database: where `check` runs when the real one is empty and there is a shared lineage.

The scripts of tenants write the shared schema's true name, so no scratch schema can stand for it.
That of a command which was killed is dropped by the next one, as with scratch schemas.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager, suppress

import psycopg
from psycopg import sql

from tenantmig.domain.lineage import Lineage
from tenantmig.domain.tenant import EVERYONE, SCRATCH
from tenantmig.drift.scratch import LOCK
from tenantmig.errors import ConnectError, ScratchError
from tenantmig.fleet.driver import Driver
from tenantmig.fleet.run_options import RunOptions
from tenantmig.postgres.connection import connect, salt_of
from tenantmig.postgres.sql import query

ALIKE = """
    SELECT pg_encoding_to_char(encoding), datcollate, datctype
      FROM pg_database WHERE datname = current_database()
"""
MARK = "scratch database of tenantmig for {}; dropped by itself"  # the database's comment


@contextmanager
def beside_shared(driver: Driver) -> Iterator[Driver]:
    """Hand out the driver itself or, for an empty database, that of a scratch one.

    There the shared lineage is at its head. Where there is none, or the role may not make such a
    database, the driver itself is handed out: a shared table that is missing is told then.

    Raises:
        ScratchError: the shared lineage fails there.
    """
    if not driver.settings.has_shared_lineage:
        yield driver
        return
    with closing(connect(driver.session_options)) as connection:
        _drop_abandoned(connection)
        ledger = {"ledger": driver.settings.ledger_schema}
        if connection.execute(query("fleet/empty_database"), ledger).fetchone() is None:
            yield driver
            return
        places = connection.execute(query("fleet/extensions_in_place"), ledger).fetchall()
        with ExitStack() as opened:
            moved = driver
            try:
                moved = driver.in_database(opened.enter_context(_database(connection)))
                _make_places(moved, [*places, (driver.settings.shared_schema, None)])
            except (psycopg.Error, ConnectError):  # an extension that this role may not make
                moved = driver
            if moved is not driver:
                _bring_up(moved.of(Lineage.SHARED))
            yield moved


@contextmanager
def _database(connection: psycopg.Connection) -> Iterator[str]:
    """Make a database of the same encoding and locale; hand out its name, and drop it at the end.

    Locks: an advisory lock of its own; nobody waits for it.
    """
    name, mark = SCRATCH + secrets.token_hex(6), MARK.format(connection.info.dbname)
    connection.execute(LOCK, [name, salt_of(connection)])
    encoding, collate, ctype = connection.execute(ALIKE).fetchall()[0]
    make = sql.SQL(
        "CREATE DATABASE {} TEMPLATE template0 ENCODING {} LC_COLLATE {} LC_CTYPE {}"
    ).format(sql.Identifier(name), *map(sql.Literal, (encoding, collate, ctype)))
    connection.execute(make)
    try:
        comment = sql.SQL("COMMENT ON DATABASE {} IS {}")
        connection.execute(comment.format(sql.Identifier(name), sql.Literal(mark)))
        yield name
    finally:
        _drop(connection, name)


def _drop_abandoned(connection: psycopg.Connection) -> None:
    mark = MARK.format(connection.info.dbname)
    facts = {"prefix": SCRATCH, "mark": mark, "salt": salt_of(connection)}
    for (name,) in connection.execute(query("fleet/abandoned_databases"), facts).fetchall():
        _drop(connection, name)


def _drop(connection: psycopg.Connection, name: str) -> None:
    """Drop a scratch database, or leave it to the next command: what was found out is not lost."""
    with suppress(psycopg.Error):
        connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


def _make_places(driver: Driver, places: list[tuple[str, str | None]]) -> None:
    """Make the schemas and the extensions that the real database has."""
    with closing(connect(driver.session_options)) as connection:
        for schema, extension in places:
            place = sql.Identifier(schema)
            connection.execute(sql.SQL("CREATE SCHEMA IF NOT EXISTS {}").format(place))
            if extension is not None:
                make = sql.SQL("CREATE EXTENSION IF NOT EXISTS {} SCHEMA {} CASCADE")
                connection.execute(make.format(sql.Identifier(extension), place))


def _bring_up(shared: Driver) -> None:
    """Bring the shared lineage to its head.

    Raises:
        ScratchError: it fails.
    """
    with shared.ledger() as ledger:
        plan = shared.plan(ledger, "heads", EVERYONE)
        if not plan.pending:
            return
        report = shared.start(plan, ledger, RunOptions())
    if not report.is_complete:
        reasons = (one.error for one in report.tenants if one.error is not None)
        reason = next(reasons, "the run was stopped").removesuffix(".")
        raise ScratchError(
            "The shared lineage cannot be upgraded to its head in a scratch database: "
            f"{reason}. Nothing else was touched."
        )

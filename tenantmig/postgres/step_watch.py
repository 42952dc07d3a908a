"""How a revision commits: who wants to know, and what must follow a script that commits by itself.

Knows SQLAlchemy's and psycopg's connections; nothing of the ledger or of what is written there.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, Protocol

import psycopg
import sqlalchemy as sa
from sqlalchemy.sql.expression import (
    ReleaseSavepointClause,
    RollbackToSavepointClause,
    SavepointClause,
)

from tenantmig.postgres.connection import SessionOptions, connect_as, salt_of
from tenantmig.postgres.script_connection import ScriptConnection

BESIDE_LOCK = "hashtextextended('tenantmig.beside:' || %(schema)s, %(salt)s)"
"""Held by each connection that a script opened, until it ends: who comes next waits for it."""
SAVEPOINTS = SavepointClause, RollbackToSavepointClause, ReleaseSavepointClause

Connect = Callable[[SessionOptions, tuple[str, ...]], ScriptConnection]
FindContext = Callable[[], Any]
"""Finds Alembic's MigrationContext, if there is one."""


class StepWatch(Protocol):
    """What wants to know how a revision commits (see `parts`).

    `connection` is the session's own or one that a script took from its engine.
    """

    @property
    def is_partial(self) -> bool:
        """True when a part of the revision is committed."""
        ...

    def before_commit(self, connection: psycopg.Connection) -> None:
        """See a COMMIT that comes before the revision is recorded."""
        ...

    def before_statement(self, connection: psycopg.Connection, statement: str, sent: str) -> str:
        """See a statement outside any transaction; return what is to be run in its place.

        `sent` is the same with the parameters that are put into its text.
        """
        ...

    def after_statement(self, connection: psycopg.Connection, row_count: int | None) -> None:
        """See that statement end well; `row_count` is None if it returned rows."""
        ...

    def after_failure(self, connection: psycopg.Connection, error: BaseException) -> None:
        """See that statement fail, on a connection that can still be used."""
        ...


def driver_of(connection: sa.Connection) -> ScriptConnection:
    """Return psycopg's connection of a connection of SQLAlchemy."""
    driver = connection.connection.driver_connection
    assert isinstance(driver, ScriptConnection)
    return driver


def is_savepoint(context: Any) -> bool:
    """True when SQLAlchemy itself sends a savepoint, for `begin_nested()`."""
    compiled = getattr(context, "compiled", None)
    return isinstance(getattr(compiled, "statement", None), SAVEPOINTS)


def adopt_transaction(connection: sa.Connection, find_context: FindContext | None) -> bool:
    """Let Alembic go on with the transaction that SQLAlchemy began after a script ended the first.

    Alembic would take the ended one for the revision's own, and never commit this one; the row of
    the version table stands in it. Returns True if it was necessary.
    """
    context = find_context() if find_context is not None else None
    current = connection.get_transaction()
    known = getattr(context, "_transaction", None)
    if known is None or known is current:
        return False
    context._transaction = current  # type: ignore[union-attr]  # noqa: SLF001  no public way
    return True


def connect_script(options: SessionOptions, schemas: tuple[str, ...] = ()) -> ScriptConnection:
    """Open a connection for scripts (see `connection.connect_as`)."""
    return connect_as(ScriptConnection, options, schemas)


def open_beside(
    options: SessionOptions, schema: str | None, connect: Connect = connect_script
) -> ScriptConnection:
    """Connect for a script, in the tenant schema `schema`; the session itself has none yet."""
    connection = connect(options, () if schema is None else (schema,))
    if schema is not None:
        lock = f"SELECT pg_advisory_lock_shared({BESIDE_LOCK})"
        connection.execute(lock, {"schema": schema, "salt": salt_of(connection)})
    connection.autocommit = False
    return connection


def end_mode_with(connection: sa.Connection, step: Any) -> None:
    """Let the script of a step end in a transaction again, if it took another mode itself.

    A script may commit and then set the isolation level AUTOCOMMIT for the rest of it; the row of
    the version table and the journal must be written in one transaction.
    """
    script = step.migration_fn

    @wraps(script)  # Alembic logs its name
    def run(**arguments: object) -> None:
        script(**arguments)
        if driver_of(connection).autocommit:
            connection.commit()
            level = connection.default_isolation_level
            connection.execution_options(isolation_level=level)

    step.migration_fn = run

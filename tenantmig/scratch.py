"""Scratch schemas: what the history makes of an empty schema, to look at. Never a customer's.

A command makes its own under a new name and drops it at its end. That of a command which was killed
is dropped by the next one: the lock that says "in use" dies with the connection. Knows no tenant.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress

import psycopg
from psycopg import sql

from tenantmig.connection import SessionOptions, connect, salt_of
from tenantmig.engines.alembic import AlembicEngine
from tenantmig.engines.scratch_worker import NotTried, move_scratch, step_scratch
from tenantmig.errors import DependentObjectsError, NotTriedError, ScratchError
from tenantmig.failure import Failure
from tenantmig.plan import RunKind
from tenantmig.sql import query
from tenantmig.tenant import SCRATCH
from tenantmig.tenant_schema import create_schema, drop_schema

MARK = "scratch schema of tenantmig; dropped by itself"  # the schema's comment
HINT = (
    "A scratch schema must leave nothing outside it, so the revision was rolled back there. What"
    " tenants share belongs in the shared lineage, or is made before tenantmig runs."
)
PATIENCE = "100ms"  # for a lock, each time
TRIES, PAUSE_S = 20, 0.2
LOCK = "SELECT pg_advisory_lock(hashtextextended('tenantmig.scratch:' || %s, %s))"


class Scratch:
    """A schema of a new name, empty at first, in which the history can be run back and forth.

    `connection` sees it; scripts run in worker processes, as in a tenant. What they do is committed
    only if it stays inside the schema.
    """

    def __init__(self, engine: AlembicEngine, connection: psycopg.Connection, schema: str) -> None:
        self.engine = engine
        self.connection = connection
        self.schema = schema

    def upgrade(self, destination: str = "heads") -> None:
        """Run the history from where the schema stands up to `destination`.

        Raises:
            ScratchError: a script failed; what it began was rolled back.
            NotTriedError: a script reaches out of the schema; it was rolled back as well.
        """
        self._move(RunKind.UPGRADE, destination)

    def downgrade(self, destination: str = "base") -> None:
        """Run the history back to `destination`; raises as `upgrade` does."""
        self._move(RunKind.DOWNGRADE, destination)

    def _move(self, kind: RunKind, destination: str) -> None:
        failure = self.engine.ask(move_scratch, self.schema, kind, destination)
        if isinstance(failure, NotTried):
            raise NotTriedError(
                f"The {kind.value} of a scratch schema to {destination} ended:"
                f" {failure.message}. {HINT}"
            )
        if failure is not None:
            raise ScratchError(
                f"The {kind.value} of a scratch schema to {destination} failed:"
                f" {failure.message.removesuffix('.')}."
                " No tenant was touched."
            )

    def step(self, kind: RunKind, *revisions: str) -> Failure | NotTried | None:
        """Run exactly these revisions, in this order, and return why that failed, if it did."""
        return self.engine.ask(step_scratch, self.schema, kind, revisions)


@contextmanager
def open_scratch(options: SessionOptions) -> Iterator[tuple[psycopg.Connection, str]]:
    """Make a scratch schema and drop it at the end, with those that killed commands have left.

    Hands out a connection of its own and the name of the schema.

    Locks: an advisory lock of its own; nobody waits for it.
    Raises:
        PrivilegeError: this role may not create a schema.
    """
    schema = SCRATCH + secrets.token_hex(6)
    with closing(connect(options)) as connection:
        _drop_abandoned(connection)
        connection.execute(LOCK, [schema, salt_of(connection)])
        with connection.transaction():
            create_schema(connection, schema)
            comment = sql.SQL("COMMENT ON SCHEMA {} IS {}")
            connection.execute(comment.format(sql.Identifier(schema), sql.Literal(MARK)))
        try:
            yield connection, schema
        finally:
            _drop(connection, schema)


def _drop(connection: psycopg.Connection, schema: str) -> None:
    """Drop a scratch schema, or leave it to the next command: what was found out is not lost.

    To drop a foreign key locks the table that it points at. So it waits for that a moment only, and
    tries again: nobody should queue behind it.
    """
    with suppress(psycopg.OperationalError):
        connection.execute("SELECT set_config('lock_timeout', %s, false)", [PATIENCE])
        for _ in range(TRIES):
            try:
                drop_schema(connection, schema)
            except psycopg.errors.LockNotAvailable:
                time.sleep(PAUSE_S)
            except (psycopg.Error, DependentObjectsError):
                return
            else:
                return


def _drop_abandoned(connection: psycopg.Connection) -> None:
    facts = {"prefix": SCRATCH, "mark": MARK, "salt": salt_of(connection)}
    found = connection.execute(query("abandoned_scratch"), facts)
    for (schema,) in found.fetchall():
        _drop(connection, schema)

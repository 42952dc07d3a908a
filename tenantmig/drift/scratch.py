"""Scratch schemas: what the history makes of an empty schema, to look at. Never a customer's.

A command makes its own under a new name and drops it at its end. That of a command which was killed
is dropped by the next one: the lock that says "in use" dies with the connection. Knows no tenant.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from typing import Any, TypeVar

import psycopg
from psycopg import sql

from tenantmig.domain.failure import Failure
from tenantmig.domain.plan import Heads, RunKind
from tenantmig.domain.tenant import SCRATCH
from tenantmig.engines.alembic import AlembicEngine
from tenantmig.engines.birth_witness import BirthSeen
from tenantmig.engines.scratch_worker import (
    NotTried,
    bear_scratch,
    mend_scratch,
    move_scratch,
    step_scratch,
    witness_scratch,
)
from tenantmig.errors import (
    DependentObjectsError,
    EnvironmentDiedError,
    NoBeginningError,
    NotTriedError,
    ScratchError,
    TenantExistsError,
)
from tenantmig.postgres.connection import SessionOptions, connect, salt_of
from tenantmig.postgres.session import TenantSession
from tenantmig.postgres.sql import query
from tenantmig.postgres.tenant_schema import create_schema, drop_schema
from tenantmig.postgres.version_writing import write_version

T = TypeVar("T")
Move = tuple[Callable[..., Any], tuple[object, ...]]
Made = tuple[Move, bool]
"""A move, and whether it came to its end: then it returned None."""
MARK = "scratch schema of tenantmig; dropped by itself"  # the schema's comment
HINT = (
    "The revision was rolled back, because it must change nothing outside the scratch "
    "schema in which it was tried. Create what tenants share in the shared lineage, or "
    "before tenantmig runs."
)
PRESUMED = frozenset({"42P01", "42703", "42704", "42883", "3F000"})
"""SQLSTATEs of a table, column, type, function or schema that is not there."""
PATIENCE = "100ms"  # for a lock, each time
TRIES, PAUSE_S = 20, 0.2
MOVE_TRIES = 4  # of a move whose process is killed
AGAIN = "A worker process died, and its scratch schema could not be rebuilt. Run again."
LOCK = "SELECT pg_advisory_lock(hashtextextended('tenantmig.scratch:' || %s, %s))"


class Scratch:
    """A schema of a new name, empty at first, in which the history can be run back and forth.

    `connection` sees it; scripts run in worker processes, as in a tenant. What they do is committed
    only if it stays inside the schema. When such a process is killed, nobody knows how far it came:
    the schema is made anew, and all moves so far are made in it again.
    """

    def __init__(self, engine: AlembicEngine, connection: psycopg.Connection, schema: str) -> None:
        self.engine = engine
        self.connection = connection
        self.schema = schema
        self._made: list[Made] = []
        self._version_table: str | None = None

    def begin_at_base(self, version_table: str) -> None:
        """Make an empty version table."""
        self._version_table = version_table
        write_version(self.connection, self.schema, version_table, ())

    def upgrade(self, destination: str = "heads") -> None:
        """Run the history from where the schema stands up to `destination`.

        Raises:
            ScratchError: a script failed; what it began was rolled back.
            NotTriedError: a script reaches out of the schema; it was rolled back as well.
        """
        self._move(RunKind.UPGRADE, destination)

    def bear(self, heads: Heads) -> None:
        """Let the setting `birth` make the schema, at `heads`; raises as `upgrade` does."""
        self._tell(self._make(bear_scratch, heads), "birth of a scratch schema")

    def bear_watched(
        self, revisions: tuple[str, ...], formats: frozenset[str]
    ) -> BirthSeen | Failure | NotTried:
        """Run these revisions as a birth, and return what was seen, or why that failed."""
        return self._make(witness_scratch, revisions, formats)

    def downgrade(self, destination: str = "base") -> None:
        """Run the history back to `destination`; raises as `upgrade` does."""
        self._move(RunKind.DOWNGRADE, destination)

    def _move(self, kind: RunKind, destination: str) -> None:
        failure = self._make(move_scratch, kind, destination)
        self._tell(failure, f"{kind.value} of a scratch schema to {destination}")

    @staticmethod
    def _tell(failure: Failure | NotTried | None, what: str) -> None:
        if isinstance(failure, NotTried):
            raise NotTriedError(f"The {what} was stopped: {failure.message}. {HINT}")
        if failure is not None:
            reason = failure.message.removesuffix(".")
            kind = NoBeginningError if failure.sqlstate in PRESUMED else ScratchError
            raise kind(f"The {what} failed: {reason}. No tenant was touched.")

    def step(self, kind: RunKind, *revisions: str) -> Failure | NotTried | None:
        """Run exactly these revisions, in this order, and return why that failed, if it did."""
        return self._make(step_scratch, kind, revisions)

    def mend(self, statements: Sequence[str]) -> None:
        """Send statements of ours, as far as they succeed and stay inside the schema.

        What became of it is for the caller to look at.
        """
        self._make(mend_scratch, tuple(statements))

    def _make(self, move: Callable[..., T], *arguments: object) -> T:
        """Make a move in a worker process, with all that went before if that is killed.

        Raises:
            ScratchError: what went before ended otherwise than the first time.
        """
        for left in reversed(range(MOVE_TRIES)):
            try:
                if left < MOVE_TRIES - 1:
                    self._begin_again()
                result: T = self.engine.ask(move, self.schema, *arguments)
            except EnvironmentDiedError:
                if not left:
                    raise
            else:
                break
        self._made.append(((move, arguments), result is None))
        return result

    def _begin_again(self) -> None:
        """Make the schema anew, once what a killed process left on the server has ended.

        All moves so far are made in it again.
        """
        with closing(TenantSession(self.engine.options.session)) as session:
            session.lock(self.schema)
        _drop(self.connection, self.schema)
        try:
            _create(self.connection, self.schema)
        except TenantExistsError as error:
            raise ScratchError(AGAIN) from error
        if self._version_table is not None:
            self.begin_at_base(self._version_table)
        for (move, arguments), is_whole in self._made:
            if (self.engine.ask(move, self.schema, *arguments) is None) != is_whole:
                raise ScratchError(AGAIN)


@contextmanager
def open_scratch(
    options: SessionOptions, suffix: str = ""
) -> Iterator[tuple[psycopg.Connection, str]]:
    """Make a scratch schema and drop it at the end, with those that killed commands have left.

    Hands out a connection of its own and the name of the schema, which ends in `suffix`.

    Locks: an advisory lock of its own; nobody waits for it.
    Raises:
        PrivilegeError: this role may not create a schema.
    """
    schema = SCRATCH + secrets.token_hex(6) + suffix
    with closing(connect(options)) as connection:
        _drop_abandoned(connection)
        connection.execute(LOCK, [schema, salt_of(connection)])
        _create(connection, schema)
        try:
            yield connection, schema
        finally:
            _drop(connection, schema)


def _create(connection: psycopg.Connection, schema: str) -> None:
    with connection.transaction():
        create_schema(connection, schema)
        comment = sql.SQL("COMMENT ON SCHEMA {} IS {}")
        connection.execute(comment.format(sql.Identifier(schema), sql.Literal(MARK)))


def _drop(connection: psycopg.Connection, schema: str) -> None:
    """Drop a scratch schema, or leave it to the next command: what was found out is not lost.

    To drop a foreign key locks the table that it points at. So it waits for that a moment only, and
    tries again: nobody should queue behind it.
    """
    with suppress(psycopg.OperationalError):
        connection.execute("SELECT set_config('lock_timeout', %s, false)", [PATIENCE])
        for _ in range(TRIES):
            try:
                drop_schema(connection, schema, is_half_born=True)
            except psycopg.errors.LockNotAvailable:
                time.sleep(PAUSE_S)
            except (psycopg.Error, DependentObjectsError):
                return
            else:
                return


def _drop_abandoned(connection: psycopg.Connection) -> None:
    facts = {"prefix": SCRATCH, "mark": MARK, "salt": salt_of(connection)}
    found = connection.execute(query("drift/abandoned_scratch"), facts)
    for (schema,) in found.fetchall():
        _drop(connection, schema)

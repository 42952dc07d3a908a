"""A revision that commits a part of itself: what it left, and how a later attempt goes on.

Alembic's `autocommit_block()` commits what stood before it and runs its statements outside any
transaction. Each is written to the journal as an intent before it runs and as done after; the next
attempt leaves out what is done, settles what was cut off by its postcondition (an index is valid),
and refuses to go on where nobody can tell.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress

import psycopg
import sqlalchemy as sa

from tenantmig.domain.failure import Phase
from tenantmig.domain.plan import RunKind
from tenantmig.errors import PartialRevisionError
from tenantmig.ledger.denial import refuse_role
from tenantmig.ledger.journal import Part, forget_parts, read_parts, write_part
from tenantmig.postgres.autocommit import IndexBuild, Statement, never_began, read_statement
from tenantmig.postgres.diagnosis import origin_of
from tenantmig.postgres.session import TenantSession

TORN = 0
"""The position of what was committed by a text that nobody could read; others count from 1."""


class RevisionParts:
    """The parts of the revision that runs on one tenant session (a `session.StepWatch`)."""

    def __init__(self, connection: psycopg.Connection, ledger: str, schema: str) -> None:
        self.connection = connection
        self.ledger = ledger
        self.schema = schema
        self.left: Sequence[Part] = read_parts(connection, ledger, schema)
        self._revision = ""
        self._direction = RunKind.UPGRADE
        self._position = 0
        self._running: tuple[Statement, str] | None = None
        self._effects = {part.position for part in self.left if self._has_effect(part.statement)}
        """The positions at which something is committed, or may be."""

    @property
    def is_partial(self) -> bool:
        """True when a part of the revision is committed, or may be."""
        return bool(self._effects)

    def _has_effect(self, statement: str | None) -> bool:
        return statement is None or not read_statement(statement, self.schema).is_read

    @property
    def is_reading_again(self) -> bool:
        """True while a SELECT of an earlier attempt is run again, and must not write."""
        return self._running is not None and self._running[0].is_read and bool(self._left_here())

    def begin(self, revision: str, direction: RunKind) -> None:
        """A revision begins to run.

        Raises:
            PartialRevisionError: another one left parts in this tenant schema.
        """
        for part in self.left[:1] if self._effects else ():
            if (part.revision, part.direction) != (revision, direction):
                raise PartialRevisionError(
                    f"Part of the {part.direction} of revision {part.revision} is "
                    f"committed. Finish it first: run `tenantmig {part.direction} "
                    f"{part.revision}` for this tenant."
                )
        if self.left and self.left[0].position == TORN:
            raise PartialRevisionError(
                f"An earlier attempt of revision {revision} committed in the middle of the "
                "revision, in a text that could not be read. Check what is there; "
                "docs/guides/failures.md explains in_doubt."
            )
        self._revision, self._direction, self._position = revision, direction, 0

    def end(self) -> None:
        """The revision was recorded as a whole, and its parts were forgotten with that."""
        self.left, self._running = (), None
        self._effects.clear()

    def clear_after(self, session: TenantSession, error: BaseException) -> None:
        """The attempt failed: forget what did nothing, note what was committed unseen."""
        if session.is_broken:
            return
        with suppress(sa.exc.SQLAlchemyError, psycopg.Error):
            if session.phase is Phase.AUTOCOMMIT:
                with session.outside_transaction() as connection:
                    self.after_failure(connection, origin_of(error))
            if session.driver.has_left:
                with session.outside_transaction() as connection:
                    self._note_torn(connection)

    def _note_torn(self, connection: psycopg.Connection) -> None:
        """A statement of the revision ended its transaction, and nobody had been asked."""
        self._position = TORN
        self._write(connection, "COMMIT", is_done=False)

    def forget(self) -> None:
        """Forget what was left: somebody finished the revision, or the tenant is new."""
        forget_parts(self.connection, self.ledger, self.schema)
        self.end()

    # -- what the session tells --------------------------------------------------------------

    def before_commit(self, connection: psycopg.Connection) -> None:
        """See a COMMIT that comes before the revision is recorded.

        Raises:
            PartialRevisionError: an earlier attempt committed the same already.
        """
        row = connection.execute("SELECT pg_current_xact_id_if_assigned()").fetchone()
        if row is None or row[0] is None:
            return  # it wrote nothing
        self._position += 1
        if self._left_here() is not None:
            raise PartialRevisionError(
                "An earlier attempt committed everything before the autocommit_block, or "
                "before a commit() of the script. Running it again would do it twice."
            )
        self._write(connection, None, is_done=True)

    def before_statement(self, connection: psycopg.Connection, statement: str, sent: str) -> str:
        """See a statement outside any transaction; return what is to be run in its place.

        `sent` is the same with the parameters that are put into its text. It is read and not kept:
        a parameter may be a secret. What is done already is left out: the script is given as many
        rows as it changed then.

        Raises:
            PartialRevisionError: it was cut off before, and nobody can tell whether it was run; or
                it was run, and the script reads what it returned.
        """
        self._position += 1
        known = read_statement(sent, self.schema)
        left = self._left_here()
        if left is None:
            self._run(connection, known, statement)
            return statement
        if left.statement != statement:
            raise PartialRevisionError(
                "The script is not the one whose earlier attempt is partly committed."
            )
        if known.is_read:
            connection.execute("SET default_transaction_read_only = on")
            self._running = known, statement
            return statement
        if left.is_done and left.row_count is None:
            raise PartialRevisionError(
                f"An earlier attempt ran this statement, and it returned rows: {_short(statement)}"
            )
        if left.is_done or known.is_settled(connection, self.schema):
            return f"SELECT FROM generate_series(1, {max(0, left.row_count or 0)})"
        if not known.is_repeatable:
            raise PartialRevisionError(
                "This statement was interrupted, and it is not known whether it ran: "
                f"{_short(statement)}"
            )
        self._run(connection, known, statement)
        return statement

    def _run(self, connection: psycopg.Connection, known: Statement, statement: str) -> None:
        self._write(connection, statement, is_done=False)
        self._running = known, statement
        known.prepare(connection, self.schema)

    def after_statement(self, connection: psycopg.Connection, row_count: int | None) -> None:
        """See that statement end well; `row_count` is None if it returned rows.

        Raises:
            PartialRevisionError: an index was built and is not valid.
        """
        if self._running is None:
            return
        known, statement = self._running
        if self.is_reading_again:
            connection.execute("SET default_transaction_read_only = off")
        if isinstance(known, IndexBuild) and not known.is_settled(connection, self.schema):
            raise PartialRevisionError(f'The index "{known.name}" was built but is not valid.')
        self._running = None
        self._write(connection, statement, is_done=True, row_count=row_count)

    def after_failure(self, connection: psycopg.Connection, error: BaseException | None) -> None:
        """See that statement fail, on a connection that lives: clear away what is worth nothing.

        `error` is what the server or psycopg raised.
        """
        if self._running is None:
            return
        known, _ = self._running
        with suppress(psycopg.Error):
            if self.is_reading_again:  # what was done after it in an earlier attempt is done
                connection.execute("SET default_transaction_read_only = off")
                return
            self._running = None
            if not known.is_atomic:
                known.prepare(connection, self.schema)
            if known.is_atomic or never_began(error) or known.is_undone(connection, self.schema):
                self._effects = {at for at in self._effects if at < self._position}
                since = self._position if self._effects else 0
                forget_parts(connection, self.ledger, self.schema, since)

    def _left_here(self) -> Part | None:
        return next((part for part in self.left if part.position == self._position), None)

    def _write(
        self,
        connection: psycopg.Connection,
        statement: str | None,
        *,
        is_done: bool,
        row_count: int | None = None,
    ) -> None:
        here = self._revision, self._direction, self._position
        part = Part(*here, statement, is_done, row_count)
        refuse_role(connection, self.ledger)
        write_part(connection, self.ledger, self.schema, part)
        if self._has_effect(statement):
            self._effects.add(self._position)


def _short(statement: str) -> str:
    text = " ".join(statement.split())
    return text if len(text) <= 80 else text[:77] + "..."

"""A witness: one tenant's attempt by the alembic engine, watched to see what its scripts send.

A script may send what it likes as long as every tenant would be sent the same. It would not if the
script reads anything back, asks who the tenant is, or asks the clock: each is an obstacle, noticed
while the script runs. What env.py or a callback sends beside the scripts is one for all of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from functools import wraps
from typing import Any

import psycopg
import sqlalchemy as sa
from alembic.runtime.migration import MigrationContext, RevisionStep
from sqlalchemy import event
from sqlalchemy.engine.default import DefaultExecutionContext

from tenantmig.catalog.fingerprint import read_fingerprints, read_outlines
from tenantmig.domain.plan import Heads, Memo, RunKind
from tenantmig.domain.recording import AUTOCOMMIT, Asked, Recording, Sent
from tenantmig.engines.tripwires import counted, outside_act, tellers, telling, timed
from tenantmig.postgres.connection import in_catalog, version_length
from tenantmig.postgres.literals import Literals, UnwritableError
from tenantmig.postgres.script_connection import ScriptConnection

VERSION_TABLE = ("version_num VARCHAR({}) NOT NULL", "PRIMARY KEY (version_num)")
READING = ("standard_conforming_strings", "client_encoding")
OWN_CHECK = "SELECT pg_catalog.current_schema()"  # of env.py's own callback, see `tenantmig.env`


class Witness:
    """Records what each revision of one attempt sends. Is used by one thread, for one attempt."""

    def __init__(
        self,
        connection: sa.Connection,
        schema: str,
        version_table: str,
        formats: frozenset[str] = frozenset(),
        *,
        is_birth: bool,
    ) -> None:
        self.formats = formats
        self.is_birth = is_birth
        self.connection = connection
        self.schema = schema
        self.version_table = version_table
        self._recordings: list[Recording] = []
        self.stands: Heads = ()
        self.outline: str | None = None
        self._statements: list[Sent] = []
        self._obstacle: str | None = None
        self._general: str | None = None
        self._left: str | None = None
        self._is_script = False
        self._unsure: str | None = None
        self.asked: list[Asked] = []
        """What the scripts sent, as they wrote it, in all revisions."""
        driver = connection.connection.driver_connection
        assert isinstance(driver, ScriptConnection)
        self._driver = driver
        self._literals = Literals(driver)
        self._read_as = self._how_read()

    # -- what the worker tells ----------------------------------------------------------------

    def watch(self, step: RevisionStep, context: MigrationContext) -> None:
        """Watch the script of a step when Alembic runs it."""
        script = step.migration_fn

        @wraps(script)  # Alembic logs its name
        def watched(**arguments: object) -> None:
            self._statements, self._obstacle = [], None
            if arguments:
                self._note("env.py passes arguments to its script")
            with self._watching(context, str(step.revision.revision) in self.formats):
                script(**arguments)

        step.migration_fn = watched

    def look_at(self, context: MigrationContext, hook: str | None) -> None:
        """Note what env.py and the application do beside the scripts."""
        if hook is not None:
            self.note_environment(hook)
        if any(c.__module__ != "tenantmig.env" for c in context.on_version_apply_callbacks):
            self.note_environment("env.py calls a function after each revision")

    def reached(
        self, revision: str, direction: RunKind, target: Heads, memo: Memo = frozenset()
    ) -> None:
        """A revision is about to be committed; `memo` is what Alembic remembers."""
        source, self.stands = self.stands, target
        before, self.outline = self.outline, self._read_outline()
        with in_catalog(self._driver):
            found = read_fingerprints(self._driver, [self.schema]).get(self.schema)
        if not self._is_own_role():
            self.note_environment("it runs as another role than the one that logged in")
        self._recordings.append(
            Recording(
                revision,
                direction,
                self.schema,
                source,
                target,
                tuple(self._statements),
                before,
                found,
                self._obstacle or self._left,
                is_written=revision in self.formats,
                memo=memo,
            )
        )

    def left(self, revision: str, left: Mapping[str, str], named: Sequence[str]) -> None:
        """A revision is committed; `left` is what it and those before it left on the session.

        Another session would not have that, so neither it nor what follows is replayed. `named` are
        settings of no extension that it may have used.
        """
        self._left = None
        for by, what in left.items():
            self._left = (
                f"revision {by}, which runs before it, leaves settings on the session: {what}"
            )
        if not self._recordings or self._recordings[-1].revision != revision:
            return
        last = replace(self._recordings[-1], named=tuple(named))
        if revision in left and not last.obstacle:
            last = replace(last, obstacle=f"it leaves settings on the session: {left[revision]}")
        self._recordings[-1] = last

    def begin(self) -> None:
        """Look at the tenant before anything runs."""
        self.outline = None if self.is_birth else self._read_outline()

    @property
    def recordings(self) -> tuple[Recording, ...]:
        """What was recorded; what env.py does beside the scripts is an obstacle to all of it."""
        general = self._general
        return tuple(replace(r, obstacle=r.obstacle or general) for r in self._recordings)

    @property
    def unsure(self) -> str | None:
        """Say what else than the rows of the tenant schema may have decided what was sent."""
        return self._unsure or self._general

    def note_script(self, obstacle: str) -> None:
        """The script of the running revision does what replaying it would leave out."""
        self._note(obstacle)

    def note_environment(self, obstacle: str) -> None:
        """Env.py does what replaying scripts would leave out."""
        self._general = self._general or obstacle

    def _is_own_role(self) -> bool:
        row = self._driver.execute("SELECT current_user, session_user").fetchone()
        return bool(row and row[0] == row[1])

    def _read_outline(self) -> str | None:
        """Look at the tenant's catalog as its own transaction sees it."""
        with in_catalog(self._driver):
            found = read_outlines(self._driver, [self.schema]).get(self.schema)
        return found.mark if found else None

    def _how_read(self) -> tuple[str | None, ...]:
        """How the server reads the texts it is sent; it reports each change by itself."""
        return tuple(map(self._driver.info.parameter_status, READING))

    # -- what is watched ----------------------------------------------------------------------

    @contextmanager
    def attached(self) -> Iterator[None]:
        """See all statements of the connection for the block."""
        engine = self.connection.engine
        heard: dict[str, Callable[..., None]] = {
            "before_cursor_execute": self._before,
            "after_cursor_execute": self._after,
            "handle_error": self._failed,
        }
        for name, listener in heard.items():
            event.listen(engine, name, listener)
        try:
            yield
        finally:
            for name, listener in heard.items():
                event.remove(engine, name, listener)

    @contextmanager
    def _watching(self, context: MigrationContext, is_written: bool) -> Iterator[None]:
        """Watch a script while it runs; `is_written`: it is proved to ask nothing of the name."""
        with ExitStack() as watched:
            for thing, names in () if is_written else tellers(self.connection, context):
                watched.enter_context(telling(thing, names, self._note))
            watched.enter_context(counted(self.connection.dialect, self._note_rows))
            watched.enter_context(timed(self._note))
            self._is_script = True
            watched.callback(self._end_script)
            yield

    def _end_script(self) -> None:
        self._is_script = False

    def _note(self, obstacle: str) -> None:
        """Note what depends on the tenant, on the moment, or on what is outside the database."""
        self._unsure = self._unsure or obstacle
        self._note_rows(obstacle)

    def _note_rows(self, obstacle: str) -> None:
        """Note what depends on the tenant schema alone, or on how statements are sent."""
        self._obstacle = self._obstacle or obstacle

    def hear_audit(self, happening: str, arguments: tuple[Any, ...]) -> None:
        """Notice what a script does outside the database (PEP 578): it would be done once only."""
        act = outside_act(happening, arguments) if self._is_script else None
        if act is not None:
            self._note(act)

    def _before(
        self,
        connection: sa.Connection,
        _: object,
        statement: str,
        parameters: Any,
        context: DefaultExecutionContext,
        is_many: bool,
    ) -> None:
        if not self._is_script:
            self._hear_others(statement)
            return
        if connection is not self.connection:
            self._note("it opens a connection of its own")
            return
        if self._how_read() != self._read_as:  # a replayed text is read before any of it runs
            self._note_rows("earlier statements changed how the server reads literals")
        is_outside = self._driver.autocommit
        self.asked.append(Asked(statement, is_outside))
        if is_outside and not self.is_birth:
            self._note_rows(AUTOCOMMIT)
        if context is not None and context.no_parameters:
            self._statements.append(Sent(statement, is_outside=is_outside))
            return
        # several rows in one statement (insertmanyvalues) come as many and are one set
        is_one = not is_many or isinstance(parameters, Mapping)
        try:
            for each in [parameters] if is_one else parameters:
                text = self._driver.put_in(statement, each)
                text = self._literals.write(statement, each) if text is None else text
                self._statements.append(Sent(text, is_outside=is_outside))
        except (psycopg.Error, UnwritableError, TypeError) as error:
            self._note_rows(f"its parameters cannot be written as literals ({error})")

    def _after(self, _: object, cursor: Any, *__: object) -> None:
        if self._is_script and cursor.description is not None:
            last = self._statements.pop() if self._statements else None
            if cursor.rowcount or last is None or last.is_outside:
                self._note_rows("one of its statements returns rows")
            else:
                self._statements.append(last._replace(is_empty=True))

    def _failed(self, _: object) -> None:
        if self._is_script:
            self._note_rows("one of its statements failed")

    def _hear_others(self, statement: str) -> None:
        """Alembic reads and writes the version table; anything else would be left out."""
        is_alembics = self.version_table in statement or statement.startswith("SELECT pg_catalog.")
        if not (is_alembics or statement == OWN_CHECK):
            self.note_environment("env.py sends statements of its own")
        is_table = statement.lstrip().startswith("CREATE TABLE")
        length = version_length(self.connection.connection.driver_connection)
        if is_table and not all(part.format(length) in statement for part in VERSION_TABLE):
            self.note_environment("env.py creates a version table of its own")

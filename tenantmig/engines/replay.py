"""The replay engine: the SQL that two witnesses sent, for one tenant after another.

A transaction for each revision, or for several where none takes long, in one round trip: what the
revisions sent, the version row by compare-and-set, and the journal row. The server itself refuses
the COMMIT if the tenant is not where it was planned to be; nothing is decided in between. It never
has the last word on a failure: what it could not do, the alembic engine tries next and explains.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import psycopg

from tenantmig.domain.failure import Failure, FailureKind, Phase, classify
from tenantmig.domain.notices import NoticeListener
from tenantmig.domain.outcome import DONE, Attempt
from tenantmig.domain.plan import Assignment
from tenantmig.engines.template import Template
from tenantmig.engines.transactions import TextMaker, Texts
from tenantmig.ledger.claim import session_name
from tenantmig.postgres.connection import GRACE_S, BoundedConnection, SessionOptions, bind, connect
from tenantmig.postgres.diagnosis import explain
from tenantmig.postgres.same_server import refuse_other_server
from tenantmig.postgres.session_state import left_by_replay
from tenantmig.postgres.sql import query

READ_OTHERWISE = Failure(
    FailureKind.PERMANENT,
    "a trigger or function of this tenant changed standard_conforming_strings during a "
    "COMMIT, so string literals would be read differently; nothing more was sent. Run again "
    "to go on without this setting",
)


@dataclass(slots=True)
class _Line:
    """One thread's connection, and how many tenants it has served."""

    connection: BoundedConnection
    notices: NoticeListener
    strings: str
    """How string literals were read when the session began."""
    served: int = 0
    is_busy: bool = False

    @property
    def reads_otherwise(self) -> bool:
        """True if something in a tenant has changed how the next text would be read."""
        return self.connection.strings != self.strings


class ReplayEngine:
    """Replays templates; `attempt` may be called from any number of threads of one run."""

    name = "replay"

    def __init__(self, options: SessionOptions, maker: TextMaker, recycle_after: int) -> None:
        self.options = options
        self.maker = maker
        self.recycle_after = recycle_after
        self._texts: dict[tuple[object, ...], Texts] = {}
        self._local = threading.local()
        self._lines: list[_Line] = []

    def attempt(
        self, assignment: Assignment, templates: Sequence[Template], *, is_small: bool
    ) -> Attempt:
        """Bring one tenant along a path of which every revision has a template.

        In a small tenant nothing takes long, and revisions may share a transaction.
        """
        phase = Phase.PREPARE
        try:
            line = self._line(assignment)
            texts = self._texts_of(assignment, templates, is_small=is_small)
            line.connection.answer_within_s = (
                texts.statements * self.options.statement_timeout_s + GRACE_S
            )
            line.notices.revision = ", ".join(template.revision for template in templates)
            for transaction in texts.render(assignment, line.strings):
                if line.reads_otherwise:  # a text before, at its COMMIT
                    self.hang_up()
                    return Attempt(failure=READ_OTHERWISE, engine=self.name)
                phase = Phase.COMMIT  # each holds one, and it may be what was lost
                answer = line.connection.execute(transaction)
            heard = line.notices.take(assignment.tenant)
            found, is_marked = _left(answer)
            if found != (*texts.left, assignment.tenant.schema):
                return self._doubt(assignment, line.connection, found)
            left = self._left_on(line.connection, assignment, templates)
            if is_marked:
                self.hang_up()
            if left:
                return Attempt(failure=Failure(FailureKind.PERMANENT, left), engine=self.name)
            return Attempt(DONE[assignment.kind], engine=self.name, warnings=heard)
        except Exception as error:  # noqa: BLE001  an engine never raises
            if self._ends_reading_otherwise():
                self.hang_up()
                return Attempt(failure=READ_OTHERWISE, engine=self.name)
            return self.fail(error, phase)

    def _ends_reading_otherwise(self) -> bool:
        """True if a transaction that is committed changed how the failed one was read."""
        line: _Line | None = getattr(self._local, "line", None)
        if line is None:
            return False
        with suppress(psycopg.Error):
            line.connection.rollback()
        return not line.connection.closed and line.reads_otherwise

    def fail(self, error: Exception, phase: Phase = Phase.PREPARE) -> Attempt:
        """Give the calling thread's connection up and say what went wrong."""
        self.hang_up()
        return Attempt(failure=self._explain(error, phase), engine=self.name)

    def _left_on(
        self,
        connection: BoundedConnection,
        assignment: Assignment,
        templates: Sequence[Template],
    ) -> str:
        """Say what rows of this tenant, by its triggers, left on the session for later revisions.

        The witnesses' did not; and what comes next runs on another session.
        """
        is_short = assignment.stretch.target != assignment.path.target
        if not is_short or not any(template.stands_alone for template in templates):
            return ""
        named = [name for template in templates for name in template.named]
        left = left_by_replay(connection, named)
        if not left:
            return ""
        self.hang_up()
        return (
            f"everything up to revision {assignment.stretch.destination} is committed, but "
            f"triggers or functions of this tenant alone had left settings in a session "
            f"that has ended: {left}; run again to go on without them"
        )

    def _doubt(
        self, assignment: Assignment, connection: BoundedConnection, found: object
    ) -> Attempt:
        """The COMMIT was acknowledged, and what was committed is not there: claim nothing."""
        facts = {"run": assignment.run, "epoch": assignment.epoch, "tenant": assignment.tenant.name}
        connection.execute(query("ledger/withdraw_step", self.maker.ledger), facts)
        self.hang_up()
        message = (
            f"replay: the COMMIT succeeded, but version, journal and schema are now {found} "
            f"and not as written for {assignment.stretch.destination}. Something in the "
            "tenant schema changed them, for example a deferred trigger; check its version "
            "table"
        )
        failure = Failure(FailureKind.IN_DOUBT, message, Phase.COMMIT)
        return Attempt(failure=failure, is_partial=True, engine=self.name)

    def connection(self, assignment: Assignment) -> BoundedConnection:
        """The calling thread's connection, between two tenants."""
        return self._line(assignment).connection

    def _texts_of(
        self, assignment: Assignment, templates: Sequence[Template], *, is_small: bool
    ) -> Texts:
        key = (assignment.stretch, assignment.path.target, is_small)
        if key not in self._texts:
            self._texts[key] = self.maker.make(assignment, templates, is_small=is_small)
        return self._texts[key]

    def _explain(self, error: Exception, phase: Phase) -> Failure:
        """Say what went wrong; what the server refused may still succeed by the alembic engine."""
        if not isinstance(error, psycopg.Error):
            return explain(error, None, self.options.url)
        is_broken = error.sqlstate is None
        kind = classify(phase, error.sqlstate, is_broken=is_broken)
        if kind is FailureKind.PERMANENT:
            kind = FailureKind.TRANSIENT
        message = error.diag.message_primary or str(error)
        return Failure(kind, self.options.url.redact(f"replay: {message}"), phase, error.sqlstate)

    # -- connections ----------------------------------------------------------------------------

    def _line(self, assignment: Assignment) -> _Line:
        line: _Line | None = getattr(self._local, "line", None)
        is_full = line is not None and line.served >= self.recycle_after
        if line is not None and (is_full or line.connection.closed or line.reads_otherwise):
            self.hang_up()
            line = None
        if line is None:
            line = self._dial(assignment)
        line.served += 1
        line.is_busy = True
        return line

    def rest(self) -> None:
        """The calling thread needs its connection no more, for now."""
        line: _Line | None = getattr(self._local, "line", None)
        if line is not None:
            line.is_busy = False

    def hang_up_idle(self) -> None:
        """End the connections that no thread needs now: somebody else found none."""
        for line in list(self._lines):
            if not line.is_busy:
                with suppress(psycopg.Error):
                    line.connection.close()

    def _dial(self, assignment: Assignment) -> _Line:
        connection = connect(self.options)
        line = _Line(connection, NoticeListener(self.options.url.redact), connection.strings)
        line.notices.listen(connection)
        self._local.line = line
        self._lines.append(line)
        refuse_other_server(connection, assignment.server, assignment.run)
        bind(connection, self.options, (), session_name(assignment.run))
        return line

    def hang_up(self) -> None:
        """End this thread's connection, and with it the lock and whatever was begun."""
        line: _Line | None = getattr(self._local, "line", None)
        self._local.line = None
        if line is not None:
            with suppress(psycopg.Error):
                line.connection.close()

    def close(self) -> None:
        """End every connection."""
        for line in list(self._lines):
            with suppress(psycopg.Error):
                line.connection.close()


def _left(answer: psycopg.Cursor[Any]) -> tuple[object, bool]:
    """Return the row of a text's last statement: what is there, and whether the session is marked.

    The column between gives up the lock.
    """
    answer.set_result(-1)
    rows = answer.fetchall()
    return (rows[0][:4], bool(rows[0][5])) if len(rows) == 1 else (rows, False)

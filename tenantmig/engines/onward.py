"""Onward: the steps of one attempt, and how far they go on the same session.

With plain Alembic a whole path runs on one session: a setting, a role or a temporary table of one
revision is there for the next. An attempt may be asked for a stretch only, the rest being somebody
else's; where a revision left something, the attempt goes on to the end of the path itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any

from alembic.runtime.migration import MigrationContext, RevisionStep

from tenantmig.domain.failure import Failure, FailureKind
from tenantmig.domain.plan import Assignment, Heads, Memo, Path, RunKind, show_heads
from tenantmig.engines.witness import Witness
from tenantmig.errors import VersionTableError
from tenantmig.history.revisions import History
from tenantmig.postgres.connection import set_limits
from tenantmig.postgres.session import TenantSession
from tenantmig.postgres.session_state import SessionState


class Onward:
    """One attempt's way, with an eye on what its scripts leave on the session."""

    def __init__(
        self,
        session: TenantSession,
        history: History,
        assignment: Assignment,
        witness: Witness | None,
    ) -> None:
        self.session = session
        self.history = history
        self.assignment = assignment
        self.witness = witness
        self.state = SessionState(session.sqlalchemy)
        self.reached: Heads | None = None
        """Where the last revision brought the tenant; its caller tells."""
        self._context: MigrationContext | None = None
        self.memo = assignment.memo
        """What Alembic remembered after the last revision that was committed."""
        self._is_watching = False
        self.is_through = False
        """It went on beyond the stretch."""

    @property
    def told(self) -> dict[str, Any]:
        """What an attempt tells of this."""
        return {"is_through": self.is_through, "memo": self.memo}

    @property
    def remembered(self) -> Memo:
        """What Alembic remembers now, before the revision is committed."""
        return self.memo | (_memo(self._context) if self._context else self.memo)

    @property
    def is_arrived(self) -> bool:
        """True when all revisions that were to be run have been."""
        way = self.assignment.path if self.is_through else self.assignment.stretch
        return self.reached == way.target

    def steps(self, heads: Heads, context: MigrationContext) -> Iterator[RevisionStep]:
        """Return the steps of the stretch, and of all that follows if something is left for it.

        Between two of them the session is looked at, and our limits are set again.
        """
        self._context = context
        _put(context, self.memo)
        stretch, path = self.assignment.stretch, self.assignment.path
        self._is_watching = self.witness is not None or len(path.revisions) > 1
        if self._is_watching:
            # env.py has set up what it likes; Alembic may have begun with the version table
            self.state.begin(self.session.driver)
        with self.state.heard():
            for step in self._exactly(stretch, heads, context):
                yield step
                self._look(step, is_certain=self.reached == stretch.target != path.target)
            if self.state.left and self.reached == stretch.target != path.target:
                self.is_through = True
                for step in self._exactly(path, stretch.target, context):
                    yield step
                    self._look(step)

    def _exactly(
        self, path: Path, heads: Heads, context: MigrationContext
    ) -> Iterable[RevisionStep]:
        """Return the steps that were planned and are left, and no others.

        A name of Alembic's for where they lead could mean others: what a rollback undoes over a
        merge has none.
        """
        kind = self.assignment.kind
        rest = self.history.rest(kind, path, heads)
        if rest is None:
            where = show_heads(heads) or "base"
            raise VersionTableError(f"Alembic starts at {where}, which is not on the planned path")
        return self.history.exact_steps(kind, rest)(heads, context)

    def _look(self, step: RevisionStep, *, is_certain: bool = False) -> None:
        """Look at the session after a revision's COMMIT, when what held for it alone is gone."""
        self.memo = self.remembered
        revision = str(step.revision.revision)
        with self.session.outside_transaction() as driver:
            set_limits(driver, self.session.options)
            if self._is_watching:
                self.state.look(driver, revision, is_certain=is_certain or self.witness is not None)
        if self.witness is not None:
            self.witness.left(revision, self.state.left, self.state.named)

    def is_marked(self) -> bool:
        """True if the session must not serve another tenant."""
        with self.session.outside_transaction() as driver:
            return self.state.is_marked(driver)

    def heed(self, failure: Failure) -> Failure:
        """Make no second attempt where the session is gone that something was left on.

        A birth begins anew: nothing of it is kept.
        """
        is_kept = self.assignment.kind is not RunKind.ONBOARD
        if not (self.state.left and failure.is_retryable and is_kept):
            return failure
        is_lost = failure.kind is FailureKind.LOST_COMMIT
        return replace(
            failure,
            kind=FailureKind.IN_DOUBT if is_lost else FailureKind.PERMANENT,
            message=f"{failure.message} (no retry: earlier revisions had left settings"
            f" in a session that has ended: {self.state}; run again to go on without them)",
        )


def _memo(context: MigrationContext) -> Memo:
    """Take what Alembic remembers of the types that it has made, to make none twice.

    SQLAlchemy asks for it at each column of a named type (`NamedType._check_for_name_in_memos`).
    """
    kept = ((k, known) for k, known in context.impl.memo.items() if isinstance(known, set))
    return frozenset((kind, schema, name) for kind, known in kept for schema, name in known)


def _put(context: MigrationContext, memo: Memo) -> None:
    """Let Alembic go on where another process or connection stopped."""
    for kind, schema, name in memo:
        context.impl.memo.setdefault(kind, set()).add((schema, name))

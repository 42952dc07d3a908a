"""A tenant that others moved since the run was planned: what of them stands, and what is refused.

Knows the history and the version rows; runs nothing.
"""

from __future__ import annotations

from tenantmig.domain.plan import Assignment, Heads, RunKind, show_heads
from tenantmig.errors import VersionTableError
from tenantmig.history.revisions import History
from tenantmig.ledger.parts import RevisionParts
from tenantmig.postgres.session import TenantSession


def forget_finished_parts(
    parts: RevisionParts, session: TenantSession, history: History, heads: Heads, kind: RunKind
) -> None:
    """Forget parts of a revision that somebody has finished since, with plain Alembic."""
    for part in parts.left[:1]:
        is_applied = history.is_applied(part.revision, heads)
        if is_applied is (part.direction is not RunKind.DOWNGRADE):
            with session.outside_transaction():
                parts.forget()
        elif part.direction is not kind:
            parts.begin("", kind)  # says which revision is to be finished first


def refuse_moved(history: History, heads: Heads, assignment: Assignment) -> None:
    """Refuse a tenant that is not on the path of its assignment any more.

    Raises:
        VersionTableError: something else moved it.
    """
    if history.rest(assignment.kind, assignment.stretch, heads) is None:
        raise VersionTableError(
            f"something else moved the tenant to {show_heads(heads) or 'base'} after "
            "this run was planned. Nothing was run; run again"
        )

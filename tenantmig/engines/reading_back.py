"""Reading back: an outcome is told as done only when it was seen after its COMMIT."""

from __future__ import annotations

from tenantmig.domain.plan import Assignment, Heads, RunKind
from tenantmig.ledger.journal import read_back, read_back_gone
from tenantmig.postgres.session import TenantSession


def read_back_outcome(
    session: TenantSession,
    ledger: str,
    version_table: str,
    assignment: Assignment,
    heads: Heads | None = None,
) -> None:
    """Look, in a statement of its own, whether a tenant is where it will be told to be.

    `heads` are those of the path's target by default.

    Raises:
        ReadBackError: it is not; what the journal claims is withdrawn.
    """
    target = assignment.path.target if heads is None else heads
    with session.outside_transaction() as connection:
        if assignment.kind is RunKind.OFFBOARD:
            read_back_gone(connection, ledger, assignment)
        else:
            is_bound = session.schema is not None
            read_back(connection, ledger, version_table, assignment, target, is_bound=is_bound)

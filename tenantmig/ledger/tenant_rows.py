"""Reading what the ledger has on one tenant of a run; a damaged row is believed in nothing.

Knows the columns of the named queries; asks no database.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tenantmig.domain.outcome import Outcome, TenantOutcome
from tenantmig.errors import LedgerRowError
from tenantmig.ledger.rows import Row


@dataclass(frozen=True, slots=True)
class TenantRecord:
    """What a run has on one tenant, for going on with it or undoing it.

    `destination` is the target in Alembic's words; None if nothing was planned for the tenant.
    """

    outcome: TenantOutcome
    target: str | None
    destination: str | None
    problem: str | None = None
    """Why the row cannot be used: where the tenant came from is not known."""


def read_tenant(row: Any, run: int | str) -> TenantRecord:
    """Read what a run has on one tenant; of a row that cannot be used nothing is believed."""
    what = f'The row of "{row.tenant}" for run {run} in the ledger'
    schema = ""
    try:
        intent = Row(row.intent, what)
        schema = intent.required("schema")
        doubt = Row(row.doubt or "{}", what)
        outcome = TenantOutcome(
            intent.required("tenant"),
            schema,
            # an intent never carried out
            intent.optional_one_of("outcome", Outcome)
            or (Outcome.IN_DOUBT if row.doubt else Outcome.INTERRUPTED),
            intent.optional_text("from_revision"),
            intent.optional_text("to_revision"),
            intent.optional_text("engine"),
            intent.number("attempts"),
            intent.number("wave"),
            intent.seconds("duration_s"),
            intent.optional_text("sqlstate") or doubt.optional_text("sqlstate"),
            intent.optional_text("error") or doubt.optional_text("error"),
            intent.optional_text("backup"),
            intent.transaction("lost_xid") or doubt.transaction("lost_xid"),
        )
        target, destination = intent.optional_text("target"), intent.optional_text("destination")
    except LedgerRowError as error:
        return unusable(row.tenant, schema, error.message)
    return TenantRecord(outcome, target, destination)


def unusable(tenant: str, schema: str, problem: str) -> TenantRecord:
    """Return what is known of a tenant whose row cannot be used."""
    outcome = TenantOutcome(tenant, schema, Outcome.IN_DOUBT, error=problem)
    return TenantRecord(outcome, None, None, problem)

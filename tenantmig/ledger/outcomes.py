"""Outcomes: what a run came to for each tenant, written under its claim.

What the journal says stands above what is written here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import Any

import psycopg

from tenantmig.domain.outcome import Outcome, TenantOutcome
from tenantmig.ledger.claim import RunClaim, refuse_overtaken
from tenantmig.ledger.journal import DONE_OUTCOMES
from tenantmig.ledger.ledger import Ledger


def record_outcome(
    ledger: Ledger, claim: RunClaim, outcome: TenantOutcome, *, is_undone: bool = False
) -> TenantOutcome:
    """Write what a run came to for one tenant, and return it as the ledger then has it.

    What was written in the DDL's own transaction stands: if the last COMMIT did arrive, the
    tenant is done whatever the driver saw; and the revision it reached is always that of the
    journal. `is_undone` says that nothing of the tenant is left.

    Raises:
        OvertakenError: another driver has taken the run over; nothing was written.
    """
    facts = asdict(outcome) | {
        "run": claim.run,
        "epoch": claim.epoch,
        "is_undone": is_undone,
        "done": DONE_OUTCOMES,
    }
    try:
        rows = ledger.insist(lambda: ledger.query("ledger/record_outcome", facts))
    except psycopg.errors.LockNotAvailable:
        # the transaction in doubt holds the tenant's row; if it commits, its word stands
        rows = ledger.insist(lambda: ledger.query("ledger/record_doubt", facts))
        refuse_overtaken(rows, claim)
        return replace(outcome, outcome=Outcome.IN_DOUBT)
    refuse_overtaken(rows, claim)
    row = rows[0]
    return replace(outcome, outcome=Outcome(row.outcome), to_revision=row.to_revision)


def record_arrivals(
    ledger: Ledger, claim: RunClaim, outcomes: Sequence[TenantOutcome]
) -> list[TenantOutcome]:
    """Write at once that these tenants are at the target; see `record_outcome`.

    Raises:
        OvertakenError: another driver has taken the run over; nothing was written.
    """
    columns = {
        "tenants": "tenant",
        "outcomes": "outcome",
        "to_revisions": "to_revision",
        "engines": "engine",
        "attempts": "attempts",
        "waves": "wave",
        "durations": "duration_s",
        "backups": "backup",
    }
    facts: dict[str, Any] = {
        name: [getattr(outcome, key) for outcome in outcomes] for name, key in columns.items()
    }
    facts |= {"run": claim.run, "epoch": claim.epoch, "done": DONE_OUTCOMES}
    try:
        rows = ledger.insist(lambda: ledger.query("ledger/record_arrivals", facts))
    except psycopg.errors.LockNotAvailable:
        return [record_outcome(ledger, claim, outcome) for outcome in outcomes]
    refuse_overtaken(rows, claim)
    noted = {row.tenant: row for row in rows}
    return [
        replace(
            o, outcome=Outcome(noted[o.tenant].outcome), to_revision=noted[o.tenant].to_revision
        )
        for o in outcomes
    ]


def record_untouched(
    ledger: Ledger, claim: RunClaim, tenants: Sequence[str], outcome: Outcome
) -> None:
    """Write at once that a run ended before it came to these tenants.

    Raises:
        OvertakenError: another driver has taken the run over; nothing was written.
    """
    facts = {
        "run": claim.run,
        "epoch": claim.epoch,
        "tenants": list(tenants),
        "outcome": outcome.value,
    }
    rows = ledger.insist(lambda: ledger.query("ledger/record_untouched", facts))
    refuse_overtaken(rows, claim)

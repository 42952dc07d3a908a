"""Ledger rights: what a role must be granted on the ledger's tables before it writes there.

Asked for beforehand, so that a run does not end in its middle for want of a GRANT. Reading is not
asked for: what may not be read is told by the statement that would.
"""

from __future__ import annotations

from typing import Final

from tenantmig.domain.plan import Plan, RunKind
from tenantmig.ledger import schema as ledger_schema
from tenantmig.ledger.records import Records
from tenantmig.postgres.rights import Needs, needs_of

RUN: Final = (
    "ledger/begin_run", "ledger/take_over_run", "ledger/live_runs",
    "ledger/fence_dead_runs", "ledger/write_intents", "ledger/begin_attempt",
    "ledger/read_parts", "ledger/forget_parts", "ledger/record_step",
    "ledger/read_back", "ledger/withdraw_step", "ledger/record_outcome",
    "ledger/record_arrivals", "ledger/record_untouched", "ledger/record_doubt",
    "ledger/finish_run",
)  # fmt: skip
"""The queries of every run."""
SCRIPTS: Final = ("ledger/write_part",)
"""Those of a run that runs scripts."""
WITHOUT_SCRIPTS: Final = frozenset({RunKind.STAMP, RunKind.OFFBOARD, RunKind.RESTORE})
REGISTRY: Final = {
    RunKind.ONBOARD: frozenset({"SELECT", "INSERT", "UPDATE", "DELETE"}),
    RunKind.OFFBOARD: frozenset({"SELECT", "DELETE"}),
    RunKind.RESTORE: frozenset({"SELECT", "INSERT", "UPDATE"}),
}
"""What a run writes into the table of tenants."""
CHANGED: Final[Needs] = {"tenant": frozenset({"SELECT", "UPDATE"})}
"""What a change of the registry needs."""
ADDED: Final[Needs] = {"tenant": frozenset({"SELECT", "INSERT"})}
"""What a new row of the registry needs."""

NOTED: Final[Needs] = {"backup_file": frozenset({"INSERT"})}
"""What it needs to note a backup there."""


def needs_of_run(plan: Plan) -> Needs:
    """Return what a run needs on the ledger's tables."""
    needs = dict(needs_of(*RUN, *(() if plan.moves in WITHOUT_SCRIPTS else SCRIPTS)))
    if plan.kind in REGISTRY:
        needs["tenant"] = REGISTRY[plan.kind]
    return needs


def require(records: Records, needs: Needs) -> None:
    """Refuse a role that lacks one of these rights on the ledger.

    Raises:
        PrivilegeError: with every GRANT that it lacks; nothing was touched.
    """
    ledger_schema.require(records.connection, records.schema, needs)

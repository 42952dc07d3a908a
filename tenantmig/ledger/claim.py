"""The claim of a driver on its run, and how it ends. Knows no connection."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple

from tenantmig.errors import OvertakenError


class RunClaim(NamedTuple):
    """What a driver holds of a run; a claim of an older epoch than the ledger's is void."""

    run: int
    epoch: int
    started_at: datetime
    server: str


def session_name(run: int) -> str:
    """The application_name of the sessions that work for a run."""
    return f"tenantmig run {run}"


def refuse_overtaken(rows: Sequence[Any], claim: RunClaim) -> None:
    """Refuse to go on when a write under a claim met no row.

    Raises:
        OvertakenError: another driver has taken the run over.
    """
    if not rows:
        raise OvertakenError(f"Another driver took over run {claim.run}; this driver stopped.")

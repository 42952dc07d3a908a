"""Activity: what runs on the server now, asked and stopped over the control connection."""

from __future__ import annotations

from contextlib import suppress

import psycopg

from tenantmig.errors import ConnectError
from tenantmig.ledger.ledger import Ledger
from tenantmig.postgres.capacity import free_connections


def cancel_statements(ledger: Ledger, application_name: str) -> int:
    """Cancel what other sessions of this name run right now; return how many were told."""
    with suppress(psycopg.OperationalError, ConnectError):
        return len(ledger.query("ledger/cancel_statements", {"application_name": application_name}))
    return 0


def login_problem(ledger: Ledger) -> str | None:
    """Say why new connections of this role would be refused, as far as one can ask."""
    with suppress(psycopg.OperationalError, ConnectError):
        problem = ledger.query("ledger/login_problem")[0].problem
        return str(problem) if problem else None
    return None


def is_full(ledger: Ledger, application_name: str) -> bool:
    """True when the server answers and has no connection for another worker of this name.

    One that an idle worker holds will be free. False as well when the server cannot be asked: it
    may be restarting, and that is worth waiting for.
    """
    with suppress(psycopg.OperationalError, ConnectError):
        idle = ledger.query("ledger/idle_sessions", {"application_name": application_name})[0].count
        return free_connections(ledger.connection) + int(idle) <= 0
    return False


def live_onboardings(ledger: Ledger, run: int) -> list[str]:
    """Return the tenants that other drivers have been onboarding since before a run."""
    return [row.tenant for row in ledger.query("ledger/live_onboardings", {"run": run})]

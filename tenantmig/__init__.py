"""Schema-per-tenant migrations on PostgreSQL, with Alembic.

What an application imports is here; `irreversible` is for migration scripts.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tenantmig.errors import TenantmigError, irreversible

if TYPE_CHECKING:
    from tenantmig.domain.draft import Draft, RevisionReport
    from tenantmig.domain.lineage import Lineage
    from tenantmig.domain.outcome import Outcome, RunReport, RunState, TenantOutcome
    from tenantmig.domain.stop_signal import StopSignal
    from tenantmig.domain.tenant import Selection, Tenant, TenantState
    from tenantmig.drift.drift import FleetDrift
    from tenantmig.fleet.adopted import Adopted
    from tenantmig.fleet.check_report import CheckReport
    from tenantmig.fleet.fleet import Fleet
    from tenantmig.fleet.replay_check import ReplayReport
    from tenantmig.fleet.run_options import RunOptions
    from tenantmig.lint import LintReport

_HOMES = {
    "Adopted": "fleet.adoption",
    "CheckReport": "fleet.check_report",
    "Draft": "domain.draft",
    "Fleet": "fleet.fleet",
    "FleetDrift": "drift.drift",
    "Lineage": "domain.lineage",
    "LintReport": "lint",
    "Outcome": "domain.outcome",
    "ReplayReport": "fleet.replay_check",
    "RevisionReport": "domain.draft",
    "RunOptions": "fleet.run_options",
    "RunReport": "domain.outcome",
    "RunState": "domain.outcome",
    "Selection": "domain.tenant",
    "StopSignal": "domain.stop_signal",
    "Tenant": "domain.tenant",
    "TenantOutcome": "domain.outcome",
    "TenantState": "domain.tenant",
}

__all__ = [
    "Adopted",
    "CheckReport",
    "Draft",
    "Fleet",
    "FleetDrift",
    "Lineage",
    "LintReport",
    "Outcome",
    "ReplayReport",
    "RevisionReport",
    "RunOptions",
    "RunReport",
    "RunState",
    "Selection",
    "StopSignal",
    "Tenant",
    "TenantOutcome",
    "TenantState",
    "TenantmigError",
    "irreversible",
]


def __getattr__(name: str) -> Any:
    """Import late: a migration script that imports `irreversible` should not load the driver."""
    from importlib import import_module  # noqa: PLC0415

    if name not in _HOMES:
        raise AttributeError(f"module 'tenantmig' has no attribute {name!r}")
    return getattr(import_module(f"tenantmig.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return __all__

"""Schema-per-tenant migrations on PostgreSQL, with Alembic.

What an application imports is here; `irreversible` is for migration scripts.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tenantmig.errors import TenantmigError, irreversible

if TYPE_CHECKING:
    from tenantmig.adoption import Adopted
    from tenantmig.check_report import CheckReport
    from tenantmig.draft import Draft, RevisionReport
    from tenantmig.drift import FleetDrift
    from tenantmig.fleet import Fleet
    from tenantmig.lineage import Lineage
    from tenantmig.lint import LintReport
    from tenantmig.outcome import Outcome, RunReport, RunState, TenantOutcome
    from tenantmig.replay_check import ReplayReport
    from tenantmig.run_options import RunOptions
    from tenantmig.stop_signal import StopSignal
    from tenantmig.tenant import Selection, Tenant, TenantState

_HOMES = {
    "Adopted": "adoption",
    "CheckReport": "check_report",
    "Draft": "draft",
    "Fleet": "fleet",
    "FleetDrift": "drift",
    "Lineage": "lineage",
    "LintReport": "lint",
    "Outcome": "outcome",
    "ReplayReport": "replay_check",
    "RevisionReport": "draft",
    "RunOptions": "driver",
    "RunReport": "outcome",
    "RunState": "outcome",
    "Selection": "tenant",
    "StopSignal": "stop_signal",
    "Tenant": "tenant",
    "TenantOutcome": "outcome",
    "TenantState": "tenant",
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

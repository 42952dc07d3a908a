"""What a run reports while it runs, to a progress bar or an application's callback. Pure data."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tenantmig.domain.failure import Failure
from tenantmig.domain.lineage import Lineage
from tenantmig.domain.notices import Warned
from tenantmig.domain.outcome import RunReport, TenantOutcome
from tenantmig.domain.plan import RunKind


@dataclass(frozen=True, slots=True)
class RunStarted:
    """The run is in the ledger and begins."""

    run: int
    """The number of the run."""
    kind: RunKind
    target: str
    """The revision, as the command was given it."""
    tenants: int
    """How many tenants the run has."""
    pending: int
    """How many of them it will work on."""
    parallel: int
    """How many it works on at once, at most."""
    lineage: Lineage = Lineage.TENANT


@dataclass(frozen=True, slots=True)
class WaveStarted:
    """A wave begins."""

    wave: int
    """0 is the canary."""
    tenants: tuple[str, ...]
    """The names of its tenants."""


@dataclass(frozen=True, slots=True)
class SharedLock:
    """A revision locks a table that tenants share. From here on it runs one tenant at a time."""

    revision: str
    table: str


@dataclass(frozen=True, slots=True)
class FewerAtOnce:
    """The server cannot serve as many tenants at once. The next wave or leg tries again."""

    parallel: int
    """How many tenants are worked on at once from here on, at most."""
    reason: str


@dataclass(frozen=True, slots=True)
class SlowBackup:
    """pg_dump had to read the catalog of the whole database for a tenant's backup."""

    tenant: str
    reason: str
    """Why it could not read the tenant's part alone."""


@dataclass(frozen=True, slots=True)
class CatalogsDiffer:
    """The catalogs of some replayed tenants differ from the first ones'. They did so before."""

    schemas: tuple[str, ...]
    """The tenant schemas that differ."""


@dataclass(frozen=True, slots=True)
class AttemptFailed:
    """An attempt on a tenant failed, and there will be another."""

    tenant: str
    attempt: int
    """The number of the attempt."""
    failure: Failure
    is_deferred: bool = False
    """True when the next attempt comes at the end of the run."""


@dataclass(frozen=True, slots=True)
class TenantFinished:
    """A tenant has its outcome."""

    outcome: TenantOutcome
    done: int
    """How many tenants have their outcome."""
    pending: int
    """How many tenants the run works on."""


@dataclass(frozen=True, slots=True)
class RunFinished:
    """The run has ended."""

    report: RunReport


@dataclass(frozen=True, slots=True)
class ServerWarned:
    """The server warned while revisions ran for one tenant."""

    warnings: tuple[Warned, ...]


@dataclass(frozen=True, slots=True)
class ScriptPrinted:
    """env.py or scripts wrote to stdout or stderr in one attempt on a tenant."""

    tenant: str
    lines: tuple[str, ...]


Event = (
    RunStarted
    | WaveStarted
    | SharedLock
    | FewerAtOnce
    | SlowBackup
    | CatalogsDiffer
    | AttemptFailed
    | ServerWarned
    | ScriptPrinted
    | TenantFinished
    | RunFinished
)
OnEvent = Callable[[Event], None]


def ignore(event: Event) -> None:
    """Do nothing with an event."""

"""What a run tells while it runs, to a progress bar or to an application's callback. Pure data."""

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
    """The run is in the ledger; `pending` of its tenants will be worked on, `parallel` at once."""

    run: int
    kind: RunKind
    target: str
    tenants: int
    pending: int
    parallel: int
    lineage: Lineage = Lineage.TENANT


@dataclass(frozen=True, slots=True)
class WaveStarted:
    """A wave begins, of so many tenants; wave 0 is the canary."""

    wave: int
    tenants: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class SharedLock:
    """A revision locks a table that tenants share: it is run one tenant at a time from here on."""

    revision: str
    table: str


@dataclass(frozen=True, slots=True)
class FewerAtOnce:
    """The server bears no more than `parallel` tenants at once, until another wave or leg."""

    parallel: int
    reason: str


@dataclass(frozen=True, slots=True)
class SlowBackup:
    """A tenant's backup took as long as a fleet of this size makes it: pg_dump read everything."""

    tenant: str
    reason: str


@dataclass(frozen=True, slots=True)
class CatalogsDiffer:
    """Replayed tenants whose catalog is not that of the first ones; they differed before."""

    schemas: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class AttemptFailed:
    """An attempt failed and will be made again (`is_deferred`: at the end of the run)."""

    tenant: str
    attempt: int
    failure: Failure
    is_deferred: bool = False


@dataclass(frozen=True, slots=True)
class TenantFinished:
    """A tenant has its outcome; `done` of `pending` tenants have theirs."""

    outcome: TenantOutcome
    done: int
    pending: int


@dataclass(frozen=True, slots=True)
class RunFinished:
    """The run has ended; its report."""

    report: RunReport


@dataclass(frozen=True, slots=True)
class ServerWarned:
    """The server warned while revisions ran for one tenant."""

    warnings: tuple[Warned, ...]


@dataclass(frozen=True, slots=True)
class ScriptPrinted:
    """What env.py and scripts wrote to stdout and stderr in one attempt on a tenant, in lines."""

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

"""What happened: one outcome a tenant, one report a run. Pure data that every door hands out."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from tenantmig.domain.failure import Failure
from tenantmig.domain.lineage import Lineage
from tenantmig.domain.notices import Warned
from tenantmig.domain.plan import Memo, RunKind
from tenantmig.domain.recording import Recording

JSON_VERSION = 1  # of the objects that commands print: keys are added to it, none is changed
FAILED_REVISION = re.compile(r"revision (\S+): ")


class Outcome(StrEnum):
    """What a run did to a tenant."""

    UPGRADED = "upgraded"
    DOWNGRADED = "downgraded"
    ONBOARDED = "onboarded"
    OFFBOARDED = "offboarded"
    STAMPED = "stamped"
    RESTORED = "restored"
    ALREADY_CURRENT = "already_current"
    """It was at the target before."""
    FAILED = "failed"
    """It is not at the target; what was begun was rolled back to an exact revision."""
    IN_DOUBT = "in_doubt"
    """Nobody knows yet whether its last step was committed."""
    SKIPPED = "skipped"
    """The run stopped before it began with this tenant, or was told to leave it."""
    INTERRUPTED = "interrupted"
    """It was cut off, or not begun, when the run was interrupted."""

    @property
    def is_at_target(self) -> bool:
        """True when the tenant is at the target of the run."""
        return self in AT_TARGET


DONE: Mapping[RunKind, Outcome] = {
    RunKind.UPGRADE: Outcome.UPGRADED,
    RunKind.DOWNGRADE: Outcome.DOWNGRADED,
    RunKind.ONBOARD: Outcome.ONBOARDED,
    RunKind.OFFBOARD: Outcome.OFFBOARDED,
    RunKind.STAMP: Outcome.STAMPED,
    RunKind.RESTORE: Outcome.RESTORED,
}
AT_TARGET = frozenset({*DONE.values(), Outcome.ALREADY_CURRENT})


class RunState(StrEnum):
    """The state of a run."""

    RUNNING = "running"
    """Only while its driver lives."""
    COMPLETE = "complete"
    """Every selected tenant is at the target."""
    INCOMPLETE = "incomplete"
    """Some tenants failed, are in doubt or were not reached."""
    INTERRUPTED = "interrupted"
    """Ctrl-C or SIGTERM ended it, or its driver died."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """What one try on one tenant came to: an outcome or a failure, never both.

    Neither, if it was not begun because the run was stopped.

    `knows_version` says that the version was read under the tenant's lock, so that whatever an
    earlier attempt left open is known. `is_partial`: a revision has committed a part of itself.
    `lost_xid` is the transaction whose COMMIT was lost. `shared_locks` names, for each revision
    that locked one, a table outside the tenant schema. `recordings` are a witness's; `engine` is
    the one that made the attempt. `is_through`: it went on to the end of the path, beyond the
    stretch, because a revision left something on the session that later ones may need. `memo` is
    what Alembic remembers for the rest of the path. `hook` names code of the application that
    SQLAlchemy calls on its own: the process must serve no other tenant.
    """

    outcome: Outcome | None = None
    failure: Failure | None = None
    knows_version: bool = False
    is_partial: bool = False
    lost_xid: str | None = None
    shared_locks: Mapping[str, str] = field(default_factory=dict)
    recordings: tuple[Recording, ...] = ()
    engine: str | None = None
    is_through: bool = False
    memo: Memo = frozenset()
    hook: str | None = None
    warnings: tuple[Warned, ...] = ()
    printed: tuple[str, ...] = ()
    """The lines that env.py and scripts wrote to stdout and stderr."""

    @property
    def is_begun(self) -> bool:
        """False if the run was stopped before."""
        return self.outcome is not None or self.failure is not None


@dataclass(frozen=True, slots=True)
class TenantOutcome:
    """What a run did to one tenant."""

    tenant: str
    schema: str
    outcome: Outcome
    from_revision: str | None = None
    """The revision before; None at base."""
    to_revision: str | None = None
    """The revision after; None at base."""
    engine: str | None = None
    """What brought it there: `alembic`, `replay`, `blueprint`, `statements` or `restore`."""
    attempts: int = 0
    wave: int = 1
    """0 is the canary."""
    duration_s: float = 0.0
    sqlstate: str | None = None
    error: str | None = None
    """Why it failed, on one line."""
    backup: str | None = None
    """The file that `--backup` wrote."""
    lost_xid: str | None = None
    """The transaction whose COMMIT was lost, of a tenant in doubt."""


@dataclass(frozen=True, slots=True)
class Trouble:
    """The latest run of a tenant failed or left it in doubt."""

    run: int
    outcome: Outcome
    error: str | None
    sqlstate: str | None = None

    def is_again(self, outcome: Outcome, sqlstate: str | None, error: str | None) -> bool:
        """True when a tenant has come to the same once more: the same revision, the same state.

        Messages may hold numbers and times, so only the revision that they begin with is compared;
        where there is neither a revision nor a state, the words.
        """
        if outcome is not self.outcome:
            return False
        found = sqlstate, _revision(error)
        is_same = found == (self.sqlstate, _revision(self.error))
        if found == (None, None):
            is_same = is_same and _words(error) == _words(self.error)
        return outcome is Outcome.IN_DOUBT or is_same


def _revision(error: str | None) -> str | None:
    """The revision that a failure's message begins with (see `diagnosis.explain`), or None."""
    found = FAILED_REVISION.match(error or "")
    return found[1] if found else None


def _words(error: str | None) -> str:
    """A failure's message without its numbers."""
    return re.sub(r"\d+", "", error or "")


@dataclass(frozen=True, slots=True)
class UnreadableRun:
    """A run whose row in the ledger cannot be used, and why."""

    run: str
    problem: str


@dataclass(frozen=True, slots=True)
class TenantRun:
    """A run, without its tenants, and what it did to one of them."""

    run: RunReport | UnreadableRun
    outcome: TenantOutcome


@dataclass(frozen=True, slots=True)
class RunReport:
    """A run and what it did to each tenant."""

    run: int | None
    """The number of the run."""
    kind: RunKind
    target: str
    state: RunState
    tenants: tuple[TenantOutcome, ...]
    started_at: datetime | None = None
    duration_s: float = 0.0
    reason: str | None = None
    """Why the run stopped, if it did."""
    undoes: int | None = None
    """The run that a rollback undoes."""
    obstacles: Mapping[str, str] = field(default_factory=dict)
    """For each revision that was not replayed: why not."""
    warnings: tuple[Warned, ...] = ()
    """What the server warned of, each warning once."""
    lineage: Lineage = Lineage.TENANT
    shared: RunReport | None = None
    """The run over the shared lineage that went before, if that had something to do."""
    problems: tuple[str, ...] = ()
    """Rows of the ledger that belong to the run and cannot be used, a sentence each."""

    @property
    def counts(self) -> dict[str, int]:
        """How many tenants had each outcome, in the order of `Outcome`."""
        counted = Counter(tenant.outcome for tenant in self.tenants)
        return {outcome.value: counted[outcome] for outcome in Outcome if counted[outcome]}

    @property
    def is_complete(self) -> bool:
        """True when every selected tenant is at the target."""
        return self.state is RunState.COMPLETE

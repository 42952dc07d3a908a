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
    FAILED = "failed"
    IN_DOUBT = "in_doubt"
    SKIPPED = "skipped"
    INTERRUPTED = "interrupted"

    @property
    def is_at_target(self) -> bool:
        """True when the tenant is where the run wanted it."""
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
    """How a run stands; `running` only while its driver lives."""

    RUNNING = "running"
    COMPLETE = "complete"
    INCOMPLETE = "incomplete"
    INTERRUPTED = "interrupted"


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
    """What a run did to one tenant. Revisions are None at base; durations are in seconds."""

    tenant: str
    schema: str
    outcome: Outcome
    from_revision: str | None = None
    to_revision: str | None = None
    engine: str | None = None
    attempts: int = 0
    wave: int = 1
    duration_s: float = 0.0
    sqlstate: str | None = None
    error: str | None = None
    backup: str | None = None
    lost_xid: str | None = None


@dataclass(frozen=True, slots=True)
class Trouble:
    """What the latest run of a tenant left: it failed or is in doubt."""

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
    """A run and what it did to each tenant.

    `obstacles` says of each revision that was not replayed why not; `warnings` are the server's,
    each once. `shared` is the run over the
    shared lineage that went before, if that had something to do.
    """

    run: int | None
    kind: RunKind
    target: str
    state: RunState
    tenants: tuple[TenantOutcome, ...]
    started_at: datetime | None = None
    duration_s: float = 0.0
    reason: str | None = None
    undoes: int | None = None
    obstacles: Mapping[str, str] = field(default_factory=dict)
    warnings: tuple[Warned, ...] = ()
    lineage: Lineage = Lineage.TENANT
    shared: RunReport | None = None
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

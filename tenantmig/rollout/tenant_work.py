"""One tenant's way through a run: how far it is, and what its last attempt came to."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field, replace

from tenantmig.domain.failure import FailureKind, Phase
from tenantmig.domain.outcome import Attempt, Trouble
from tenantmig.domain.plan import Leg, Memo, Path
from tenantmig.domain.tenant import Tenant
from tenantmig.postgres.retry import Retry


@dataclass(slots=True)
class TenantWork:
    """One tenant's way through a run."""

    tenant: Tenant
    path: Path
    legs: tuple[Leg, ...]
    retry: Retry
    attempts_before: int = 0
    wave: int = 1
    leg: int = 0
    is_deferred: bool = False
    is_last_try: bool = False
    is_onward: bool = False
    """The last attempt came to the end of a leg: the next one goes on with it."""
    is_in_doubt: bool = False
    is_given_back: bool = False
    """The server has no connection for the thread that tried it last."""
    is_crowded: bool = False
    """The lock table was full when others were at work, and was not when it was tried alone."""
    lost_xid: str | None = None
    trouble: Trouble | None = None
    """What its latest run left when this one began."""
    memo: Memo = frozenset()
    backup: str | None = None
    last: Attempt | None = None
    began: float | None = None
    is_heard: threading.Event = field(default_factory=threading.Event)
    """The caller of `bring` has taken notice."""

    @property
    def attempts(self) -> int:
        """How many attempts were made, with those of earlier drivers."""
        return self.attempts_before + self.retry.made

    @property
    def next_leg(self) -> Leg:
        """The stretch that comes next."""
        return self.legs[self.leg]

    @property
    def is_arrived(self) -> bool:
        """True when the last leg is gone."""
        return self.leg >= len(self.legs)

    @property
    def is_unconnected(self) -> bool:
        """True when the last attempt found no server, or no place on it."""
        failure = self.last.failure if self.last else None
        return bool(failure and failure.phase is Phase.CONNECT and failure.is_retryable)

    @property
    def has_failed(self) -> bool:
        """True when the last attempt failed and no other follows now."""
        return self.last is not None and self.last.failure is not None

    def note_doubt(self, attempt: Attempt) -> None:
        """Take in whether it is open what the attempts so far left.

        Only a read under the lock settles that.
        """
        failure = attempt.failure
        self.memo |= attempt.memo
        if failure is None:
            self.is_in_doubt = False
        elif attempt.is_partial or failure.kind is FailureKind.LOST_COMMIT:
            self.is_in_doubt = True
        else:
            self.is_in_doubt = self.is_in_doubt and not attempt.knows_version
        self.lost_xid = (attempt.lost_xid or self.lost_xid) if self.is_in_doubt else None

    def end_run(self) -> None:
        """Let the failure of the last attempt end the whole run."""
        assert self.last is not None
        assert self.last.failure is not None
        self.last = replace(self.last, failure=replace(self.last.failure, kind=FailureKind.RUN))

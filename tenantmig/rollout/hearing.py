"""What the attempts of a run tell, as it comes: outcomes, failures, refusals; and the clock.

Hands ended tenants to the settlement and stops the run when it must; begins no work itself.
"""

from __future__ import annotations

import time
from collections.abc import Sequence

import psycopg

from tenantmig.domain.events import (
    AttemptFailed,
    CatalogsDiffer,
    FewerAtOnce,
    ScriptPrinted,
    ServerWarned,
    SharedLock,
    SlowBackup,
)
from tenantmig.domain.failure import Phase
from tenantmig.domain.notices import WarningSum
from tenantmig.domain.stop_signal import StopSignal
from tenantmig.ledger.activity import cancel_statements, is_full, login_problem
from tenantmig.ledger.claim import RunClaim, session_name
from tenantmig.ledger.ledger import Ledger
from tenantmig.postgres.retry import is_connection_loss
from tenantmig.rollout.attempts import Attempts
from tenantmig.rollout.rollout import RolloutOptions
from tenantmig.rollout.settlement import Settlement
from tenantmig.rollout.tenant_work import TenantWork

STOP_WITHIN_S = 15.0
VERIFIED_AT_ONCE = 100  # tenants, while others are worked on


class Hearing:
    """What was heard in one run so far. Its reader is the thread that carries the run out."""

    def __init__(
        self,
        ledger: Ledger,
        claim: RunClaim,
        options: RolloutOptions,
        signal: StopSignal,
        settlement: Settlement,
    ) -> None:
        self.ledger = ledger
        self.claim = claim
        self.options = options
        self.signal = signal
        self.settlement = settlement
        self.began = time.monotonic()
        self._stopped: float | None = None
        self.deferred: list[TenantWork] = []
        """Tenants that kept meeting locks."""
        self.warnings = WarningSum()

    def hear(self, attempts: Attempts, told: Sequence[object]) -> None:
        """Take what the attempts tell, and look at the clock."""
        ended = []
        for one in told:
            match one:
                case TenantWork():
                    if one.is_deferred and one.has_failed and not one.is_last_try:
                        self.deferred.append(one)
                    elif one.is_arrived or one.has_failed:
                        ended.append(one)
                case AttemptFailed():
                    self.options.on_event(one)
                    if one.failure.phase is Phase.CONNECT:
                        self._look_at_refusal(attempts, one)
                case ServerWarned():
                    self.warnings.add(one.warnings)
                case SharedLock() | FewerAtOnce() | SlowBackup() | ScriptPrinted():
                    self.options.on_event(one)
        self.settlement.settle(ended)
        self.verify(attempts, VERIFIED_AT_ONCE)
        self._look_at_clock(attempts)

    def verify(self, attempts: Attempts, least: int = 1) -> None:
        """Tell whose catalog is not that of the first tenants though the same SQL was sent."""
        try:
            differing = self.ledger.insist(
                lambda: attempts.engine.verify(self.ledger.connection, least)
            )
        except psycopg.Error as error:
            if least == 1 or is_connection_loss(error):
                raise
            return  # others are at work: it is tried again when they have ended
        if differing:
            self.options.on_event(CatalogsDiffer(tuple(differing)))

    def _look_at_refusal(self, attempts: Attempts, refused: AttemptFailed) -> None:
        """Ask on the connection that we have why there was no other."""
        problem = login_problem(self.ledger)
        if problem:
            self.signal.stop(problem)
        elif is_full(self.ledger, session_name(self.claim.run)):
            attempts.refuse(refused)

    def _look_at_clock(self, attempts: Attempts) -> None:
        now = time.monotonic()
        deadline = self.options.deadline_s
        if deadline is not None and now - self.began > deadline:
            self.signal.cancel(f"the deadline of {deadline:g} s passed")
        if self.signal.is_set and self.signal.is_cancelling:
            self._stopped = self._stopped or now
            cancel_statements(self.ledger, session_name(self.claim.run))
            if self.signal.is_urgent or now - self._stopped > STOP_WITHIN_S:
                attempts.engine.close()

"""How long one transaction may still wait for locks. Knows no statement."""

from __future__ import annotations

import time

import psycopg
from psycopg.pq import TransactionStatus

SHARE_OF_TIMEOUT = 0.1  # a later statement of a transaction gets at least this much of it


class LockWait:
    """What one transaction after the other has of the lock timeout."""

    def __init__(self, lock_timeout_s: float) -> None:
        self.lock_timeout_s = lock_timeout_s
        self._began: float | None = None

    def begin(self) -> None:
        """A transaction begins: it has the whole lock timeout."""
        self._began = None

    def rest_s(self, connection: psycopg.Connection) -> float | None:
        """Return what is left for the next statement, or None if the setting may stay."""
        now = time.monotonic()
        self._began = self._began or now
        least = SHARE_OF_TIMEOUT * self.lock_timeout_s
        spent = now - self._began
        is_aborted = connection.info.transaction_status is TransactionStatus.INERROR
        if spent > least and not is_aborted:  # else what comes is a ROLLBACK TO SAVEPOINT
            return max(self.lock_timeout_s - spent, least)
        return None

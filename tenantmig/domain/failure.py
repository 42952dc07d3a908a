"""What went wrong with one tenant and what may be done about it. Pure: a table, no exceptions.

A failure is classified by the phase it happened in, by whether the connection broke, and by its
SQLSTATE; never by exception class (psycopg gives `sqlstate=None` for each connect failure and for a
crashed server, and InternalError for some lost connections). The table follows PostgreSQL docs,
appendix A, and what was measured for each code (docs/decisions/failures.md).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Phase(StrEnum):
    """How far an attempt had come."""

    CONNECT = "connect"
    PREPARE = "prepare"
    TRANSACTION = "transaction"
    COMMIT = "commit"
    AUTOCOMMIT = "autocommit"


class FailureKind(StrEnum):
    """What may be done about a failure."""

    LOCKED = "locked"
    """Retry; then defer the tenant to the end of the run."""
    TRANSIENT = "transient"
    """Retry: nothing was committed."""
    CROWDED = "crowded"
    """The lock table is full: retry once, while no other tenant is worked on."""
    LOST_COMMIT = "lost_commit"
    """The last step may or may not have arrived: take the tenant's lock again, then read."""
    IN_DOUBT = "in_doubt"
    """Nobody can tell whether a step outside a transaction was run: never run it again blindly."""
    PERMANENT = "permanent"
    """The same SQL would fail again."""
    RUN = "run"
    """No tenant can succeed (disk full, read-only server): end the whole run."""


RETRYABLE = frozenset(
    {FailureKind.LOCKED, FailureKind.TRANSIENT, FailureKind.CROWDED, FailureKind.LOST_COMMIT}
)


@dataclass(frozen=True, slots=True)
class Failure:
    """Why an attempt failed."""

    kind: FailureKind
    message: str
    """The primary message, on one line, free of secrets."""
    phase: Phase = Phase.PREPARE
    sqlstate: str | None = None

    @property
    def is_retryable(self) -> bool:
        """True when the tenant may be tried again (each attempt locks and reads first)."""
        return self.kind in RETRYABLE


LOCKED = frozenset({"55P03"})
CROWDED = frozenset({"53200"})
TRANSIENT = frozenset({"40P01", "40001", "26000", "53300", "57P03"})
LOST = frozenset({"57P01", "57P02", "57P05", "25P03", "25P04"})
RUN = frozenset({"53100", "53400", "58030", "XX001", "XX002", "25006", "57P04", "3D000"})
CATALOG_RACES = frozenset({"23505", "XX000", "42P06", "42P07", "42710"})
UNKNOWN_TO_SERVER = frozenset({"40002", "40003", "08007"})
REFUSALS = frozenset(
    {"0A", "21", "22", "23", "25", "2B", "2F", "38", "39", "3F", "42", "44", "54", "55", "57", "P0"}
)
"""Classes by which the server says no, also to a COMMIT (a deferred constraint, for one)."""


def classify(
    phase: Phase, sqlstate: str | None, *, is_broken: bool, is_catalog: bool = False
) -> FailureKind:
    """Decide what may be done about a failure.

    `is_broken` says that the connection is gone; `is_catalog` that the error is about a table of
    pg_catalog or its concurrent update (two tenants raced for one shared object).
    """
    if sqlstate in RUN or (sqlstate or "").startswith("28"):
        return FailureKind.RUN
    if phase is Phase.CONNECT:
        return FailureKind.TRANSIENT
    if sqlstate in UNKNOWN_TO_SERVER:
        return FailureKind.LOST_COMMIT
    if is_broken or sqlstate in LOST or (sqlstate or "").startswith("08"):
        is_open = phase in {Phase.COMMIT, Phase.AUTOCOMMIT}
        return FailureKind.LOST_COMMIT if is_open else FailureKind.TRANSIENT
    if sqlstate in LOCKED:
        return FailureKind.LOCKED
    if sqlstate in CROWDED:
        return FailureKind.CROWDED
    if sqlstate in TRANSIENT or (is_catalog and sqlstate in CATALOG_RACES):
        return FailureKind.TRANSIENT
    if phase is Phase.COMMIT and (sqlstate or "")[:2] not in REFUSALS:
        return FailureKind.LOST_COMMIT
    return FailureKind.PERMANENT

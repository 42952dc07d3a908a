"""Retries: how often and after how long a failed attempt is made again. The only user of tenacity.

Waits are taken outside any transaction, jittered so that tenants that met the same lock do not meet
again, and end at once when the run is stopped.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from threading import Event
from typing import TypeVar

import psycopg
import tenacity

from tenantmig.domain.failure import FailureKind, Phase
from tenantmig.domain.outcome import Attempt
from tenantmig.errors import ConnectError

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """`attempts` tries at most; waits grow from `first_wait_s` to `longest_wait_s`, in seconds.

    Tries that found no server do not count; they are made again for `reconnect_s`, so that a run
    rides through a restart.
    """

    attempts: int = 4
    first_wait_s: float = 0.2
    longest_wait_s: float = 5.0
    reconnect_s: float = 60.0


class Retry:
    """The tries on one tenant: `made` counts them, also over several calls of `until_settled`."""

    def __init__(self, policy: RetryPolicy, stopping: Event) -> None:
        self.policy = policy
        self.stopping = stopping
        self.made = 0
        self._counted = 0
        self._unconnected_since: float | None = None

    def until_settled(
        self,
        attempt: Callable[[int], Attempt],
        on_retry: Callable[[int, Attempt], None],
        gives_up: Callable[[], bool] = lambda: False,
        *,
        is_onward: bool = False,
    ) -> Attempt:
        """Call `attempt(number)` until it succeeds, is not worth another try, or tries run out.

        Returns the last attempt. `on_retry` is told of each that will be made again. `gives_up` is
        asked before each of those and says that it is not made after all. A later call has tries of
        its own; where it `is_onward`, its first goes on with the last try of the call before, which
        succeeded, and has the number of that. One that was not begun does not count.
        """
        last: Attempt | None = None
        self._counted, self._unconnected_since = 0, None

        def once() -> Attempt:
            nonlocal last
            if last is None or not (self.stopping.is_set() or gives_up()):
                counts = not (is_onward and last is None)
                self.made += counts
                last = attempt(self.made)
                self.made -= counts and not last.is_begun
            return last

        retrying = tenacity.Retrying(
            retry=tenacity.retry_if_result(_is_retryable),
            stop=lambda state: self._is_spent(state) or self.stopping.is_set() or gives_up(),
            wait=tenacity.wait_random_exponential(
                multiplier=self.policy.first_wait_s, max=self.policy.longest_wait_s
            ),
            sleep=tenacity.sleep_using_event(self.stopping),
            before_sleep=lambda state: on_retry(self.made, _result(state)),
            retry_error_callback=_result,
        )
        return retrying(once)

    def _is_spent(self, state: tenacity.RetryCallState) -> bool:
        if _is_unconnected(_result(state)):
            self._unconnected_since = self._unconnected_since or time.monotonic()
            return time.monotonic() - self._unconnected_since > self.policy.reconnect_s
        self._unconnected_since = None
        self._counted += 1
        return self._counted >= self.policy.attempts


def _is_unconnected(attempt: Attempt) -> bool:
    return attempt.failure is not None and attempt.failure.phase is Phase.CONNECT


def is_worth_deferring(attempt: Attempt) -> bool:
    """True when the tenant met locks to the end: it may be free when the others are done."""
    return attempt.failure is not None and attempt.failure.kind is FailureKind.LOCKED


def is_crowded(attempt: Attempt) -> bool:
    """True when the lock table was full: there may be room for one tenant alone."""
    return attempt.failure is not None and attempt.failure.kind is FailureKind.CROWDED


def _is_retryable(attempt: Attempt) -> bool:
    return attempt.failure is not None and attempt.failure.is_retryable and not is_crowded(attempt)


def _result(state: tenacity.RetryCallState) -> Attempt:
    assert state.outcome is not None
    result = state.outcome.result()
    assert isinstance(result, Attempt)
    return result


def is_connection_loss(error: BaseException) -> bool:
    """True for a lost or refused connection; lock and statement timeouts are of the same class."""
    if isinstance(error, psycopg.OperationalError):
        state = error.sqlstate
        return state is None or (state[:2] in {"08", "57"} and state != "57014")
    return isinstance(error, ConnectError)


def survive_restart(call: Callable[[], T], within_s: float = 60.0) -> T:
    """Call again while the connection is lost or refused; for idempotent statements only.

    Raises:
        psycopg.OperationalError, ConnectError: still so after `within_s` seconds.
    """
    retrying = tenacity.Retrying(
        retry=tenacity.retry_if_exception(is_connection_loss),
        stop=tenacity.stop_after_delay(within_s),
        wait=tenacity.wait_random_exponential(multiplier=0.2, max=5),
        reraise=True,
    )
    return retrying(call)

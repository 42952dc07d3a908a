"""Retries: how many, when, and that a stopped run makes none."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from threading import Event

import psycopg
import pytest

from tenantmig.domain.failure import Failure, FailureKind, Phase
from tenantmig.domain.outcome import Attempt, Outcome
from tenantmig.errors import ConnectError, HistoryError
from tenantmig.postgres.retry import Retry, RetryPolicy, is_worth_deferring, survive_restart

DONE = Attempt(Outcome.UPGRADED)
FAILED = {kind: Attempt(failure=Failure(kind, "no")) for kind in FailureKind}
RETRYABLE = [FailureKind.LOCKED, FailureKind.TRANSIENT, FailureKind.LOST_COMMIT]
UNCONNECTED = Attempt(failure=Failure(FailureKind.TRANSIENT, "no", Phase.CONNECT))
FINAL = [kind for kind in FailureKind if kind not in RETRYABLE]


class Clock(Event):
    """A stop event that notes each wait and does not wait; `during` is called in its stead."""

    def __init__(self, during: Callable[[], None] = lambda: None) -> None:
        super().__init__()
        self.waits: list[float] = []
        self.during = during

    def wait(self, timeout: float | None = None) -> bool:
        assert timeout is not None
        self.waits.append(timeout)
        self.during()
        return self.is_set()


class Attempts:
    """Attempts that come out as listed, the last one for ever."""

    def __init__(self, *results: Attempt) -> None:
        self.results = results
        self.numbers: list[int] = []
        self.told: list[int] = []

    def __call__(self, number: int) -> Attempt:
        self.numbers.append(number)
        return self.results[min(len(self.numbers), len(self.results)) - 1]

    def tell(self, number: int, attempt: Attempt) -> None:
        assert attempt.failure
        self.told.append(number)


def _made(
    results: Sequence[Attempt], clock: Clock, policy: RetryPolicy | None = None
) -> tuple[Attempt, Attempts, Retry]:
    attempts = Attempts(*results)
    retry = Retry(policy or RetryPolicy(), clock)
    return retry.until_settled(attempts, attempts.tell), attempts, retry


@pytest.mark.parametrize("result", [DONE, *(FAILED[kind] for kind in FINAL)])
def test_what_is_settled_is_tried_once(result: Attempt) -> None:
    clock = Clock()
    last, attempts, retry = _made([result], clock)
    assert (last, attempts.numbers, retry.made) == (result, [1], 1)
    assert (clock.waits, attempts.told) == ([], [])


@pytest.mark.parametrize("kind", RETRYABLE)
@pytest.mark.parametrize("tries", [1, 2, 5])
def test_attempts_are_counted_and_waits_lie_between_them(kind: FailureKind, tries: int) -> None:
    clock = Clock()
    last, attempts, retry = _made([FAILED[kind]], clock, RetryPolicy(attempts=tries))
    assert last == FAILED[kind]
    assert attempts.numbers == list(range(1, tries + 1))
    assert retry.made == tries
    assert len(clock.waits) == tries - 1
    assert attempts.told == list(range(1, tries))


def test_success_ends_the_tries() -> None:
    clock = Clock()
    locked = FAILED[FailureKind.LOCKED]
    last, attempts, _ = _made([locked, FAILED[FailureKind.TRANSIENT], DONE], clock)
    assert last == DONE
    assert attempts.numbers == [1, 2, 3]
    assert len(clock.waits) == 2


def test_waits_are_jittered_and_bounded() -> None:
    policy = RetryPolicy(attempts=40, first_wait_s=0.2, longest_wait_s=5)
    waits = []
    for _ in range(2):
        clock = Clock()
        _made([FAILED[FailureKind.LOCKED]], clock, policy)
        waits.append(clock.waits)
    assert waits[0] != waits[1]
    assert all(0 <= wait <= 5 for wait in waits[0])
    assert waits[0][0] <= 0.4
    assert max(waits[0]) > 1
    assert all(one != other for one, other in pairwise(waits[0]))


def test_no_attempt_follows_a_stop_during_an_attempt() -> None:
    clock = Clock()

    def attempt(number: int) -> Attempt:
        clock.set()
        return FAILED[FailureKind.LOCKED]

    attempts = Attempts()
    retry = Retry(RetryPolicy(), clock)
    assert retry.until_settled(attempt, attempts.tell) == FAILED[FailureKind.LOCKED]
    assert (retry.made, clock.waits, attempts.told) == (1, [], [])


def test_no_attempt_follows_a_stop_during_a_wait() -> None:
    clock = Clock()
    clock.during = clock.set
    last, attempts, retry = _made([FAILED[FailureKind.TRANSIENT], DONE], clock)
    assert last == FAILED[FailureKind.TRANSIENT]
    assert (attempts.numbers, retry.made) == ([1], 1)
    assert len(clock.waits) == 1


@pytest.mark.parametrize("refusals", [1, 2, 5])
def test_no_attempt_follows_when_it_is_given_up(refusals: int) -> None:
    """The word may come during the wait, and is heard after it."""
    clock, attempts = Clock(), Attempts(UNCONNECTED)
    clock.during = lambda: None
    retry = Retry(RetryPolicy(attempts=1), clock)
    last = retry.until_settled(attempts, attempts.tell, lambda: len(clock.waits) >= refusals)
    assert last == UNCONNECTED
    assert retry.made == len(clock.waits) == refusals


def test_a_leg_goes_on_with_the_attempt_that_ended_the_one_before() -> None:
    clock = Clock()
    attempts = Attempts(FAILED[FailureKind.LOCKED], DONE, DONE, FAILED[FailureKind.LOCKED], DONE)
    retry = Retry(RetryPolicy(attempts=2), clock)
    for _ in range(2):
        assert retry.until_settled(attempts, attempts.tell, is_onward=retry.made > 0) == DONE
    assert (attempts.numbers, retry.made) == ([1, 2, 2], 2)
    assert retry.until_settled(attempts, attempts.tell, is_onward=True) == DONE
    assert (attempts.numbers, retry.made) == ([1, 2, 2, 2, 3], 3)


@pytest.mark.parametrize(("is_onward", "made"), [(True, 1), (False, 0)])
def test_what_was_not_begun_takes_no_attempt_from_the_leg_before(
    is_onward: bool, made: int
) -> None:
    retry = Retry(RetryPolicy(), Clock())
    retry.made = int(is_onward)
    attempts = Attempts(Attempt())
    assert retry.until_settled(attempts, attempts.tell, is_onward=is_onward) == Attempt()
    assert (attempts.numbers, retry.made) == ([1], made)


def test_a_deferred_tenant_goes_on_counting() -> None:
    clock = Clock()
    attempts = Attempts(*[FAILED[FailureKind.LOCKED]] * 2, DONE)
    retry = Retry(RetryPolicy(attempts=2), clock)
    first = retry.until_settled(attempts, attempts.tell)
    assert is_worth_deferring(first)
    assert retry.until_settled(attempts, attempts.tell) == DONE
    assert attempts.numbers == [1, 2, 3]
    assert retry.made == 3


@pytest.mark.parametrize("kind", FailureKind)
def test_only_locks_are_worth_deferring(kind: FailureKind) -> None:
    assert is_worth_deferring(FAILED[kind]) == (kind is FailureKind.LOCKED)
    assert not is_worth_deferring(DONE)


@pytest.mark.parametrize("error", [psycopg.OperationalError("gone"), ConnectError()])
def test_a_restart_is_survived(error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.sleep", lambda _: None)
    errors = [error, error]

    def call() -> str:
        if errors:
            raise errors.pop()
        return "back"

    assert survive_restart(call) == "back"


@pytest.mark.parametrize(
    "error", [psycopg.errors.UniqueViolation("twice"), HistoryError(), KeyError("x")]
)
def test_another_error_is_raised_at_once(error: Exception) -> None:
    calls = []

    def call() -> None:
        calls.append(1)
        raise error

    with pytest.raises(type(error)):
        survive_restart(call)
    assert len(calls) == 1


def test_the_lost_connection_is_raised_in_the_end() -> None:
    with pytest.raises(ConnectError, match="gone for good"):
        survive_restart(_refuse, within_s=0)


def _refuse() -> None:
    raise ConnectError("gone for good")

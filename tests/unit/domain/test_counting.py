"""Counts in words, and what the canary is chosen by."""

from __future__ import annotations

import threading

import pytest

from tenantmig.domain.counting import counted, joined
from tenantmig.domain.failure import Failure, FailureKind
from tenantmig.domain.outcome import Attempt, Outcome, Trouble
from tenantmig.domain.plan import Leg, Path
from tenantmig.domain.tenant import Tenant
from tenantmig.postgres.retry import Retry, RetryPolicy
from tenantmig.rollout.canary import canary_order, has_failed_newly, healthy, in_trouble
from tenantmig.rollout.tenant_work import TenantWork

R2 = 'revision r2: relation "x" does not exist'
STUCK = Trouble(3, Outcome.FAILED, R2, "42P01")


def work(name: str, source: str, *revisions: str, trouble: Trouble | None = None) -> TenantWork:
    path = Path((source,), ("r9",), revisions, "head")
    retry = Retry(RetryPolicy(), threading.Event())
    return TenantWork(Tenant(name, name), path, (Leg(path),), retry, trouble=trouble)


def names(works: list[TenantWork]) -> str:
    return "".join(one.tenant.name for one in works)


@pytest.mark.parametrize(
    ("number", "said"),
    [(0, "0 tenants"), (1, "1 tenant"), (2, "2 tenants"), (1000, "1000 tenants")],
)
def test_one_is_not_plural(number: int, said: str) -> None:
    assert counted(number, "tenant") == said


def test_other_plurals_and_lists() -> None:
    assert [counted(n, "index", "indexes") for n in (1, 2)] == ["1 index", "2 indexes"]
    assert [joined(list(parts)) for parts in ("a", "ab", "abc")] == ["a", "a and b", "a, b and c"]


def test_canaries_are_healthy_and_stand_where_most_stand() -> None:
    works = [
        work("a", "r1", "r2", "r3", trouble=STUCK),
        work("b", "r2", "r3"),
        work("c", "r1", "r2", "r3"),
        work("d", "r2", "r3"),
        work("e", "r1", "r2", "r3"),
        work("f", "r0", "r1", "r2", "r3"),
    ]
    assert (names(healthy(works)), names(in_trouble(works))) == ("bcdef", "a")
    assert names(canary_order(healthy(works))) == "cebdf"  # of two places, the longer path


@pytest.mark.parametrize(
    ("outcome", "sqlstate", "error", "is_again"),
    [
        (Outcome.FAILED, "42P01", R2, True),
        (Outcome.FAILED, "42P01", "revision r2: 7 other words", True),
        (Outcome.FAILED, "42P01", "revision r22: relation", False),
        (Outcome.FAILED, "42P07", R2, False),
        (Outcome.FAILED, "42P01", None, False),
        (Outcome.FAILED, None, R2, False),
        (Outcome.IN_DOUBT, "42P01", R2, False),
    ],
)
def test_a_failure_is_the_same_again(
    outcome: Outcome, sqlstate: str | None, error: str | None, is_again: bool
) -> None:
    assert STUCK.is_again(outcome, sqlstate, error) is is_again
    doubted = Trouble(3, Outcome.IN_DOUBT, "lost", "08006")
    assert doubted.is_again(outcome, sqlstate, error) is (outcome is Outcome.IN_DOUBT)


def test_without_a_revision_and_a_state_the_words_say_whether_it_is_the_same() -> None:
    died = Trouble(3, Outcome.FAILED, "worker 17 was killed", None)
    assert died.is_again(Outcome.FAILED, None, "worker 4 was killed")
    assert not died.is_again(Outcome.FAILED, None, "env.py must call context.run_migrations()")
    assert not died.is_again(Outcome.FAILED, None, None)


def test_a_canary_in_trouble_fails_newly_or_as_before() -> None:
    one = work("a", "r1", "r2", trouble=STUCK)
    assert not has_failed_newly(one)
    for kind, message, sqlstate, is_new in (
        (FailureKind.PERMANENT, R2, "42P01", False),
        (FailureKind.PERMANENT, R2, "23505", True),
        (FailureKind.RUN, R2, "42P01", True),
    ):
        one.last = Attempt(failure=Failure(kind, message, sqlstate=sqlstate))
        assert has_failed_newly(one) is is_new
    one.is_deferred = True
    assert not has_failed_newly(one)

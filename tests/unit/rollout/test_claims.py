"""Claims and turns: nobody is lost when threads leave, and who is alone is alone."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from threading import Event

import pytest

from tenantmig.rollout.claims import Claims, Turns


def claims_of(batch: str, threads: int) -> tuple[Claims[str], Event]:
    stopping = Event()
    claims: Claims[str] = Claims(stopping)
    claims.open(batch, threads)
    return claims, stopping


def test_each_is_taken_once_and_in_order() -> None:
    claims, _ = claims_of("abc", 2)
    assert [claims.take() for _ in range(4)] == ["a", "b", "c", None]
    assert claims.threads == 1


def test_nothing_is_taken_after_a_stop() -> None:
    claims, stopping = claims_of("abc", 2)
    assert claims.take() == "a"
    stopping.set()
    assert claims.take() is None
    assert not claims.leave("a")


def test_who_leaves_gives_back_what_it_took_and_the_last_stays() -> None:
    claims, _ = claims_of("abc", 3)
    assert claims.take() == "a"
    assert claims.take() == "b"
    assert claims.leave("b")
    assert claims.leave()
    assert claims.threads == 1
    assert not claims.leave("a")
    assert [claims.take() for _ in range(3)] == ["b", "c", None]


def test_nobody_need_leave_when_nothing_waits() -> None:
    claims, _ = claims_of("a", 2)
    assert claims.take() == "a"
    assert not claims.leave()
    assert claims.leave("a")


def test_a_refusal_is_that_attempts_and_that_batchs() -> None:
    claims, _ = claims_of("ab", 2)
    claims.refuse("a", 3)
    assert claims.is_refused("a", 3)
    assert not claims.is_refused("a", 4)
    assert not claims.is_refused("b", 3)
    assert claims.leave("a")
    assert not claims.is_refused("a", 3)  # nobody else is there to go on
    claims.open("ab", 2)
    assert not claims.is_refused("a", 3)


@pytest.mark.parametrize("threads", [2, 5])
def test_who_is_alone_is_alone(threads: int) -> None:
    turns, guard = Turns(), threading.Lock()
    at_work: list[str] = []
    crowds: list[list[str]] = []

    def work(n: int) -> None:
        is_alone = n % 3 == 0
        with turns.alone(60) if is_alone else turns.beside_others():
            with guard:
                at_work.append("alone" if is_alone else "beside")
                crowds.append(list(at_work))
            Event().wait(0.001)
            with guard:
                at_work.remove("alone" if is_alone else "beside")

    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(work, range(60)))
    assert len(crowds) == 60
    assert all(len(crowd) == 1 for crowd in crowds if "alone" in crowd)
    assert any(len(crowd) > 1 for crowd in crowds)


def test_who_wants_to_be_alone_is_not_kept_waiting_by_newcomers() -> None:
    turns, inside, leaving = Turns(), Event(), Event()

    def stay() -> None:
        with turns.beside_others():
            inside.set()
            leaving.wait(10)

    def alone() -> None:
        with turns.alone(60):
            pass

    with ThreadPoolExecutor(2) as pool:
        staying = pool.submit(stay)
        assert inside.wait(10)
        lone = pool.submit(alone)
        while turns.wait_for_others(0.01):
            pass
        assert not lone.done()
        leaving.set()
        staying.result(10)
        lone.result(10)
    assert turns.wait_for_others(0)


def test_a_failure_ends_its_turn() -> None:
    turns = Turns()
    for _ in range(2):
        with pytest.raises(KeyError), turns.alone(60):
            raise KeyError
        with pytest.raises(KeyError), turns.beside_others():
            raise KeyError


def test_who_wants_to_be_alone_does_not_bar_others_for_ever() -> None:
    """One that takes an hour must not keep the whole fleet from going on meanwhile."""
    turns = Turns()
    with turns.beside_others():
        with turns.alone(0.01):
            assert turns.wait_for_others(0)
        assert turns.wait_for_others(0)
    with turns.alone(0.01):
        assert not turns.wait_for_others(0)

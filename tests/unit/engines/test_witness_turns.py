"""Whose turn it is to be a witness: one at a time, and nobody's once the run is stopped."""

from __future__ import annotations

import threading
from types import SimpleNamespace
from typing import Any, cast

import pytest

from tenantmig.domain.outcome import Attempt, Outcome
from tenantmig.domain.plan import Assignment, Path, RunKind
from tenantmig.domain.tenant import Tenant
from tenantmig.engines import Engine, auto
from tenantmig.engines.auto import AutoEngine

DONE = Attempt(Outcome.UPGRADED)


class Witness(Engine):
    """Holds its first attempt until it is let go, and notes for whom it was asked."""

    name = "alembic"

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.is_at_work, self.may_end = threading.Event(), threading.Event()

    def attempt(self, assignment: Assignment) -> Attempt:
        self.asked.append(assignment.tenant.name)
        self.is_at_work.set()
        assert self.may_end.wait(60)
        return DONE

    def close(self) -> None:
        """It has nothing."""


def asked_for(name: str, *, is_reading: bool = False) -> Assignment:
    path = Path(("r1",), ("r2",), ("r2",), "r2")
    tenant = Tenant(name, name)
    return Assignment(run=1, kind=RunKind.UPGRADE, tenant=tenant, path=path, is_reading=is_reading)


def opened(witness: Witness, stopping: threading.Event) -> AutoEngine:
    """An engine for which all is proved and nothing is recorded."""
    proved = SimpleNamespace(is_pure=True, formats_tenant=False)
    proofs = SimpleNamespace(obstacle=lambda *_: None, of=lambda *_: proved)
    replay = SimpleNamespace(hang_up=lambda: None, rest=lambda: None)
    engine = AutoEngine(witness, Witness, cast("Any", replay), lambda: cast("Any", proofs))
    engine.heed(stopping)
    return engine


def test_who_waited_begins_nothing_once_the_run_is_stopped() -> None:
    witness, stopping = Witness(), threading.Event()
    engine = opened(witness, stopping)
    first = threading.Thread(target=engine.attempt, args=[asked_for("a")])
    first.start()
    assert witness.is_at_work.wait(60)
    stopping.set()
    threading.Timer(0.05, witness.may_end.set).start()  # before the one that waits has looked
    made = engine.attempt(asked_for("b"))
    first.join(60)
    assert (made, witness.asked) == (Attempt(), ["a"])


def test_others_wait_however_long_the_witness_works(monkeypatch: pytest.MonkeyPatch) -> None:
    """They look for a stop again and again, and send nobody to Alembic in the meantime."""
    monkeypatch.setattr(auto, "TICK_S", 0.001)
    witness, looks = Witness(), Looks()
    engine = opened(witness, looks)
    first = threading.Thread(target=engine.attempt, args=[asked_for("a")])
    first.start()
    assert witness.is_at_work.wait(60)
    others = [threading.Thread(target=engine.attempt, args=[asked_for(n)]) for n in ("b", "c")]
    for other in others:
        other.start()
    assert looks.are_many.wait(60)  # at 0.2 s each, far more than two seconds of waiting
    assert witness.asked == ["a"]
    assert all(other.is_alive() for other in others)
    looks.set()
    witness.may_end.set()
    for thread in (first, *others):
        thread.join(60)
    assert witness.asked == ["a"]


class Looks(threading.Event):
    """Counts how often it is looked at."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0
        self.are_many = threading.Event()

    def is_set(self) -> bool:
        self.count += 1
        if self.count > 100:
            self.are_many.set()
        return super().is_set()


def test_what_an_attempt_left_is_read_after_a_stop_too() -> None:
    witness, stopping = Witness(), threading.Event()
    stopping.set()
    witness.may_end.set()
    engine = opened(witness, stopping)
    assert engine.attempt(asked_for("a", is_reading=True)) == DONE
    assert engine.attempt(asked_for("b")) == Attempt()

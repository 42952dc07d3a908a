"""A command of the soak: what it may touch, and the documented way on when it was cut off.

It is made while nothing runs. It converges by the same command again, or by `resume`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import ClassVar

from tests.faults.soak_fleet import ABSENT, Allowed, SoakFleet, Standing
from tests.faults.soak_history import REVISIONS
from tests.faults.soak_kills import EVERY, WITH_WORKERS

NEWEST = """
    SELECT id, state FROM tenantmig.run WHERE kind <> 'onboard' ORDER BY id DESC LIMIT 1
"""


class Family(ABC):
    """One command that is begun once, and what comes of it.

    `goal` says how each schema that it touches is at its end; `allowed` how each may be before.
    """

    kinds: dict[str, int] = EVERY
    is_run: ClassVar[bool] = True
    """It has a run in the ledger from its beginning; a kill before that hurts nobody."""
    is_rolled: ClassVar[bool] = True
    """It waits for a server that restarts; another may be refused then, with nothing touched."""

    def __init__(self, fleet: SoakFleet, dice: Random) -> None:
        self.fleet = fleet
        self.dice = dice
        self.goal: dict[str, Standing] = {}
        self.is_complete = False
        """Its last command said so, with exit code 0."""
        self.command = self._begin()
        self.allowed: Allowed = {
            name: {*self._between(fleet.at.get(name, ABSENT), goal), goal}
            for name, goal in self.goal.items()
        }

    @property
    def name(self) -> str:
        """Its name in the figures."""
        return type(self).__name__.lower()

    @abstractmethod
    def _begin(self) -> list[str]:
        """Set `goal`; return the command."""

    def _between(self, before: Standing, _: Standing) -> Iterator[Standing]:
        """How a schema may be when the command was cut off, besides the goal."""
        yield before

    def again(self) -> list[str] | None:
        """Return the command that goes on from what there is; None when all is done."""
        return None if self._is_done() else self.command

    def _is_done(self) -> bool:
        seen = self.fleet.seen()
        return all(seen.get(name, ABSENT) == goal for name, goal in self.goal.items())

    def _resume(self) -> list[str] | None:
        """Return the `resume` of the newest run, if that can and need be resumed."""
        run, state = self.fleet.database.fetch(NEWEST)[0]
        return None if state == "complete" else ["resume", str(run), "--yes"]

    def look(self) -> Iterator[str]:
        """Complain about what else must be true, after a kill and at the end."""
        yield from ()

    def end(self) -> None:
        """Write down what later commands are about."""
        self.fleet.at = self.fleet.seen()


class Move(Family):
    """What moves tenants over revisions; each is at one of those on its way."""

    kinds = EVERY | WITH_WORKERS
    revisions: ClassVar[tuple[str, ...]] = REVISIONS

    def _between(self, before: Standing, goal: Standing) -> Iterator[Standing]:
        return way(self.revisions, before, goal)

    def _head_for(self, target: str, *names: str) -> None:
        self.goal |= {name: replace(self.fleet.at[name], revision=target) for name in names}

    def again(self) -> list[str] | None:
        """Resume, or run the command again: either is right."""
        resume = self._resume()
        if resume is not None and (self.dice.random() < 0.5 or self._is_done()):
            return resume
        return super().again()


def way(revisions: Sequence[str], before: Standing, goal: Standing) -> Iterator[Standing]:
    """How a schema may be on its way from one revision to another."""
    places = sorted(revisions.index(one.revision) for one in (before, goal))
    for revision in revisions[places[0] : places[1] + 1]:
        yield replace(before, revision=revision)


def backups_of(fleet: SoakFleet, tenant: str, since: int) -> list[Path]:
    """Return the finished backups that runs from `since` on took of a tenant, the oldest first."""
    files = fleet.backups.glob(f"run*-{tenant}*.dump")
    found = [file for file in files if _run_of(file) >= since]
    return sorted(found, key=lambda file: (_run_of(file), len(file.name), file.name))


def _run_of(file: Path) -> int:
    return int(file.name.removeprefix("run").partition("-")[0])


def newest_run(fleet: SoakFleet) -> int:
    return int(fleet.database.fetch("SELECT coalesce(max(id), 0)::int FROM tenantmig.run")[0][0])

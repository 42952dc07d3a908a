"""The families of commands of the soak: how each begins, how it converges, what must be true.

Each is made while nothing runs, and says there what it may touch. It converges as the docs say: by
the same command again, or by `resume`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import ClassVar

from tests.faults.soak_fleet import (
    ABSENT,
    CORE,
    HALF_BORN,
    REVISIONS,
    SHARED_REVISIONS,
    TENANTS,
    Allowed,
    SoakFleet,
    Standing,
)
from tests.faults.soak_kills import EVERY, WITH_PROGRAMS, WITH_WORKERS

HEAD, LOWEST = REVISIONS[-1], REVISIONS[0]
MOST_GUESTS = 8
LEAVING = 2  # guests at once
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
        places = sorted(self.revisions.index(one.revision) for one in (before, goal))
        for revision in self.revisions[places[0] : places[1] + 1]:
            yield replace(before, revision=revision)

    def _head_for(self, target: str, *names: str) -> None:
        self.goal |= {name: replace(self.fleet.at[name], revision=target) for name in names}

    def again(self) -> list[str] | None:
        """Resume, or run the command again: either is right."""
        resume = self._resume()
        if resume is not None and (self.dice.random() < 0.5 or self._is_done()):
            return resume
        return super().again()


class Rollout(Move):
    """The whole fleet, up (after the shared lineage) or down."""

    def _begin(self) -> list[str]:
        active = self.fleet.active()
        if all(self.fleet.at[name].revision == HEAD for name in TENANTS):
            self._head_for(LOWEST, *active)
            return ["downgrade", LOWEST, "--all", "--yes"]
        self._head_for(HEAD, *active)
        self._head_for(SHARED_REVISIONS[-1], CORE)
        return ["upgrade", HEAD]

    def _between(self, before: Standing, goal: Standing) -> Iterator[Standing]:
        if goal.state is None:
            yield from Shared.between(before, goal)
        else:
            yield from super()._between(before, goal)


class Shared(Move):
    """The shared lineage alone, up or down."""

    revisions = SHARED_REVISIONS

    def _begin(self) -> list[str]:
        now = self.fleet.at[CORE].revision
        target = self.dice.choice([one for one in SHARED_REVISIONS if one != now])
        self._head_for(target, CORE)
        if target > now:
            return ["upgrade", target, "--lineage", "shared"]
        return ["downgrade", target, "--lineage", "shared", "--yes"]

    @classmethod
    def between(cls, before: Standing, goal: Standing) -> Iterator[Standing]:
        """How the shared schema may be."""
        places = sorted(cls.revisions.index(one.revision) for one in (before, goal))
        for revision in cls.revisions[places[0] : places[1] + 1]:
            yield replace(before, revision=revision)


class Backup(Move):
    """A downgrade of some tenants, each dumped before it is touched."""

    kinds = EVERY | WITH_WORKERS | WITH_PROGRAMS

    def _begin(self) -> list[str]:
        names = self.dice.sample(self.fleet.active(), 4)
        flags = [flag for name in names for flag in ("-t", name)]
        self.fleet.project.run("upgrade", HEAD, "--lineage", "tenant", *flags)
        for name in names:
            self.fleet.at[name] = replace(self.fleet.at[name], revision=HEAD)
            self.fleet.write_row(name)
        target = self.dice.choice(REVISIONS[:-1])
        self._head_for(target, *names)
        self.before = {name: self.fleet.at[name] for name in names}
        self.first_run = _newest_run(self.fleet) + 1
        where = ["--backup", str(self.fleet.backups), "--yes"]
        return ["downgrade", target, *flags, *where]

    def look(self) -> Iterator[str]:
        """Complain about a tenant that was touched and has no backup."""
        seen = self.fleet.seen()
        for name, before in self.before.items():
            if seen[name] != before and not self._files(name):
                yield f"{name} is {seen[name]}, and there is no backup of it"

    def _files(self, name: str) -> list[Path]:
        return backups_of(self.fleet, name, self.first_run)

    def end(self) -> None:
        """Remember the first backup of each: it was taken before the tenant was touched."""
        super().end()
        for name, before in self.before.items():
            self.fleet.saved[name] = (self._files(name)[0], before)


class Restore(Family):
    """A tenant brought back from a backup: there is the old one or the restored one."""

    kinds = EVERY | WITH_PROGRAMS
    is_run = False  # it reads the backup before

    def _begin(self) -> list[str]:
        known = sorted(self.fleet.saved)
        name = self.dice.choice(known)
        file, self.saved = self.fleet.saved[name]
        if name in self.fleet.at:
            self.fleet.write_row(name)
        self.goal[name] = self.saved
        return ["restore", name, str(file), "--yes"]


class Offboard(Family):
    """Guests leave, sometimes with a backup."""

    kinds = EVERY | WITH_PROGRAMS

    def _begin(self) -> list[str]:
        self.names = self.dice.sample(self.fleet.staying(), LEAVING)
        for name in self.names:
            self.fleet.write_row(name)
        self.before = {name: self.fleet.at[name] for name in self.names}
        self.goal |= dict.fromkeys(self.names, ABSENT)
        self.first_run = _newest_run(self.fleet) + 1
        return ["offboard", *self.names, "--yes", "--backup", str(self.fleet.backups)]

    def again(self) -> list[str] | None:
        """Resume, or offboard those that are still there."""
        resume = self._resume() if _newest_run(self.fleet) >= self.first_run else None
        if resume is not None and self.dice.random() < 0.5:
            return resume
        seen = self.fleet.seen()
        left = [name for name in self.names if name in seen]
        rest = ["--yes", "--backup", str(self.fleet.backups)]
        return ["offboard", *left, *rest] if left else resume

    def look(self) -> Iterator[str]:
        """Complain about a tenant that is gone and has no backup."""
        seen = self.fleet.seen()
        for name in self.names:
            if name not in seen and not backups_of(self.fleet, name, self.first_run):
                yield f"{name} is gone, and there is no backup of it"

    def end(self) -> None:
        """Remember the backups."""
        super().end()
        for name, before in self.before.items():
            self.fleet.saved[name] = (backups_of(self.fleet, name, self.first_run)[0], before)


class Onboard(Family):
    """Guests come: each is born whole, or half-born until `onboard` is run again."""

    kinds = EVERY | WITH_WORKERS

    def _begin(self) -> list[str]:
        self.to = self.dice.choice(REVISIONS)
        self.names = [self.fleet.new_guest() for _ in range(3)]
        self.goal |= dict.fromkeys(self.names, Standing(self.to))
        return self._command(self.names)

    def _command(self, names: list[str]) -> list[str]:
        return ["onboard", *names, "--to", self.to]

    def _between(self, before: Standing, _: Standing) -> Iterator[Standing]:
        yield from (before, HALF_BORN)

    def again(self) -> list[str] | None:
        """Onboard those again that are not tenants yet."""
        seen = self.fleet.seen()
        left = [name for name in self.names if seen.get(name, ABSENT).state != "active"]
        return self._command(left) if left else None


class Adopt(Family):
    """Schemas that were made by hand, with a version table and without, become tenants."""

    kinds = EVERY | {"one worker": 2, "one child": 2, "fork server": 1}
    is_run = is_rolled = False

    def _begin(self) -> list[str]:
        self.names = [self.fleet.new_guest() for _ in range(2)]
        for number, name in enumerate(self.names):
            at = self.dice.choice(REVISIONS)
            self.goal[name] = self.fleet.make_by_hand(name, at, is_stamped=number == 0)
        return self._command(self.names)

    @staticmethod
    def _command(names: list[str]) -> list[str]:
        return ["tenants", "adopt", *names]

    def again(self) -> list[str] | None:
        """Adopt those that are not registered yet."""
        seen = self.fleet.seen()
        left = [name for name in self.names if seen[name].state is None]
        return self._command(left) if left else None


class Read(Family):
    """Commands that only read: nothing is touched, the ledger neither."""

    kinds = EVERY | WITH_WORKERS
    is_run = is_rolled = False
    commands: ClassVar[tuple[list[str], ...]] = (
        ["drift"],
        ["drift"],
        ["check"],
        ["check"],
        ["plan", HEAD, "--sql"],
        ["status"],
    )

    def _begin(self) -> list[str]:
        self.ledger = self.fleet.ledger_mark()
        command = self.dice.choice(self.commands)
        if command[0] not in {"drift", "check", "plan"}:
            self.kinds = EVERY
        return command

    @property
    def name(self) -> str:
        """The reader's."""
        return self.command[0]

    def again(self) -> list[str] | None:
        """Read until that was done to its end."""
        return None if self.is_complete else self.command

    def look(self) -> Iterator[str]:
        """Complain about a changed ledger, and about what a whole reading has left."""
        if self.fleet.ledger_mark() != self.ledger:
            yield f"`{self.name}` changed the ledger"
        if self.is_complete and self.name in {"drift", "check"}:
            yield from self.fleet.scratch()


WEIGHTS: dict[type[Family], int] = {
    Rollout: 3, Shared: 3, Backup: 3, Restore: 4, Offboard: 1, Onboard: 3, Adopt: 3, Read: 4,
}  # fmt: skip


def choose(fleet: SoakFleet, dice: Random, only: Sequence[str] = ()) -> Family:
    """Choose what comes next, of all families or of `only` some; guests come before they leave."""
    weights = {f: n for f, n in WEIGHTS.items() if not only or f.__name__.lower() in only}
    chosen = dice.choices(list(weights), list(weights.values()))[0]
    guests = len(fleet.staying())
    if chosen in {Onboard, Adopt} and guests >= MOST_GUESTS:
        chosen = Offboard
    elif chosen is Offboard and guests < LEAVING:
        chosen = Onboard
    elif chosen is Restore and not fleet.saved:
        chosen = Backup
    return _begun(chosen, fleet, dice)


def _begun(family: Callable[[SoakFleet, Random], Family], fleet: SoakFleet, dice: Random) -> Family:
    return family(fleet, dice)


def backups_of(fleet: SoakFleet, tenant: str, since: int) -> list[Path]:
    """Return the finished backups that runs from `since` on took of a tenant, the oldest first."""
    files = fleet.backups.glob(f"run*-{tenant}*.dump")
    found = [file for file in files if _run_of(file) >= since]
    return sorted(found, key=lambda file: (_run_of(file), len(file.name), file.name))


def _run_of(file: Path) -> int:
    return int(file.name.removeprefix("run").partition("-")[0])


def _newest_run(fleet: SoakFleet) -> int:
    return int(fleet.database.fetch("SELECT coalesce(max(id), 0)::int FROM tenantmig.run")[0][0])

"""The families of commands of the soak: how each begins, how it goes on, what must be true."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import ClassVar

from tests.faults.soak_family import Family, Move, backups_of, newest_run, way
from tests.faults.soak_fleet import ABSENT, HALF_BORN, TENANTS, SoakFleet, Standing
from tests.faults.soak_history import CORE, REVISIONS, SHARED_REVISIONS
from tests.faults.soak_kills import EVERY, WITH_PROGRAMS, WITH_WORKERS

HEAD, LOWEST = REVISIONS[-1], REVISIONS[0]
MOST_GUESTS = 8
LEAVING = 2  # guests at once


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
        is_shared = goal.revision in SHARED_REVISIONS
        return way(SHARED_REVISIONS if is_shared else REVISIONS, before, goal)


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
        self.first_run = newest_run(self.fleet) + 1
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
        self.first_run = newest_run(self.fleet) + 1
        return ["offboard", *self.names, "--yes", "--backup", str(self.fleet.backups)]

    def again(self) -> list[str] | None:
        """Resume, or offboard those that are still there."""
        resume = self._resume() if newest_run(self.fleet) >= self.first_run else None
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


FAMILIES: dict[str, tuple[Callable[[SoakFleet, Random], Family], int]] = {
    "rollout": (Rollout, 3),
    "shared": (Shared, 3),
    "backup": (Backup, 3),
    "restore": (Restore, 4),
    "offboard": (Offboard, 1),
    "onboard": (Onboard, 3),
    "adopt": (Adopt, 3),
    "read": (Read, 4),
}
"""Each family, and how often it is chosen."""


def choose(fleet: SoakFleet, dice: Random, only: Sequence[str] = ()) -> Family:
    """Choose what comes next, of all families or of `only` some; guests come before they leave."""
    names = [name for name in FAMILIES if not only or name in only]
    chosen = dice.choices(names, [FAMILIES[name][1] for name in names])[0]
    guests = len(fleet.staying())
    if chosen in {"onboard", "adopt"} and guests >= MOST_GUESTS:
        chosen = "offboard"
    elif chosen == "offboard" and guests < LEAVING:
        chosen = "onboard"
    elif chosen == "restore" and not fleet.saved:
        chosen = "backup"
    return FAMILIES[chosen][0](fleet, dice)

"""`make soak`: random kills of all kinds of commands over 30 tenants, and what is left after each.

A command is begun, and something is killed at a random moment: the driver with its workers, the
driver alone, a worker or its child, the fork server, pg_dump or pg_restore, a backend, or the whole
server. Then the promises are looked at, and the command is run again or resumed (and killed again),
until it is complete. Nothing is ever mended by hand. The seed is printed; the same seed makes the
same choices.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import suppress
from functools import partial
from pathlib import Path

from tests.faults.soak_commands import choose
from tests.faults.soak_family import Family
from tests.faults.soak_fleet import SoakFleet
from tests.faults.soak_kills import COSTS_AN_ATTEMPT, TAKES_THE_SERVER, Killer
from tests.fixtures.command import Result
from tests.fixtures.database import Database, fresh_database
from tests.fixtures.server import Server

CONVERGE_S = 120.0
MOST_STRIKES = 5  # in one command and those that finish it
PERHAPS = {0, 3, 4}
"""Exit codes of a command that goes on after a kill: what the dead one holds is waited for."""


class Soak:
    """One fleet under fire."""

    def __init__(self, server: Server, database: Database, folder: Path, seed: int) -> None:
        self.fleet = SoakFleet(server, database, folder)
        self.killer = Killer(server, database)
        self.seed = seed
        self.counted: Counter[str] = Counter()
        self.kills = 0
        self.problems: list[str] = []
        self.longest_s: dict[str, float] = {}
        """How long the commands of a family took when nothing was killed."""

    def run(self, kills: int, minutes: float, only: Sequence[str] = ()) -> None:
        """Begin one command after the other until so many kills were made."""
        self.fleet.prepare()
        end = time.monotonic() + 60 * minutes
        number = 0
        while self.kills < kills and time.monotonic() < end:
            number += 1
            # of its own: what a command took or left does not change what comes next
            dice = random.Random(f"{self.seed} {number}")  # noqa: S311  dice
            one = choose(self.fleet, dice, only)
            _Round(self, one, kills).run()
            self.counted[f"commands begun: {one.name}"] += 1

    def complain(self, found: Iterable[str], when: str) -> None:
        """Note what is wrong, and show that a look was made."""
        complaints = [f"{complaint} after {when}" for complaint in found]
        self.problems += complaints
        self.counted["looks"] += 1
        sys.stdout.write("\n".join(["F", *complaints, ""]) if complaints else ".")
        sys.stdout.flush()


class _Round:
    """One command, from its begin until all that it was to do is done."""

    def __init__(self, soak: Soak, family: Family, kills: int) -> None:
        self.soak = soak
        self.family = family
        self.kills = kills
        self.fleet = soak.fleet
        dice = family.dice
        kinds, weights = list(family.kinds), list(family.kinds.values())
        strikes = dice.choice(range(1, MOST_STRIKES + 1))
        self.strikes = [(kind, dice.random()) for kind in dice.choices(kinds, weights, k=strikes)]
        self.before = self.fleet.marks(self.family.goal)

    def run(self) -> None:
        """Kill, look, go on; at the end look again, more strictly."""
        command: list[str] | None = self.family.command
        for kind, moment in self.strikes:
            if command is None or self.soak.kills >= self.kills:
                break
            self._kill_in(command, kind, moment)
            self._look(f"the kill of {kind} in `{' '.join(command)}`", is_partial=True)
            command = self.family.again()
        last = self._converge(command)
        self._look(f"`{' '.join(last)}`, complete", is_partial=False)
        try:
            self.family.end()
        except IndexError:
            self.soak.complain(["there is no backup"], " ".join(last))

    def _converge(self, command: list[str] | None) -> list[str]:
        """Go on without kills until there is nothing to do any more, as an operator does."""
        deadline = time.monotonic() + CONVERGE_S
        last = self.family.command
        while command is not None:
            began = time.monotonic()
            result = self.fleet.project.run(*command, expect=None)
            took_s = time.monotonic() - began
            if result.code == 0:
                known = self.soak.longest_s.get(self.family.name, 0.0)
                self.soak.longest_s[self.family.name] = max(known, took_s)
            self._judge(result, command, PERHAPS, "while it converges")
            last = command
            if result.code not in PERHAPS or time.monotonic() > deadline:
                text = f"exit {result.code}: {result.out}{result.err}"
                self.soak.complain([f"no convergence: {text}"], " ".join(command))
                break
            command = self.family.again()
        return last

    def _kill_in(self, command: list[str], kind: str, moment: float) -> None:
        epochs = self._epochs()
        driver = self.fleet.project.start(*command)
        if self.family.is_run:
            while driver.poll() is None and self._epochs() == epochs:
                time.sleep(0.01)
        with suppress(subprocess.TimeoutExpired):
            driver.wait(moment * self.soak.longest_s.get(self.family.name, 1.0))
        is_killed = driver.poll() is None and self.soak.killer.kill(kind, driver, self.family.dice)
        result = self.fleet.project.finish(driver, expect=None)
        with suppress(ProcessLookupError):
            os.killpg(driver.pid, signal.SIGKILL)  # workers that outlived their driver
        if is_killed:
            self.soak.kills += 1
            self.soak.counted[f"killed: {kind}"] += 1
            self.soak.counted[f"kills in: {self.family.name}"] += 1
        self._judge(result, command, self._codes(kind), f"after the kill of {kind}")

    def _codes(self, kind: str) -> set[int]:
        """Return the exit codes that a command may have after such a kill."""
        if kind in COSTS_AN_ATTEMPT:
            return {0}
        is_refused = kind in TAKES_THE_SERVER and not self.family.is_rolled
        return PERHAPS | {2} if is_refused else PERHAPS

    def _judge(self, result: Result, command: list[str], codes: set[int], when: str) -> None:
        """Count an exit code, and complain about one that may not be."""
        is_killed = result.code == -signal.SIGKILL
        self.soak.counted["exit: killed" if is_killed else f"exit {result.code}"] += 1
        self.family.is_complete = result.code == 0
        is_bug = "Traceback" in result.err
        if is_bug or not (is_killed or result.code in codes):
            text = f"exit {result.code} of `{' '.join(command)}`: {result.out}{result.err}"
            self.soak.complain([text], when)

    def _epochs(self) -> int:
        """How many drivers the runs have had: it grows when one begins or takes over."""
        query = "SELECT coalesce(sum(epoch), 0)::int FROM tenantmig.run"
        return int(self.fleet.database.fetch(query)[0][0])

    def _look(self, when: str, *, is_partial: bool) -> None:
        family, fleet = self.family, self.fleet
        allowed = family.allowed if is_partial else {k: [v] for k, v in family.goal.items()}
        found = list(fleet.broken(allowed, is_partial=is_partial))
        if fleet.marks(family.goal) != self.before:
            found.append("what the command may not touch was changed")
        found += family.look()
        if not is_partial:
            found += fleet.unfinished()
        self.soak.complain(found, when)


def soak(
    kills: int, minutes: float, only: Sequence[str], seed: int
) -> tuple[Counter[str], list[str]]:
    """Soak one fleet on a server of its own; return what was counted, and every problem."""
    with (
        Server(18) as server,
        fresh_database(server) as database,
        tempfile.TemporaryDirectory() as folder,
    ):
        one = Soak(server, database, Path(folder), seed)
        try:
            one.run(kills, minutes, only)
        except Exception:  # noqa: BLE001  what was counted is told all the same
            one.problems.append(traceback.format_exc())
        rows = database.fetch("SELECT sum(attempts)::int FROM tenantmig.run_tenant")
        one.counted["attempts"] = rows[0][0]
    return one.counted, [f"seed {seed}: {problem}" for problem in one.problems]


def main() -> int:
    """Run the soak and print its figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=300)
    parser.add_argument("--fleets", type=int, default=2, help="soaked beside each other")
    parser.add_argument("--minutes", type=float, default=120, help="begin no more runs after that")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6))
    parser.add_argument("--only", nargs="*", default=(), help="families of commands, as `adopt`")
    given = parser.parse_args()
    seeds = range(given.seed, given.seed + given.fleets)
    print(f"seeds {list(seeds)}, {given.kills} kills", flush=True)
    began = time.monotonic()
    counted: Counter[str] = Counter()
    problems: list[str] = []
    with ProcessPoolExecutor(given.fleets) as fleets:
        share = partial(soak, given.kills // given.fleets, given.minutes, given.only)
        for figures, found in fleets.map(share, seeds):
            counted += figures
            problems += found
    print(f"\n{time.monotonic() - began:.0f} s")
    for what, times in sorted(counted.items()):
        print(f"  {what}: {times}")
    print(f"{counted['exit 1']} times exit 1, {len(problems)} problems, 0 manual steps")
    for problem in problems[:50]:
        print(f"  {problem}")
    return 1 if problems or counted["exit 1"] else 0


if __name__ == "__main__":
    sys.exit(main())

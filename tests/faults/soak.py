"""`make soak`: random kills of rollouts over 30 tenants, and what is left after each.

A run is begun, and something is killed at a random moment: the driver with its workers, the driver
alone, one worker, a backend, or the whole server. Then the promises are looked at, the run is
resumed (and killed again), until it is complete. Nothing is ever mended by hand. The seed is
printed; the same seed makes the same choices.
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
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from contextlib import suppress
from functools import partial
from pathlib import Path

from tests.fixtures.command import Project, Result
from tests.fixtures.database import Database, fresh_database
from tests.fixtures.goldens import WITNESS, Golden, Goldens
from tests.fixtures.history import write_history
from tests.fixtures.oracles import catalog, content, shared_mark, untouched_mark
from tests.fixtures.server import Server

TENANTS = tuple(f"customer_{number:02d}" for number in range(1, 31))
BYSTANDER = "bystander"
LOWEST, HEAD = "r1", "r5"
COUNT = "op.execute('UPDATE counter SET n = n + 1')"
UNCOUNT = "op.execute('UPDATE counter SET n = n - 1')"
OUTSIDE = "with op.get_context().autocommit_block():\n    op.execute('{}')"
SCRIPTS = (
    (
        "r1",
        (
            "op.execute('CREATE TABLE thing (id int, name text)')\n"
            "op.execute('CREATE TABLE counter (n int)')\n"
            "op.execute('INSERT INTO counter VALUES (0)')"
        ),
        "op.execute('DROP TABLE thing, counter')",
    ),
    ("r2", f"op.execute('ALTER TABLE thing ADD size int')\n{COUNT}",
     f"op.execute('ALTER TABLE thing DROP size')\n{UNCOUNT}"),
    ("r3", OUTSIDE.format("CREATE INDEX CONCURRENTLY thing_size ON thing (size)"),
     OUTSIDE.format("DROP INDEX CONCURRENTLY thing_size")),
    ("r4", f"op.execute('CREATE TABLE part (id int PRIMARY KEY)')\n{COUNT}",
     f"op.execute('DROP TABLE part')\n{UNCOUNT}"),
    ("r5", f"op.execute('ALTER TABLE thing ADD CHECK (id > 0)')\n{COUNT}",
     f"op.execute('ALTER TABLE thing DROP CONSTRAINT thing_id_check')\n{UNCOUNT}"),
)  # fmt: skip
REVISIONS = tuple(script[0] for script in SCRIPTS)
LONGEST_S = 1.5  # after which a kill comes at the latest
CONVERGE_S = 120.0


class Soak:
    """One database under fire."""

    def __init__(self, server: Server, database: Database, folder: Path, dice: random.Random):
        self.server = server
        self.database = database
        self.dice = dice
        self.project = Project(folder, database.url, write_history(folder / "history", *SCRIPTS))
        self.goldens = Goldens().of(server, folder / "history", REVISIONS)
        self.kills: Counter[str] = Counter()
        self.problems: list[str] = []
        self.looks = 0
        self.before = ("", "")
        self.epochs = 0

    def prepare(self) -> None:
        """Onboard the fleet at the lowest revision."""
        self.project.run("onboard", *TENANTS, BYSTANDER, "--to", LOWEST)
        self.project.run("tenants", "suspend", BYSTANDER)
        self.before = self._marks()

    def run(self, kills: int, minutes: float) -> None:
        """Roll up and down until so many kills were made, and each run is complete."""
        target, end = HEAD, time.monotonic() + 60 * minutes
        while self.kills.total() < kills and time.monotonic() < end:
            self._roll(target, kills)
            target = LOWEST if target == HEAD else HEAD

    def _roll(self, target: str, kills: int) -> None:
        first = ["upgrade", target] if target == HEAD else ["downgrade", target, "--all", "--yes"]
        command = first
        while True:
            if self.kills.total() < kills:
                self._kill_in(command)
                self._look(f"a kill in `{' '.join(command)}`")
            result = None if self._is_unfinished() else self.project.run(*first, expect=None)
            if result is None and self.kills.total() < kills and self.dice.random() < 0.5:
                command = ["resume", "--yes"]
                continue
            result = result or self._resume()
            if result.code == 0 and self._is_at(target):
                self._look(f"`{' '.join(command)}`, complete", exactly=target)
                return
            self.problems.append(f"exit {result.code}: {result.out}{result.err}")
            return

    def _resume(self) -> Result:
        """Resume; what a dead driver's statements still hold is waited for, as by an operator."""
        deadline = time.monotonic() + CONVERGE_S
        while True:
            result = self.project.run("resume", "--yes", expect=None)
            if result.code == 0 or time.monotonic() > deadline:
                return result

    def _is_unfinished(self) -> bool:
        rows = self.database.fetch(
            "SELECT state FROM tenantmig.run WHERE kind <> 'onboard' ORDER BY id DESC LIMIT 1"
        )
        return bool(rows) and rows[0][0] != "complete"

    def _is_at(self, target: str) -> bool:
        return all(self._version(tenant) == target for tenant in TENANTS)

    # -- kills ------------------------------------------------------------------------------

    def _kill_in(self, command: list[str]) -> None:
        self.epochs = self._epochs()
        driver = self.project.start(*command)
        kinds: dict[str, tuple[int, Callable[[subprocess.Popen[str]], bool]]] = {
            "driver and workers": (10, self._kill_group),
            "driver alone": (4, self._kill_driver),
            "one worker": (3, self._kill_worker),
            "one backend": (2, self._terminate_backend),
            "server": (1, self._crash),
        }
        names = list(kinds)
        kind = self.dice.choices(names, [kinds[name][0] for name in names])[0]
        self._wait_for_run(driver)
        time.sleep(self.dice.uniform(0, LONGEST_S))
        if driver.poll() is None and kinds[kind][1](driver):
            self.kills[kind] += 1
        self.project.finish(driver, expect=None)
        with suppress(ProcessLookupError):
            os.killpg(driver.pid, signal.SIGKILL)  # workers that outlived their driver

    def _epochs(self) -> int:
        """How many drivers the runs have had: it grows when one begins or takes over."""
        return int(self.database.fetch("SELECT sum(epoch)::int FROM tenantmig.run")[0][0])

    def _wait_for_run(self, driver: subprocess.Popen[str]) -> None:
        """Wait until the driver has its run: a kill before that hurts nobody."""
        while driver.poll() is None and self._epochs() == self.epochs:
            time.sleep(0.02)

    @staticmethod
    def _kill_group(driver: subprocess.Popen[str]) -> bool:
        os.killpg(driver.pid, signal.SIGKILL)
        return True

    @staticmethod
    def _kill_driver(driver: subprocess.Popen[str]) -> bool:
        driver.kill()
        return True

    def _kill_worker(self, driver: subprocess.Popen[str]) -> bool:
        children = [
            int(pid)
            for pid in os.listdir("/proc")
            if pid.isdigit() and int(pid) != driver.pid and _group_of(int(pid)) == driver.pid
        ]
        if children:
            with suppress(ProcessLookupError):
                os.kill(self.dice.choice(sorted(children)), signal.SIGKILL)
        return bool(children)

    def _terminate_backend(self, _: subprocess.Popen[str]) -> bool:
        return bool(
            self.database.fetch(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE application_name LIKE 'tenantmig%%' ORDER BY random() LIMIT 1"
            )
        )

    def _crash(self, _: subprocess.Popen[str]) -> bool:
        self.server.restart("immediate")
        return True

    # -- oracles ----------------------------------------------------------------------------

    def _look(self, when: str, exactly: str | None = None) -> None:
        """Hold every tenant against the golden of its revision, and the rest against before."""
        found = [f"{left} after {when}" for left in self._sessions()]
        partial = {row[0] for row in self.database.fetch("SELECT schema FROM tenantmig.part")}
        described = self._describe()
        for tenant in TENANTS:
            version = self._version(tenant)
            if version not in self.goldens or (exactly and version != exactly):
                found.append(f"{tenant} is at {version} after {when}")
                continue
            lines = self.goldens[version].differences(described[tenant])
            if tenant in partial and exactly is None:
                # an index that is being built, or dropped, is accounted for in the ledger
                lines = [line for line in lines if "thing_size" not in line]
            found += [f"{tenant} at {version} after {when}: {line}" for line in lines]
        if self._marks() != self.before:
            found.append(f"something outside the fleet changed after {when}")
        self.problems += found
        sys.stdout.write("." if not found else "F")
        sys.stdout.flush()
        self.looks += 1

    def _describe(self) -> dict[str, Golden]:
        with self.database.connect() as connection:
            return {
                tenant: Golden(
                    catalog(connection, tenant), content(connection, tenant).get(WITNESS)
                )
                for tenant in TENANTS
            }

    def _sessions(self) -> list[str]:
        """Wait for what a dead driver left on the server; it must go by itself."""
        deadline = time.monotonic() + 20
        query = (
            "SELECT pid, state, query FROM pg_stat_activity"
            " WHERE application_name LIKE 'tenantmig%%'"
        )
        while (left := self.database.fetch(query)) and time.monotonic() < deadline:
            time.sleep(0.05)
        return [f"session {row}" for row in left]

    def _version(self, tenant: str) -> str:
        rows = self.database.fetch(f'SELECT version_num FROM "{tenant}".alembic_version')
        return ",".join(row[0] for row in rows)

    def _marks(self) -> tuple[str, str]:
        with self.database.connect() as connection:
            return (
                untouched_mark(connection, [*TENANTS, "tenantmig", "pg_toast"]),
                shared_mark(connection),
            )


def _group_of(pid: int) -> int | None:
    try:
        return os.getpgid(pid)
    except ProcessLookupError:
        return None


def soak(kills: int, minutes: float, seed: int) -> tuple[Counter[str], list[str]]:
    """Soak one fleet on a server of its own; return what was counted, and every problem."""
    with (
        Server(18) as server,
        fresh_database(server) as database,
        tempfile.TemporaryDirectory() as folder,
    ):
        one = Soak(server, database, Path(folder), random.Random(seed))  # noqa: S311  dice
        one.prepare()
        one.run(kills, minutes)
        counted = Counter({f"killed: {kind}": times for kind, times in one.kills.items()})
        counted["looks at all tenants"] = one.looks
        for state, times in database.fetch("SELECT state, count(*) FROM tenantmig.run GROUP BY 1"):
            counted[f"runs {state}"] = times
        rows = database.fetch("SELECT sum(attempts)::int FROM tenantmig.run_tenant")
        counted["attempts"] = rows[0][0]
    return counted, [f"seed {seed}: {problem}" for problem in one.problems]


def main() -> int:
    """Run the soak and print its figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--fleets", type=int, default=2, help="soaked beside each other")
    parser.add_argument("--minutes", type=float, default=120, help="begin no more runs after that")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6))
    given = parser.parse_args()
    seeds = range(given.seed, given.seed + given.fleets)
    print(f"seeds {list(seeds)}, {given.kills} kills", flush=True)
    began = time.monotonic()
    counted: Counter[str] = Counter()
    problems: list[str] = []
    with ProcessPoolExecutor(given.fleets) as fleets:
        share = partial(soak, given.kills // given.fleets, given.minutes)
        for figures, found in fleets.map(share, seeds):
            counted += figures
            problems += found
    print(f"\n{time.monotonic() - began:.0f} s")
    for what, times in sorted(counted.items()):
        print(f"  {what}: {times}")
    print(f"{len(problems)} inconsistencies, 0 manual steps")
    for problem in problems[:50]:
        print(f"  {problem}")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())

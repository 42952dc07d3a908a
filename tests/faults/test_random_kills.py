"""Workers, their children, loaders and the fork server are killed at random moments of a command.

`make test-all` takes a sample, `make random-kills` 500 kills.
"""

from __future__ import annotations

import math
import os
import random
import signal
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from tests.fixtures.command import Project
from tests.fixtures.database import Database
from tests.fixtures.dying import OWN_R3, SHARED_R2, counters, processes_of, tenants_at
from tests.fixtures.faults import TENANTS
from tests.fixtures.holds import fleet_of, group_of
from tests.fixtures.processes import wait_until
from tests.fixtures.promises import Promises

SAMPLE = 40
WANTED = int(os.environ.get("RANDOM_KILLS", SAMPLE))
FIRST_SEED = int(os.environ.get("RANDOM_SEED", "0"))
FEW = 8  # kills in `make test`
SHARE = 20  # kills of one test
KILLS_A_RUN = 3
LIMIT_S = 60.0
AT_ONCE = ("--canary", "0")


class Killer:
    """Kills processes of commands at random moments of the dice, and holds what must be so."""

    def __init__(self, project: Project, database: Database, seed: int) -> None:
        self.project = project
        self.database = database
        self.dice = random.Random(seed)  # noqa: S311  dice
        self.killed: Counter[str] = Counter()
        self.at = "r1"
        self.longest_s = 1.0  # a run so far

    def run(self) -> None:
        """Move all tenants from where they are, while something is killed now and then."""
        target = self.dice.choice([r for r in ("r1", "r2", "r3") if r != self.at])
        command = "upgrade" if target > self.at else "downgrade"
        engine = self.dice.choice(["alembic", "alembic", "auto"])
        arguments = [target, *AT_ONCE, "--engine", engine, "--json"]
        if command == "downgrade":
            arguments += ["--all", "--yes"]
        before = sum(self.killed.values())
        began = time.monotonic()
        driver = self.project.start(command, *arguments)
        for _ in range(KILLS_A_RUN):
            time.sleep(self.dice.uniform(0, self.longest_s / KILLS_A_RUN))
            self._kill_one(driver)
        result = self.project.finish(driver, expect=None)
        self.longest_s = min(2.0, max(self.longest_s, time.monotonic() - began))
        told = (command, target, dict(self.killed), result.code, result.out, result.err)
        assert result.code == 0, told
        assert "Traceback" not in result.err, told
        assert set(result.json["counts"]) == {f"{command}d"}, told
        assert result.json["counts"][f"{command}d"] == len(TENANTS), told
        attempts = sum(tenant["attempts"] for tenant in result.json["tenants"])
        assert attempts <= len(TENANTS) + sum(self.killed.values()) - before, told
        assert counters(self.database) == {int(target[1]) - 1}, told
        assert tenants_at(self.database, target) == len(TENANTS), told
        wait_until(lambda: group_of(driver.pid) == [], f"a process lives on: {told}", LIMIT_S)
        self.at = target

    def _kill_one(self, driver: subprocess.Popen[str]) -> None:
        kind = self.dice.choice(["worker", "worker", "child", "child", "loader", "fork server"])
        deadline = time.monotonic() + self.longest_s
        while driver.poll() is None and time.monotonic() < deadline:
            if found := processes_of(driver.pid)[kind]:
                with suppress(ProcessLookupError):
                    os.kill(self.dice.choice(found), signal.SIGKILL)
                    self.killed[kind] += 1
                return
            time.sleep(0.005)


def _kill_at_random(project: Project, database: Database, kills: int, seed: int) -> Counter[str]:
    killer = Killer(project, database, seed)
    while sum(killer.killed.values()) < kills:
        killer.run()
    return killer.killed


@pytest.fixture
def project(tmp_path: Path, victim_database: Database) -> Project:
    """A fleet at r1; many attempts, since chance may kill the same tenant's again and again."""
    project = fleet_of(tmp_path, victim_database, SHARED_R2, OWN_R3)
    project.settings('names = "wide"\nparallel = 2\nattempts = 8\n')
    return project


def test_a_few_kills_at_random_moments(project: Project, victim_database: Database) -> None:
    _kill_at_random(project, victim_database, FEW, FIRST_SEED)


@pytest.mark.slow
@pytest.mark.parametrize("share", range(1, 1 + WANTED // SHARE))
def test_kills_at_random_moments(
    project: Project, victim_database: Database, promises: Promises, share: int
) -> None:
    killed = _kill_at_random(project, victim_database, SHARE, FIRST_SEED + share)
    print(f"killed: {dict(killed)}")  # noqa: T201
    project.run("downgrade", "r1", "--all", "--yes", *AT_ONCE)
    with promises.watch(project, victim_database, touched=TENANTS, old="r1", new="r3") as watch:
        watch.run("upgrade", *AT_ONCE, expect=0)


@contextmanager
def killing(driver: subprocess.Popen[str], rounds: float) -> Iterator[Counter[str]]:
    """Kill the workers and the fork server, that many times or until the block ends."""
    killed: Counter[str] = Counter()
    is_over = threading.Event()

    def kill() -> None:
        while not is_over.wait(0.1) and min(killed["worker"], killed["fork server"]) < rounds:
            for kind in ("worker", "fork server"):
                for pid in processes_of(driver.pid)[kind]:
                    with suppress(ProcessLookupError):
                        os.kill(pid, signal.SIGKILL)
                        killed[kind] += 1

    killer = threading.Thread(target=kill)
    killer.start()
    try:
        yield killed
    finally:
        is_over.set()
        killer.join()


LIMITS = {
    "--deadline": ('attempts = 50\ndeadline = "4s"\n', math.inf, "the deadline of 4 s passed"),
    # fewer kills than attempts: a fast machine must come to the limit as well
    "attempt_timeout": ('attempts = 4\nattempt_timeout = "3s"\n', 1, "took longer than 3 s"),
}


@pytest.mark.parametrize("limit", LIMITS)
def test_limits_hold_while_workers_die(
    tmp_path: Path, victim_database: Database, limit: str
) -> None:
    """A script hangs where nothing cancels it, and every worker is killed, again and again.

    They come again, and hang again: what ends the run is the limit.
    """
    settings, rounds, said = LIMITS[limit]
    hanging = ("r2", "import time\nwhile True:\n    time.sleep(0.1)")
    project = fleet_of(tmp_path, victim_database, hanging)
    project.settings(f'names = "wide"\nparallel = 2\n{settings}')
    began = time.monotonic()
    driver = project.start("upgrade", *AT_ONCE, "--engine", "alembic", "--json")
    wait_until(lambda: bool(processes_of(driver.pid)["child"]), "nothing begins", LIMIT_S)
    with killing(driver, rounds) as killed:
        result = project.finish(driver, expect=3)
    assert killed["worker"] > 0
    assert killed["fork server"] > 0
    assert said in result.out + result.err
    assert "Traceback" not in result.err
    assert time.monotonic() - began < LIMIT_S
    wait_until(lambda: group_of(driver.pid) == [], "a process lives on", LIMIT_S)
    assert tenants_at(victim_database, "r1") == len(TENANTS)

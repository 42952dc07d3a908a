"""The kinds of kills of the soak: what is killed of a command that runs, and how it is found."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from random import Random

from tests.fixtures.database import Database
from tests.fixtures.dying import children_of, processes_of
from tests.fixtures.server import Server

EVERY = {"driver and workers": 8, "driver alone": 4, "one backend": 3, "server": 1}
WITH_WORKERS = {"one worker": 3, "one child": 3, "fork server": 2}
WITH_PROGRAMS = {"one client program": 8}
PROGRAMS = {"pg_dump", "pg_restore"}
TERMINATE = """
    SELECT pg_terminate_backend(pid) FROM pg_stat_activity
    WHERE application_name LIKE 'tenantmig%' ORDER BY random() LIMIT 1
"""
OFTEN_S = 0.005
COSTS_AN_ATTEMPT = frozenset(WITH_WORKERS)
"""What a command survives: it makes the attempt again, and says nothing of it."""
TAKES_THE_SERVER = frozenset({"one backend", "server"})


class Killer:
    """Kills something of a command; each kind returns True once it has."""

    def __init__(self, server: Server, database: Database) -> None:
        self.server = server
        self.database = database
        self.kinds: dict[str, Callable[[subprocess.Popen[str], Random], bool]] = {
            "driver and workers": self._group,
            "driver alone": self._driver,
            "one worker": lambda driver, dice: self._one_of("worker", driver, dice),
            "one child": lambda driver, dice: self._one_of("child", driver, dice),
            "fork server": lambda driver, dice: self._one_of("fork server", driver, dice),
            "one client program": self._program,
            "one backend": self._backend,
            "server": self._server,
        }

    def kill(self, kind: str, driver: subprocess.Popen[str], dice: Random) -> bool:
        """Kill as soon as there is such a thing; False if the command ended before."""
        while driver.poll() is None:
            if self.kinds[kind](driver, dice):
                return True
            time.sleep(OFTEN_S)
        return False

    @staticmethod
    def _group(driver: subprocess.Popen[str], _: Random) -> bool:
        with suppress(ProcessLookupError):
            os.killpg(driver.pid, signal.SIGKILL)
            return True
        return False

    @staticmethod
    def _driver(driver: subprocess.Popen[str], _: Random) -> bool:
        return _end([driver.pid], Random(0))  # noqa: S311  dice

    @staticmethod
    def _one_of(what: str, driver: subprocess.Popen[str], dice: Random) -> bool:
        return _end(processes_of(driver.pid)[what], dice)

    @staticmethod
    def _program(driver: subprocess.Popen[str], dice: Random) -> bool:
        """Of PostgreSQL's own, which have process groups of their own."""
        return _end([pid for pid in children_of(driver.pid) if _name_of(pid) in PROGRAMS], dice)

    def _backend(self, _: subprocess.Popen[str], __: Random) -> bool:
        return bool(self.database.fetch(TERMINATE))

    def _server(self, _: subprocess.Popen[str], __: Random) -> bool:
        self.server.restart("immediate")
        return True


def _end(found: Sequence[int], dice: Random) -> bool:
    if not found:
        return False
    with suppress(ProcessLookupError):
        os.kill(dice.choice(sorted(found)), signal.SIGKILL)
        return True
    return False


def _name_of(pid: int) -> str:
    with suppress(FileNotFoundError, ProcessLookupError):
        return Path(f"/proc/{pid}/comm").read_text().strip()
    return ""

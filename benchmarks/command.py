"""The commands of the contenders: whole processes, run to their end."""

from __future__ import annotations

import ctypes
import os
import re
import resource
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import MappingProxyType

REPOSITORY = Path(__file__).parents[1]
BIN = Path(sys.executable).parent
PR_SET_CHILD_SUBREAPER = 36  # prctl(2)
LOOK_S = 0.05
LONGEST_COMPLAINT = 2000
NOTHING: Mapping[str, str] = MappingProxyType({})
PEAK = re.compile(r"VmHWM:\s+(\d+) kB")


def start(
    url: str,
    command: Sequence[str],
    folder: Path = REPOSITORY,
    variables: Mapping[str, str] = NOTHING,
) -> subprocess.Popen[str]:
    """Start a program; one without a path is of this virtual environment."""
    program = command[0] if "/" in command[0] else str(BIN / command[0])
    return subprocess.Popen(
        [program, *command[1:]],
        cwd=folder,
        env=_environment(url) | dict(variables),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(process: subprocess.Popen[str]) -> str:
    """Wait for its end and return its stdout; refuse to go on if it failed."""
    stdout, stderr = process.communicate()
    if process.returncode:
        words = " ".join(map(str, process.args))[:120]  # type: ignore[arg-type]
        raise SystemExit(f"{words}: exit {process.returncode}\n{stderr[-LONGEST_COMPLAINT:]}")
    return stdout


def run(
    url: str,
    command: Sequence[str],
    folder: Path = REPOSITORY,
    variables: Mapping[str, str] = NOTHING,
) -> str:
    """Run a program to its end and return its stdout."""
    return finish(start(url, command, folder, variables))


class Peak:
    """The largest memory of one process, its children apart, while it runs.

    Not `ru_maxrss`: a new process inherits that of the one that started it.
    """

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.mb = 0.0
        self._status = Path(f"/proc/{process.pid}/status")
        self._ended = threading.Event()
        self._watcher = threading.Thread(target=self._watch, daemon=True)
        self._watcher.start()

    def _watch(self) -> None:
        while not self._ended.wait(LOOK_S):
            with suppress(OSError):
                if found := PEAK.search(self._status.read_text()):
                    self.mb = max(self.mb, int(found[1]) / 1024)

    def end(self) -> float:
        """Return it, in MB."""
        self._ended.set()
        self._watcher.join()
        return self.mb


def adopt_orphans() -> None:
    """Become the parent of what a contender leaves behind, so that its processor time counts."""
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def children_cpu_ms() -> float:
    """The processor time of everything that was started and has ended."""
    with suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return 1000 * (used.ru_utime + used.ru_stime)


def _environment(url: str) -> dict[str, str]:
    """The environment of a contender: no settings of tenantmig but the database, Python's usual
    ones (with PYTHONDONTWRITEBYTECODE every process would compile tenantmig anew)."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("TENANTMIG_", "PYTHON", "PG"))}
    return kept | {"TENANTMIG_DATABASE_URL": url}

"""The gate: a command that is asked between waves whether the run may go on."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field

from tenantmig.domain.outcome import JSON_VERSION
from tenantmig.domain.stop_signal import StopSignal
from tenantmig.errors import SettingsError
from tenantmig.rollout.rollout import WaveReport

POLL_S = 0.1
END_WITHIN_S = 5.0


@dataclass(frozen=True, slots=True)
class CommandGate:
    """Runs a command, without a shell, with the wave's report as JSON on its stdin.

    The run goes on when it exits with 0. What it prints goes to stderr.
    """

    command: tuple[str, ...]
    timeout_s: float
    environment: Mapping[str, str] = field(repr=False)
    """Its variables, none of which holds a secret of ours."""

    @classmethod
    def of(cls, command: str, timeout_s: float, environment: Mapping[str, str]) -> CommandGate:
        """Read a command line.

        Raises:
            SettingsError: there is no such program.
        """
        try:
            words = tuple(shlex.split(command))
        except ValueError as error:
            raise SettingsError(f"The gate {command!r} cannot be read: {error}.") from error
        if not words or shutil.which(words[0]) is None:
            raise SettingsError(
                f"The gate {command!r} cannot be run: there is no program "
                f"{(words or ('',))[0]!r}. It runs without a shell; for a shell write sh -c "
                "'...'."
            )
        return cls(words, timeout_s, environment)

    def __call__(self, report: WaveReport, stop: StopSignal) -> str | None:
        """Ask; return why the run should stop, or None."""
        process = subprocess.Popen(  # noqa: S603  the operator's own command
            self.command,
            stdin=subprocess.PIPE,
            stdout=sys.stderr,
            env=dict(self.environment),
            text=True,
            process_group=0,  # so that what it starts can be ended with it
        )
        try:
            return self._wait(process, report, stop)
        finally:
            _end(process)

    def _wait(
        self, process: subprocess.Popen[str], report: WaveReport, stop: StopSignal
    ) -> str | None:
        assert process.stdin is not None
        try:
            process.stdin.write(json.dumps({"version": JSON_VERSION} | asdict(report)))
            process.stdin.close()
        except BrokenPipeError:
            pass  # it does not read
        deadline = time.monotonic() + self.timeout_s
        while process.poll() is None:
            if stop.event.wait(POLL_S):
                return stop.reason
            if time.monotonic() > deadline:
                return f"the gate did not answer within {self.timeout_s:g} s"
        if process.returncode:
            return (
                f"the gate after wave {report.wave} stopped the run (exit code "
                f"{process.returncode})"
            )
        return None


def _end(process: subprocess.Popen[str]) -> None:
    """End the gate and whatever it started."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            process.wait(END_WITHIN_S)
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()

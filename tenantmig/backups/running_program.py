"""A client program that runs: its pipes, its time limit, and its end. Knows no database."""

from __future__ import annotations

import subprocess
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import IO, Literal

from tenantmig.backups.connecting import Connecting
from tenantmig.errors import ClientProgramError

Program = Literal["pg_dump", "pg_restore"]
GRACE_S = 2.0  # pg_dump cancels its statement when it is told to end
POLL_S = 0.1
LONGEST_COMPLAINT = 600


@dataclass(frozen=True, slots=True)
class Limits:
    """When a program must end: after `seconds`, counted from `within`, or when it is stopped."""

    seconds: float
    ends_at: float
    stop: threading.Event

    @classmethod
    def within(cls, seconds: float, stop: threading.Event | None = None) -> Limits:
        """Begin to count."""
        return cls(seconds, time.monotonic() + seconds, stop or threading.Event())

    @property
    def problem(self) -> str | None:
        """Why the program must end now, if it must."""
        if self.stop.is_set():
            return "it was stopped"
        return (
            f"it took longer than {self.seconds:g} s" if time.monotonic() >= self.ends_at else None
        )


class RunningProgram:
    """A program that was started and not yet waited for."""

    def __init__(
        self,
        program: Program,
        process: subprocess.Popen[bytes],
        complaints: IO[bytes],
        connecting: Connecting | None,
    ) -> None:
        self.program = program
        self.process = process
        self._complaints = complaints
        self._connecting = connecting

    @property
    def is_running(self) -> bool:
        """True until it has ended."""
        return self.process.poll() is None

    def finish(self, limits: Limits) -> None:
        """Wait for its end.

        Raises:
            ClientProgramError: it failed, took too long or was stopped.
        """
        while True:
            with suppress(subprocess.TimeoutExpired):
                self.process.wait(POLL_S)
                break
            if problem := limits.problem:
                self.end()
                raise ClientProgramError(f"{self.program} was ended: {problem}.")
        if self.process.returncode != 0:
            raise ClientProgramError(self.complaint)

    @property
    def complaint(self) -> str:
        """What it said last on stderr, on one line without the password; else how it ended."""
        self._complaints.seek(0)
        text = self._complaints.read().decode("utf-8", "replace")
        text = self._connecting.url.redact(text) if self._connecting else " ".join(text.split())
        if len(text) > LONGEST_COMPLAINT:
            text = "... " + text[-LONGEST_COMPLAINT:]
        code = self.process.poll()
        ended = f"{self.program} was killed by signal {-code}" if code and code < 0 else ""
        return (
            ": ".join(filter(None, [ended, text])) or f"{self.program} ended with exit code {code}"
        )

    def end(self) -> None:
        """Make it end, by force if it does not listen."""
        if self.is_running:
            self.process.terminate()
            with suppress(subprocess.TimeoutExpired):
                self.process.wait(GRACE_S)
        if self.is_running:
            self.process.kill()
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout):  # not before: another thread reads
            with suppress(OSError):
                if pipe is not None:
                    pipe.close()

"""A psql session whose script this process writes as it goes, and reads the answers of.

psql ends the open transaction by a rollback when its script ends. Knows nothing of what it sends.
"""

from __future__ import annotations

import queue
import secrets
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import IO

from tenantmig.client_programs import POLL_S, ClientPrograms, Connecting, Limits, RunningProgram
from tenantmig.errors import ClientProgramError

PSQL = ("-X", "-q", "-A", "-t", "-w", "-v", "ON_ERROR_STOP=1", "-v", "VERBOSITY=terse")
SETTLING_S = 60.0


class PsqlSession:
    """A psql that reads its script from us. Its end without COMMIT undoes everything."""

    def __init__(self, running: RunningProgram, limits: Limits) -> None:
        assert running.process.stdin is not None
        self.input: IO[bytes] = running.process.stdin
        self.ended = threading.Event()
        self._running = running
        self._limits = limits
        self._watched = [running]
        self._problem: str | None = None
        self._mark = secrets.token_hex(16)
        self._answers: queue.SimpleQueue[str | None] = queue.SimpleQueue()

    def send(self, text: str) -> None:
        """Send a part of the script; whether it succeeds shows later."""
        with self.explained():
            self.input.write(text.encode())
            self.input.flush()

    def ask(self, statement: str) -> str:
        """Return the last line that a query prints, once all that was sent has succeeded."""
        self.send(f"{statement};\nSELECT '{self._mark}';\n")
        answer = self._answers.get()
        if answer is None:
            raise self._failure
        return answer

    def finish(self) -> None:
        """Let psql end."""
        with self.explained():
            self.input.close()
            self._running.process.wait()
            if self._running.process.returncode != 0:
                raise self._failure

    @contextmanager
    def explained(self) -> Iterator[None]:
        """Say why psql no longer reads."""
        try:
            yield
        except BrokenPipeError as error:
            raise self._failure from error

    @contextmanager
    def watching(self, source: RunningProgram) -> Iterator[None]:
        """Let another program end with this one, when a limit is met."""
        self._watched.append(source)
        try:
            yield
        finally:
            self._watched.remove(source)

    @property
    def _failure(self) -> ClientProgramError:
        with suppress(subprocess.TimeoutExpired):
            self._running.process.wait(SETTLING_S)
        if self._problem:
            return ClientProgramError(f"it was ended: {self._problem}.")
        return ClientProgramError(self._running.complaint)

    def read(self) -> None:
        """Take in what psql prints, in a thread: the answers, and what the backup's SELECTs say."""
        assert self._running.process.stdout is not None
        last = ""
        for line in self._running.process.stdout:
            text = line.decode("utf-8", "replace").rstrip("\n")
            if text == self._mark:
                self._answers.put(last)
            last = text
        self._answers.put(None)

    def watch(self) -> None:
        """Kill the programs when a limit is met, in a thread: their ends free whoever waits."""
        while not self.ended.wait(POLL_S):
            self._problem = self._problem or self._limits.problem
            if self._problem:
                for program in tuple(self._watched):
                    program.process.kill()


@contextmanager
def psql_session(
    programs: ClientPrograms, connecting: Connecting, limits: Limits
) -> Iterator[PsqlSession]:
    """Start psql; whatever is not committed at the end of the block is rolled back.

    Locks: none of its own. What the server still runs when psql is killed ends within a second.
    Raises:
        ClientProgramError: psql, or the server through it, failed, or a limit was met.
    """
    with programs.start(
        "psql", *PSQL, connecting=connecting, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as running:
        session = PsqlSession(running, limits)
        threads = [threading.Thread(target=work) for work in (session.read, session.watch)]
        for thread in threads:
            thread.start()
        try:
            yield session
        finally:
            session.ended.set()
            if running.is_running:
                running.process.kill()  # before COMMIT was sent: nothing of it stays
            for thread in threads:
                thread.join()

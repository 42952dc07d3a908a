"""PostgreSQL's client programs (pg_dump, pg_restore): which ones to use, and running them.

Owns the environment they run in, their limits and the words for their failures. A password reaches
them through the environment alone, never through an argument. Knows nothing of tenants.
"""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from tenantmig.backups.connecting import OWN_VARIABLES, Connecting
from tenantmig.backups.running_program import Limits, Program, RunningProgram
from tenantmig.errors import ClientProgramError


@dataclass(frozen=True, slots=True)
class ClientPrograms:
    """A folder that holds pg_dump and pg_restore of one major version."""

    folder: Path
    major: int

    def run(
        self,
        program: Program,
        *arguments: str,
        limits: Limits,
        connecting: Connecting | None = None,
        stdout: IO[bytes] | None = None,
    ) -> bytes:
        """Run a program to its end and return what it printed, unless that goes to `stdout`.

        Raises:
            ClientProgramError: it failed, took too long or was stopped; on one line, no secrets.
        """
        with tempfile.TemporaryFile() as printed:
            with self.start(
                program, *arguments, connecting=connecting, stdout=stdout or printed
            ) as running:
                running.finish(limits)
            printed.seek(0)
            return printed.read()

    @contextmanager
    def start(
        self,
        program: Program,
        *arguments: str,
        connecting: Connecting | None = None,
        stdin: int = subprocess.DEVNULL,
        stdout: IO[bytes] | int = subprocess.DEVNULL,
    ) -> Iterator[RunningProgram]:
        """Start a program; at the end of the block it is no longer there, however that ends.

        It is in a process group of its own: Ctrl-C reaches this process, which decides.

        Raises:
            ClientProgramError: it cannot be started.
        """
        command = [str(self.folder / program), *arguments]
        forgets = connecting.forgets if connecting else (OWN_VARIABLES,)
        environment = {k: v for k, v in os.environ.items() if not k.startswith(forgets)}
        if connecting is not None:
            command[1:1] = connecting.arguments
            environment |= connecting.environment
        with tempfile.TemporaryFile() as complaints:
            try:
                process = subprocess.Popen(  # noqa: S603  a program of PostgreSQL, no shell
                    command,
                    stdin=stdin,
                    stdout=stdout,
                    stderr=complaints,
                    env=environment,
                    process_group=0,
                )
            except OSError as error:
                raise ClientProgramError(
                    f"{program} in {self.folder} cannot be started: {error.strerror}."
                ) from error
            running = RunningProgram(program, process, complaints, connecting)
            try:
                yield running
            finally:
                running.end()

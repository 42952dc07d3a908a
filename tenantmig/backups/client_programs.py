"""PostgreSQL's client programs (pg_dump, pg_restore): which ones to use, and running them.

Owns the environment they run in, their limits and the words for their failures. A password reaches
them through the environment alone, never through an argument. Knows nothing of tenants.
"""

from __future__ import annotations

import os
import re
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
from tenantmig.postgres.embedded import program_folders

PROGRAMS: tuple[Program, ...] = ("pg_dump", "pg_restore")
VERSION = re.compile(r"\) (\d+)")  # "pg_dump (PostgreSQL) 16.14 (Debian …)", "… 19devel"
PROBE_S = 10.0


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


def find_programs(configured: Path | None, server_version: int) -> ClientPrograms:
    """Return the first programs that are not older than the server (`server_version` as libpq
    gives it, such as 160004): of the setting `client_programs`, else of PATH, else of the embedded
    extra. All three come from one folder, for each reads what another one wrote.

    Raises:
        ClientProgramError: there are none; it says where they were looked for.
    """
    major = server_version // 10000
    looked: list[str] = []
    folders = [configured] if configured else [*_path_folders(), *program_folders()]
    for folder in folders:
        found, problem = _look(folder.absolute(), major)
        if found:
            return found
        if problem:
            looked.append(f"{folder} ({problem})")
    where = "; ".join(looked) or "there is none on PATH"
    raise ClientProgramError(
        f"There is no {', '.join(PROGRAMS)} of PostgreSQL {major} or newer: {where}. Set "
        "client_programs to the folder that holds them, or run: pip install "
        "'tenantmig[embedded]'. Nothing was touched."
    )


def _path_folders() -> list[Path]:
    folders = os.environ.get("PATH", os.defpath).split(os.pathsep)
    return [
        Path(folder)
        for folder in dict.fromkeys(folders)
        if folder and any((Path(folder) / program).is_file() for program in PROGRAMS)
    ]


def _look(folder: Path, oldest: int) -> tuple[ClientPrograms | None, str]:
    majors = []
    for program in PROGRAMS:
        if not os.access(folder / program, os.X_OK) or not (folder / program).is_file():
            return None, f"no {program}"
        try:
            printed = ClientPrograms(folder, 0).run(
                program, "--version", limits=Limits.within(PROBE_S)
            )
        except ClientProgramError as error:
            return None, f"{program} cannot be run: {error.message}"
        found = VERSION.search(printed.decode("utf-8", "replace"))
        if not found:
            return None, f"{program} does not print its version"
        majors.append(int(found[1]))
    if min(majors) < oldest:
        return None, f"version {min(majors)}"
    return ClientPrograms(folder, min(majors)), ""

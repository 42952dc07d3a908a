"""PostgreSQL's client programs (pg_dump, pg_restore): which ones to use, and running them.

Owns the environment they run in, their limits and the words for their failures. A password reaches
them through the environment alone, never through an argument. Knows nothing of tenants.
"""

from __future__ import annotations

import os
import re
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Literal

from psycopg.conninfo import make_conninfo
from psycopg.pq import Conninfo

from tenantmig.domain.database_url import DatabaseUrl
from tenantmig.errors import ClientProgramError
from tenantmig.postgres.embedded import program_folders

Program = Literal["pg_dump", "pg_restore"]

PROGRAMS: tuple[Program, ...] = ("pg_dump", "pg_restore")
VERSION = re.compile(r"\) (\d+)")  # "pg_dump (PostgreSQL) 16.14 (Debian …)", "… 19devel"
OWN_VARIABLES = "TENANTMIG_"
PROBE_S = 10.0
GRACE_S = 2.0  # pg_dump cancels its statement when it is told to end
POLL_S = 0.1
LONGEST_COMPLAINT = 600
NOTICES_LOSS = "-c client_connection_check_interval=1s"  # the statement of a killed program ends


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
        return f"it took over {self.seconds:g} s" if time.monotonic() >= self.ends_at else None


@dataclass(frozen=True, slots=True)
class Connecting:
    """How a program connects. `application_name` is what the server shows for it.

    With `relay`, a folder with a socket and the name of a database, it connects there instead, and
    learns nothing of the URL.
    """

    url: DatabaseUrl
    application_name: str
    connect_timeout_s: float = 10.0
    relay: tuple[Path, str] | None = None

    @property
    def environment(self) -> dict[str, str]:
        """The libpq variables of the parameters that have one, the password among them.

        Each time that it is read, the password command is run, if there is one.
        """
        parameters, variables = self.ask_parameters(), _variables()
        named = sorted(_in_environment(parameters) & variables.keys())
        return {variables[key]: parameters[key] for key in named} | {"PGCLIENTENCODING": "UTF8"}

    @property
    def arguments(self) -> list[str]:
        """`-d` with what no variable can say, or nothing. Never a secret."""
        parameters = self.parameters
        told = _in_environment(parameters) & _variables().keys()
        rest = {key: value for key, value in parameters.items() if key not in told}
        return ["-d", make_conninfo("", **rest)] if rest else []

    @property
    def forgets(self) -> tuple[str, ...]:
        """What the variables begin with that the program does not get."""
        return (OWN_VARIABLES, "PG") if self.relay else (OWN_VARIABLES,)

    def ask_parameters(self) -> dict[str, str]:
        """Return the libpq parameters for one connect, with the password of a command."""
        return self.parameters if self.relay else self.url.ask_parameters() | self.parameters

    @property
    def parameters(self) -> dict[str, str]:
        """The libpq parameters, the password of the URL among them."""
        if self.relay:
            folder, database = self.relay
            named = {"host": str(folder), "port": "5432", "dbname": database, "user": "relay"}
            return named | {"application_name": self.application_name}
        parameters = {
            "connect_timeout": str(max(2, round(self.connect_timeout_s))),
            **self.url.parameters,
        }
        parameters["application_name"] = self.application_name
        options = parameters.get("options", os.environ.get("PGOPTIONS", ""))
        parameters["options"] = f"{options} {NOTICES_LOSS}".strip()
        parameters.pop("client_encoding", None)
        return parameters


def _in_environment(parameters: Mapping[str, str]) -> set[str]:
    """Return the parameters that a program is told by variables."""
    if "service" in parameters:  # a service file overrides variables, but no arguments
        return parameters.keys() & {"password", "application_name", "options"}
    return set(parameters)


def _variables() -> dict[str, str]:
    """Return the environment variable of each libpq parameter that has one."""
    defaults = Conninfo.get_defaults()
    return {d.keyword.decode(): d.envvar.decode() for d in defaults if d.envvar}


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
        return ": ".join(filter(None, [ended, text])) or f"{self.program} ended with code {code}"

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
    where = "; ".join(looked) or "PATH holds none"
    raise ClientProgramError(
        f"There is no {', '.join(PROGRAMS)} of PostgreSQL {major} or newer: {where}."
        " Give the folder that holds them as the setting client_programs,"
        " or pip install 'tenantmig[embedded]'. Nothing was touched."
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
            return None, f"{program} does not run: {error.message}"
        found = VERSION.search(printed.decode("utf-8", "replace"))
        if not found:
            return None, f"{program} does not tell its version"
        majors.append(int(found[1]))
    if min(majors) < oldest:
        return None, f"version {min(majors)}"
    return ClientPrograms(folder, min(majors)), ""

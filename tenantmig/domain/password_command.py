"""The password command: a program that prints the password, asked at every connect.

For passwords that end after minutes, such as the tokens of a cloud's database. Knows no database.
"""

from __future__ import annotations

import shlex
import shutil
import subprocess
from dataclasses import dataclass, field
from typing import Final

from tenantmig.errors import ConnectError, SettingsError

WITHIN_S: Final = 60.0
KEPT: Final = 16
"""How many of the newest passwords are remembered, to be taken out of messages."""


@dataclass(frozen=True, slots=True)
class PasswordCommand:
    """A command, run without a shell, whose output on one line is the password."""

    words: tuple[str, ...]
    produced: list[str] = field(default_factory=list, repr=False, compare=False)
    """The newest passwords of this process, for redaction."""

    @classmethod
    def of(cls, command: str) -> PasswordCommand:
        """Read a command line. Nothing of it is shown: an argument may be a secret.

        Raises:
            SettingsError: it cannot be read, or there is no such program.
        """
        try:
            words = tuple(shlex.split(command))
        except ValueError as error:
            raise SettingsError(
                f"The setting `password_command` cannot be read: {error}."
            ) from None
        if not words or shutil.which(words[0]) is None:
            raise SettingsError(
                "The setting `password_command` cannot be run: its first word is not a "
                "program on PATH. It runs without a shell; for a shell write sh -c '...'."
            )
        return cls(words)

    def ask(self) -> str:
        """Run the command and return the password.

        Raises:
            ConnectError: it failed, took more than `WITHIN_S` seconds, or printed no password.
                What it printed is not shown, because it may be one.
        """
        try:
            done = subprocess.run(  # noqa: S603  the operator's own command
                self.words,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                timeout=WITHIN_S,
                check=False,
            )
        except subprocess.TimeoutExpired:
            problem = f"took longer than {WITHIN_S:g} s"
        except OSError as error:
            problem = f"cannot be run: {error.strerror}"
        else:
            problem, password = _read(done)
            if not problem:
                self._remember(password)
                return password
        raise ConnectError(
            f"The password_command {problem}. Its output is not shown; run it by itself to see why."
        )

    def _remember(self, password: str) -> None:
        if password not in self.produced:
            self.produced.append(password)
            del self.produced[:-KEPT]


def _read(done: subprocess.CompletedProcess[bytes]) -> tuple[str, str]:
    """Return what is wrong with an output, or "" and the password."""
    if done.returncode:
        return f"ended with exit code {done.returncode}", ""
    try:
        text = done.stdout.decode().removesuffix("\n").removesuffix("\r")
    except UnicodeDecodeError:
        return "printed text that is not UTF-8", ""
    if not text:
        return "printed no password", ""
    if "\n" in text or "\0" in text:
        return "printed more than one line; it must print only the password", ""
    return "", text

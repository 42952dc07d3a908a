"""squawk: the linter for PostgreSQL migrations, run as the program that its wheel installs.

Knows how the program is called and what it says; what its rules mean is theirs.
"""

from __future__ import annotations

import glob
import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from tenantmig.errors import SquawkError
from tenantmig.lint import Told
from tenantmig.lint.statements import Statement

DEADLINE_S = 120.0
MOOT = frozenset(
    {
        "require-lock-timeout",  # tenantmig sets both on every session
        "require-statement-timeout",
        "require-timeout-settings",  # what older versions call the two
        "prefer-robust-stmts",  # a revision is whole or not there; else autocommit-not-idempotent
        "syntax-error",  # PostgreSQL's own parser is asked
    }
)
"""Rules for what tenantmig sees to."""
MOOT_DOWN = ("ban-drop-", "prefer-", "renaming-")
"""How rules begin that object to what a downgrade is there for: to put back what was before."""


class Piece(NamedTuple):
    """Statements of one direction of a revision, all inside a transaction or all outside one."""

    revision: str
    statements: Sequence[Statement]
    is_down: bool
    is_outside: bool


@dataclass(frozen=True, slots=True)
class Squawk:
    """The program, and the folder of the project, in which it finds a .squawk.toml."""

    program: str
    folder: Path
    pg_version: str | None = None

    @classmethod
    def find(cls, folder: Path, pg_version: str | None = None) -> Squawk:
        """Find the program beside this Python, or on PATH.

        Raises:
            SquawkError: it is not installed.
        """
        beside = Path(sys.executable).parent / "squawk"
        program = str(beside) if beside.is_file() else shutil.which("squawk")
        if program is None:
            raise SquawkError
        return cls(program, folder, pg_version)

    def knows(self, rule: str) -> bool:
        """True when it has a rule of this name."""
        command = [self.program, f"--exclude={rule}"]
        done = subprocess.run(  # noqa: S603  a program of ours, no shell
            command, cwd=self.folder, input="SELECT 1;", capture_output=True, text=True,
            timeout=DEADLINE_S, check=False,
        )  # fmt: skip
        return "invalid" not in done.stderr

    def lint(self, pieces: Sequence[Piece]) -> Iterator[tuple[str, Told]]:
        """Return what squawk says of each revision.

        Raises:
            SquawkError: the program failed.
        """
        for is_outside in (False, True):
            chosen = [p for p in pieces if p.is_outside is is_outside and p.statements]
            if chosen:
                yield from self._lint(chosen, is_outside=is_outside)

    def _lint(self, pieces: Sequence[Piece], *, is_outside: bool) -> Iterator[tuple[str, Told]]:
        with tempfile.TemporaryDirectory(prefix="tenantmig-lint-") as folder:
            lines: dict[str, list[Statement]] = {}
            for number, piece in enumerate(pieces):
                text, lines[f"{number}.sql"] = _lay_out(piece.statements)
                (Path(folder) / f"{number}.sql").write_text(text, encoding="utf-8")
            found = self._run(f"{glob.escape(folder)}/*.sql", is_outside=is_outside)
        for each in found:
            name = Path(each["file"]).name
            piece, laid_out = pieces[int(Path(name).stem)], lines[name]
            statement = laid_out[min(int(each["line"]), len(laid_out) - 1)]
            rule = str(each["rule_name"])
            if rule not in MOOT and not (piece.is_down and rule.startswith(MOOT_DOWN)):
                instead = each["help"] or f"see https://squawkhq.com/docs/{rule}"
                why, instead = (text.strip().rstrip(".") for text in (each["message"], instead))
                yield piece.revision, Told(statement.line, rule, why, instead)

    def _run(self, pattern: str, *, is_outside: bool) -> list[dict[str, Any]]:
        prefix = "--no-" if is_outside else "--"
        command = [self.program, "--reporter", "json", f"{prefix}assume-in-transaction"]
        if self.pg_version:
            command += ["--pg-version", self.pg_version]
        try:
            done = subprocess.run(  # noqa: S603  a program of ours, no shell
                [*command, pattern],
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=DEADLINE_S,
                check=False,
            )
            return list(json.loads(done.stdout))
        except (OSError, subprocess.TimeoutExpired) as error:
            raise SquawkError(f"{self.program} cannot be run: {error}") from error
        except ValueError as error:
            said = " ".join((done.stderr or done.stdout).split())[:300]
            raise SquawkError(f"{self.program} failed: {said or done.returncode}") from error


def _lay_out(statements: Sequence[Statement]) -> tuple[str, list[Statement]]:
    """Write statements one after the other, and say of each line whose it is.

    One more ends the text: a lone statement squawk takes for one outside any transaction.
    """
    text, lines = "", []
    for statement in statements:
        written = f"{statement.sql}\n;\n"  # a statement may end with a comment
        text += written
        lines += [statement] * written.count("\n")
    return f"{text}SELECT 1;\n", lines

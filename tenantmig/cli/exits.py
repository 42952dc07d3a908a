"""From an error or a report to a message and an exit code. A refusal is never 0."""

from __future__ import annotations

import configparser
import errno
import sys
import tempfile
import traceback
import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING

import typer
from typer.exceptions import TyperException
from typer.main import get_command

from tenantmig.cli.invocation import Invocation
from tenantmig.cli.printing import print_json, say, say_lines, silence
from tenantmig.domain.ini_error import say_ini_error
from tenantmig.domain.outcome import RunReport, RunState
from tenantmig.domain.redaction import redact, redact_line
from tenantmig.domain.safe_text import lines
from tenantmig.errors import TenantmigError

if TYPE_CHECKING:
    import psycopg

OK, BUG, REFUSED, INCOMPLETE, FOUND, INTERRUPTED = 0, 1, 2, 3, 5, 130
UNWRITABLE = {errno.EROFS, errno.EACCES, errno.EPERM, errno.ENOSPC, errno.EDQUOT}


class CommandInterruptedError(Exception):
    """Ctrl-C or SIGTERM, for a command that has something to tell: of a KeyboardInterrupt Typer
    makes an exit code and no word.
    """


def exit_code(report: RunReport) -> int:
    """0 every selected tenant is at the target, 3 some are not, 130 interrupted."""
    if report.state is RunState.COMPLETE:
        return INCOMPLETE if report.problems else OK
    return INTERRUPTED if report.state is RunState.INTERRUPTED else INCOMPLETE


def run(app: typer.Typer, arguments: Sequence[str]) -> int:
    """Run a command and return its exit code; errors become one line, or JSON with --json."""
    is_json, invocation = "--json" in arguments, Invocation()
    warnings.formatwarning = _format_warning
    try:
        return _call(app, arguments, invocation)
    except BrokenPipeError:  # the reader of a result went away
        silence(sys.stdout)
        return OK
    except (Exception, KeyboardInterrupt) as error:  # noqa: BLE001  the last line of defence
        kind, code, message = _explain(error)
        if code == BUG:
            say_lines(redact(traceback.format_exc(), invocation.secrets), is_error=True)
        told = {"error": {"type": kind, "message": redact_line(message, invocation.secrets)}}
        return _refuse(told, code, invocation.found if is_json else None, is_json=is_json)


def _format_warning(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    line: str | None = None,  # noqa: ARG001  Python's signature
) -> str:
    """Write a warning of Python; SQLAlchemy's may hold names of a tenant's."""
    return lines(f"{filename}:{lineno}: {category.__name__}: {message}\n")


def _call(app: typer.Typer, arguments: Sequence[str], invocation: Invocation) -> int:
    code = get_command(app).main(
        list(arguments) or ["--help"], "tenantmig", standalone_mode=False, obj=invocation
    )
    return code if isinstance(code, int) else OK


def _explain(error: BaseException) -> tuple[str, int, str]:
    """Return the kind of an error as JSON has it, its exit code, and its sentence."""
    match error:
        case TyperException():
            return "UsageError", REFUSED, error.format_message()
        case typer.Abort():
            return "Abort", INTERRUPTED, "Nothing was done."
        case KeyboardInterrupt() | CommandInterruptedError():
            message = "Interrupted. `tenantmig runs` shows what was done."
            return "Interrupted", INTERRUPTED, message
        case TenantmigError():
            return type(error).__name__, error.exit_code, error.message
        case configparser.Error():  # its own text quotes the value
            message = f"The Alembic ini cannot be used: {say_ini_error(error)}."
            return "SettingsError", REFUSED, message
        case OSError() if (problem := _file_problem(error)) is not None:
            return "FileError", REFUSED, problem
    return _explain_database(error) or _explain_bug(error)


def _explain_bug(error: BaseException) -> tuple[str, int, str]:
    return "Bug", BUG, f"This is a bug in tenantmig: {type(error).__name__}: {error}"


def _file_problem(error: OSError) -> str | None:
    """Say which file cannot be written, or that temporary ones cannot be; None if it is not that.

    Without a folder of that kind, tempfile raises an error of a file that is not there.
    """
    if error.errno in UNWRITABLE and error.filename is not None:
        return f"{error.filename} cannot be written: {error.strerror}. Fix this and run again."
    if isinstance(error, FileNotFoundError):
        try:
            tempfile.gettempdir()
        except FileNotFoundError:
            return (
                "There is no folder for temporary files (is the root file system read-only "
                "and without /tmp?). Mount a folder at /tmp, or set TMPDIR to one."
            )
    return None


def _explain_database(error: BaseException) -> tuple[str, int, str] | None:
    """Explain an error of psycopg; None if it is another."""
    import psycopg

    if isinstance(error, psycopg.errors.InsufficientPrivilege):
        told = error.diag.message_primary
        message = f"This role lacks a privilege: {told}. Grant it and run again."
        return "InsufficientPrivilege", REFUSED, message
    if isinstance(error, psycopg.Error):
        return "DatabaseError", INCOMPLETE, _database_problem(error)
    return None


def _database_problem(error: psycopg.Error) -> str:
    from tenantmig.postgres.retry import is_connection_loss

    what = (
        "The connection to the database was lost"
        if is_connection_loss(error)
        else f"The ledger could not be read or written [{error.sqlstate}]"
    )
    notes = [note for note in getattr(error, "__notes__", ()) if note]
    reason = "; ".join([" ".join(str(error).split()), *notes])
    return f"{what}: {reason}. `tenantmig status` shows the state of the fleet."


def _refuse(
    told: dict[str, dict[str, str]],
    code: int,
    found: dict[str, object] | None,
    *,
    is_json: bool,
) -> int:
    """Print why a command ended; as JSON with what it had found until then, if anything."""
    try:
        if is_json:
            print_json({**found, **told} if found else told, indent=2 if found else None)
        else:
            say(f"Error: {told['error']['message']}", is_error=True)
    except BrokenPipeError:
        silence(sys.stderr)
    return code

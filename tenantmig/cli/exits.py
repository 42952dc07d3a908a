"""From an error or a report to a message and an exit code. A refusal is never 0."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Sequence

import psycopg
import typer
from typer.exceptions import TyperException
from typer.main import get_command

from tenantmig.cli.render import print_json, silence
from tenantmig.errors import TenantmigError
from tenantmig.outcome import RunReport, RunState
from tenantmig.retry import is_connection_loss

OK, BUG, REFUSED, INCOMPLETE, FOUND, INTERRUPTED = 0, 1, 2, 3, 5, 130


def exit_code(report: RunReport) -> int:
    """0 every selected tenant is at the target, 3 some are not, 130 interrupted."""
    if report.state is RunState.COMPLETE:
        return OK
    return INTERRUPTED if report.state is RunState.INTERRUPTED else INCOMPLETE


def run(app: typer.Typer, arguments: Sequence[str]) -> int:
    """Run a command and return its exit code; errors become one line, or JSON with --json."""
    is_json = "--json" in arguments
    try:
        code = get_command(app).main(
            list(arguments) or ["--help"], "tenantmig", standalone_mode=False
        )
    except TyperException as error:
        return _refuse(error.format_message(), "UsageError", REFUSED, is_json)
    except typer.Abort:
        return _refuse("Nothing was done.", "Abort", INTERRUPTED, is_json)
    except KeyboardInterrupt:
        return _refuse(
            "Interrupted; `tenantmig runs` shows what was done.",
            "Interrupted",
            INTERRUPTED,
            is_json,
        )
    except TenantmigError as error:
        return _refuse(error.message, type(error).__name__, error.exit_code, is_json)
    except psycopg.errors.InsufficientPrivilege as error:
        message = f"This role lacks a right: {error.diag.message_primary}. Grant it and run again."
        return _refuse(message, "InsufficientPrivilege", REFUSED, is_json)
    except psycopg.Error as error:
        reason = " ".join(str(error).split())
        what = (
            "The connection to the database was lost"
            if is_connection_loss(error)
            else (f"The ledger could not be read or written [{error.sqlstate}]")
        )
        message = f"{what}: {reason}. `tenantmig status` shows where the fleet stands."
        return _refuse(message, "DatabaseError", INCOMPLETE, is_json)
    except BrokenPipeError:  # the reader of a result went away
        silence(sys.stdout)
        return OK
    except Exception as error:  # noqa: BLE001  the last line of defence
        traceback.print_exc()
        message = f"This is a bug in tenantmig: {type(error).__name__}: {error}"
        return _refuse(message, "Bug", BUG, is_json)
    return code if isinstance(code, int) else OK


def _refuse(message: str, kind: str, code: int, is_json: bool) -> int:
    if is_json:
        print_json({"error": {"type": kind, "message": message}}, indent=None)
        return code
    try:
        print(f"Error: {message}", file=sys.stderr, flush=True)
    except BrokenPipeError:
        silence(sys.stderr)
    return code

"""The command line: turns arguments into calls of the fleet, and results into text or JSON."""

from __future__ import annotations

import atexit
import gc
import os
import sys
from contextlib import suppress
from importlib import import_module
from io import TextIOWrapper

RUNS_SCRIPTS = frozenset(
    {
        *("upgrade", "downgrade", "rollback", "resume", "onboard"),
        *("revision", "check", "lint", "drift", "adopt", "status", "plan"),
    }
)
NO_WORKER = frozenset({"--help", "--dry-run"})
ASKED = "_TENANTMIG_COMPLETE"
"""The variable in which a shell says how it wants its completions."""


def main() -> None:
    """Run the `tenantmig` command. Imports late: worker processes import this module too."""
    _open_streams()
    gc.disable()  # what is imported stays
    from tenantmig.cli.app import app
    from tenantmig.cli.exits import run

    if ASKED in os.environ:
        from tenantmig.cli.completion import answer

        _end(answer(app))
    runs_scripts = RUNS_SCRIPTS & set(sys.argv[1:]) and not NO_WORKER & set(sys.argv)
    if runs_scripts:
        import_module("tenantmig.fleet.fleet")  # the fork server has what is imported by now
    gc.freeze()
    gc.enable()
    if runs_scripts:
        from tenantmig.forkserver import fork_early

        fork_early()
    _end(run(app, sys.argv[1:]))


def _open_streams() -> None:
    """Give a process that began without a standard stream one that leads nowhere.

    Else what is opened first takes its number, in the workers too, and gets what a script prints.
    """
    for fd, name in enumerate(("stdin", "stdout", "stderr")):
        if getattr(sys, name) is None:
            os.open(os.devnull, os.O_RDWR)  # the lowest number that is free
            setattr(sys, name, open(fd, "w" if fd else "r", closefd=False))  # noqa: SIM115
    if isinstance(sys.stdout, TextIOWrapper):  # a name that its encoding lacks ends no command
        with suppress(OSError):
            sys.stdout.reconfigure(errors="backslashreplace")


def _end(code: int) -> None:
    """End as the interpreter does, but without taking apart all that was imported (0.4 s)."""
    atexit._run_exitfuncs()  # noqa: SLF001
    for stream in filter(None, (sys.stdout, sys.stderr)):
        with suppress(OSError, ValueError):
            stream.flush()
    os._exit(code)

"""The command line: turns arguments into calls of the fleet, and results into text or JSON."""

from __future__ import annotations

import atexit
import gc
import os
import sys
from contextlib import suppress

RUNS_SCRIPTS = frozenset({"upgrade", "downgrade", "rollback", "resume", "onboard"})


def main() -> None:
    """Run the `tenantmig` command. Imports late: worker processes import this module too."""
    gc.disable()  # what is imported stays
    from tenantmig.cli.app import app  # noqa: PLC0415
    from tenantmig.cli.exits import run  # noqa: PLC0415

    gc.freeze()
    gc.enable()
    if RUNS_SCRIPTS & set(sys.argv[1:]) and not {"--help", "--dry-run"} & set(sys.argv):
        from tenantmig.forkserver import fork_early  # noqa: PLC0415

        fork_early()
    _end(run(app, sys.argv[1:]))


def _end(code: int) -> None:
    """End as the interpreter does, but without taking apart all that was imported (0.4 s)."""
    atexit._run_exitfuncs()  # noqa: SLF001
    for stream in filter(None, (sys.stdout, sys.stderr)):
        with suppress(OSError, ValueError):
            stream.flush()
    os._exit(code)

"""The fork server that worker processes come from."""

from __future__ import annotations

import multiprocessing
import os
import select
import sys
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from multiprocessing import forkserver, resource_tracker, util
from multiprocessing.context import BaseContext
from pathlib import Path
from typing import Any

from tenantmig.errors import MainGuardError

PRELOAD = [
    "sqlalchemy.orm",
    "sqlalchemy.dialects.postgresql.psycopg",
    "tenantmig.engines.children",
    "tenantmig.env",  # what each env.py imports
]


ORPHANED = 3


def worker_context() -> BaseContext:
    """Return a way to start workers that share nothing with the driver, and start quickly.

    A fork of the driver would share its sockets and threads; `spawn` would import everything
    anew in each worker. Where the platform has no fork server, it is `spawn`.
    """
    if "forkserver" not in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(PRELOAD)
    return context


def fork_early() -> None:
    """Make the fork server a fork of this process, which has imported everything already.

    Only for a process with one thread that has opened nothing yet. It saves a second import, half
    of what a short command costs.
    """
    if worker_context().get_start_method() != "forkserver" or sys.platform != "linux":
        return
    resource_tracker.ensure_running()
    start = util.spawnv_passfds
    util.spawnv_passfds = _fork_passfds  # type: ignore[assignment]
    try:
        forkserver.ensure_running()
    finally:
        util.spawnv_passfds = start


def _fork_passfds(_: object, arguments: Sequence[Any], passed: Sequence[int]) -> int:
    """Do what `multiprocessing.util.spawnv_passfds` does, without a new interpreter.

    The last argument is the Python to run, in 3.11 to 3.14.
    """
    child = os.fork()
    if child:
        return child
    try:
        _close_all_but(passed)
        exec(str(arguments[-1]), {})  # noqa: S102  multiprocessing's own
    finally:
        os._exit(0)


def _close_all_but(kept: Sequence[int]) -> None:
    """The fork server ends when the last copy of a pipe is closed; it must not hold one itself."""
    for entry in list(Path("/proc/self/fd").iterdir()):
        fd = int(entry.name)
        if fd > 2 and fd not in kept:
            with suppress(OSError):  # the one that listed them is closed already
                os.close(fd)


def refuse_in_worker() -> None:
    """Refuse to start a run while a worker process imports the program that started it.

    Raises:
        MainGuardError: the program calls tenantmig outside `if __name__ == "__main__":`.
    """
    # the mark that multiprocessing.spawn itself looks at for the same purpose
    if getattr(multiprocessing.current_process(), "_inheriting", False):
        raise MainGuardError


def end_with(driver: int) -> None:
    """Let this worker process end when its driver does, whatever it is doing.

    A worker is a child of the fork server and would go on migrating after its driver was killed.
    When it ends, the server notices within `client_connection_check_interval`.
    """

    def wait() -> None:
        _wait_for_end(driver)
        os._exit(ORPHANED)

    threading.Thread(target=wait, name="end with the driver", daemon=True).start()


def _wait_for_end(process: int) -> None:
    try:
        select.select([os.pidfd_open(process)], [], [])
    except (AttributeError, OSError):  # not on this platform, or it has ended
        while _is_alive(process):
            time.sleep(1)


def _is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return True

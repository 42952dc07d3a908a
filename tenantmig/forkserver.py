"""The fork server that worker processes come from. Imports little, so that it can start first."""

from __future__ import annotations

import multiprocessing
import os
import select
import threading
import time
from multiprocessing import forkserver
from multiprocessing.context import BaseContext

from tenantmig.errors import MainGuardError

PRELOAD = ["sqlalchemy.orm", "sqlalchemy.dialects.postgresql.psycopg", "tenantmig.engines.worker"]


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


def start_early() -> None:
    """Start the fork server now, so that it imports while the caller does."""
    if worker_context().get_start_method() == "forkserver":
        forkserver.ensure_running()


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

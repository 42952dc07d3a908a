"""A process that loads what all tenants need, once, and is then the server that workers come from.

It loads the modules that env.py imports, or the history, where that is proved to do nothing else.
It opens nothing and runs no revision; what it is told to load must leave it as it was.
"""

from __future__ import annotations

import os
import socket
import sys
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path

from alembic.script import ScriptDirectory

from tenantmig.engines.children import Surroundings
from tenantmig.engines.environment import Unheard, WorkerOptions
from tenantmig.engines.worker_process import own_output, worker_of
from tenantmig.forking import be_killed_with, name_process, outlive_parent, serve_forks

UNFIT = 4
"""The exit code of a process that cannot be forked: of what it loaded, something is running."""


@dataclass(frozen=True, slots=True)
class Load:
    """What is loaded: modules, each with the names taken from it; or else the history."""

    options: WorkerOptions
    imports: tuple[tuple[str, tuple[str, ...]], ...] = ()


def load_and_serve(pipe: Connection, here: Surroundings | None, load: Load) -> None:
    """Load, and fork for each request on the pipe. Without `here` they are those of the parent."""
    be_killed_with(os.getppid())
    name_process("load")
    if here is not None:
        here.set()
    own_output()
    held = _held()
    heard = sys.stderr
    assert isinstance(heard, Unheard)
    heard.keep()
    try:
        _load(load)
    except BaseException:  # noqa: BLE001  who needs it loads it too, and says what is wrong
        os._exit(UNFIT)
    heard.before = heard.take()
    if _held() != held or _has_children():
        os._exit(UNFIT)
    outlive_parent()
    requests = socket.socket(fileno=os.dup(pipe.fileno()))
    pipe.close()
    serve_forks(requests)


def _load(load: Load) -> None:
    if not load.imports:
        worker_of(load.options)
        return
    ScriptDirectory.from_config(load.options.config())  # puts prepend_sys_path on sys.path
    for module, names in load.imports:
        __import__(module, {}, {}, names)


def _held() -> tuple[int, frozenset[str]]:
    """What a fork would lack or share: the number of threads, and the descriptors."""
    threads, descriptors = (Path("/proc/self", one).iterdir() for one in ("task", "fd"))
    return len(list(threads)), frozenset(one.name for one in descriptors)


def _has_children() -> bool:
    with suppress(ChildProcessError):
        os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        return True
    return False

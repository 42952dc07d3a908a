"""Acts outside the database: files, processes and connections of a script's own, refused.

A script in a scratch schema must leave nothing behind. Python tells of what it does by audit
events (PEP 578), which may refuse it. libpq is not Python: there the way to connect is barred.
"""

from __future__ import annotations

import importlib.util
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any, NoReturn

from psycopg import generators

Refuse = Callable[[str], NoReturn]
PREFIXES = ("shutil.", "subprocess.", "smtplib.", "ftplib.", "urllib.")
EVENTS = frozenset(
    {"socket.connect", "socket.sendto", "socket.sendmsg", "socket.bind", "pty.spawn"}
    | {f"os.{name}" for name in (
        "system", "exec", "fork", "forkpty", "posix_spawn", "spawn", "startfile", "kill", "killpg",
        "remove", "rename", "mkdir", "rmdir", "link", "symlink", "truncate", "chmod", "chown",
        "utime", "setxattr", "removexattr",
    )}
)  # fmt: skip
WRITING = os.O_WRONLY | os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_TRUNC
OWN = "opens a connection of its own"


def _outside_act(happening: str, arguments: tuple[Any, ...]) -> str | None:
    """Say what an audit event does outside the database and the process, or None."""
    if happening == "open":
        path, _, flags = arguments
        is_outside = bool(flags & WRITING) and not isinstance(path, int) and path != os.devnull
    elif happening == "sqlite3.connect":
        return OWN if arguments[0] != ":memory:" else None
    else:
        is_outside = happening in EVENTS or happening.startswith(PREFIXES)
    if not is_outside or any("__pycache__" in str(one) for one in arguments) or _is_log():
        return None
    return f"acts outside the database ({happening})"


def _is_log() -> bool:
    """True when the library of logs opens or turns over its file."""
    frame = sys._getframe(1)  # noqa: SLF001  no public way
    while frame is not None:
        if str(frame.f_globals.get("__name__")).partition(".")[0] == "logging":
            return True
        frame = frame.f_back  # type: ignore[assignment]
    return False


class _Listener:
    """Hears this process's audit events; a hook can never be taken off again."""

    def __init__(self) -> None:
        self.refuse: Refuse | None = None
        sys.addaudithook(self._hear)

    def _hear(self, happening: str, arguments: tuple[Any, ...]) -> None:
        refuse = self.refuse
        if refuse is None:
            return
        act = _outside_act(happening, arguments)
        if act is not None:
            refuse(act)


@cache
def _listener() -> _Listener:
    return _Listener()


@contextmanager
def acts_refused(refuse: Refuse, is_ours: Callable[[], bool]) -> Iterator[None]:
    """Call `refuse` for what scripts do outside the database in the block.

    `is_ours` says whether a connection that is opened now is not the script's.
    """
    listener = _listener()
    with _barred(generators, "connect", refuse, is_ours), _barred_psycopg2(refuse):
        listener.refuse = refuse
        try:
            yield
        finally:
            listener.refuse = None


@contextmanager
def _barred(
    module: Any, name: str, refuse: Refuse, is_ours: Callable[[], bool] = lambda: False
) -> Iterator[None]:
    """Refuse the calls of a module's function."""
    plain = getattr(module, name)

    def connect(*arguments: Any, **named: Any) -> Any:
        return plain(*arguments, **named) if is_ours() else refuse(OWN)

    setattr(module, name, connect)
    try:
        yield
    finally:
        setattr(module, name, plain)


@contextmanager
def _barred_psycopg2(refuse: Refuse) -> Iterator[None]:
    if importlib.util.find_spec("psycopg2") is None:
        yield
        return
    import psycopg2  # type: ignore[import-not-found, import-untyped, unused-ignore]  # noqa: PLC0415

    with _barred(psycopg2, "_connect", refuse):
        yield

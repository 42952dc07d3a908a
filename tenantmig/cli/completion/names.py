"""The names of tenants and revisions that complete a word, read within a second or not at all."""

from __future__ import annotations

import json
import os
import select
import signal
import sys
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import NoReturn

import typer

from tenantmig.domain.alembic_ini import import_roots
from tenantmig.domain.lineage import Lineage
from tenantmig.domain.safe_text import one_line
from tenantmig.history.version_files import read_revision_ids

LIMIT_S = 1.0
"""How long a user waits at most after Tab: to start and to read together."""


def tenant_names(ctx: typer.Context, incomplete: str) -> list[str]:
    """Return the tenants whose names begin so."""
    config = _config(ctx)
    return _fitting(_within_limit(lambda: _read_tenants(config)), incomplete)


def revisions(ctx: typer.Context, incomplete: str) -> list[str]:
    """Return the revisions whose ids begin so; of the shared lineage if `--lineage` names it."""
    config, is_shared = _config(ctx), ctx.params.get("lineage") == Lineage.SHARED
    read = _within_limit(lambda: _read_revisions(config, is_shared=is_shared))
    return _fitting(read, incomplete)


def _config(ctx: typer.Context) -> Path:
    return Path(ctx.find_root().params.get("config") or "alembic.ini")


def _fitting(names: Iterable[str], incomplete: str) -> list[str]:
    """Leave out what a terminal would obey or a command would take for an option."""
    return [
        name
        for name in names
        if name.startswith(incomplete) and not name.startswith("-") and one_line(name) == name
    ]


def _read_tenants(config: Path) -> list[str]:
    """Read the tenants from their source.

    A password command is not run, because it may ask the user something. An embedded server is
    not started.
    """
    from tenantmig.ledger.ledger import Ledger
    from tenantmig.postgres.connection import SessionOptions, connect
    from tenantmig.settings import load_settings
    from tenantmig.tenants.discovery import discover

    settings = load_settings(config=config)
    if settings.password_command or settings.url.embedded_folder:
        return []
    sys.path[:0] = import_roots(config)  # for the source `callable`
    options = SessionOptions.of(settings, settings.url)
    ledger = Ledger(lambda: connect(options), settings.ledger_schema)
    return [tenant.name for tenant in discover(settings, ledger)]


def _read_revisions(config: Path, *, is_shared: bool) -> list[str]:
    section = Lineage.TENANT.section
    if is_shared:
        from tenantmig.settings import load_settings

        section = load_settings(config=config).shared_section
    return ["head", "base", *read_revision_ids(config, section)]


def _within_limit(read: Callable[[], list[str]]) -> list[str]:
    """Read names in a process of its own, which is killed at the limit; return none if it fails.

    It has no terminal, so nothing in it can print there or ask for a password.
    """
    deadline = time.monotonic() + LIMIT_S - time.process_time()
    answers, told = os.pipe()
    child = os.fork()
    if not child:
        _tell(read, told)
    os.close(told)
    text = b""
    while (left := deadline - time.monotonic()) > 0 and select.select([answers], [], [], left)[0]:
        piece = os.read(answers, 65536)
        if not piece:
            break
        text += piece
    os.close(answers)
    with suppress(ProcessLookupError):  # it has no group of its own yet
        os.killpg(child, signal.SIGKILL)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    try:
        names = json.loads(text)
    except ValueError:  # it failed, or was cut off
        return []
    return [str(name) for name in names]


def _tell(read: Callable[[], list[str]], told: int) -> NoReturn:
    """In the new process: write the names as JSON, and end."""
    try:
        os.setsid()
        signal.setitimer(signal.ITIMER_REAL, LIMIT_S)  # should the parent be killed first
        nothing = os.open(os.devnull, os.O_RDWR)
        for stream in range(3):
            os.dup2(nothing, stream)
        with os.fdopen(told, "w") as out:
            json.dump(read(), out)
    finally:
        os._exit(0)

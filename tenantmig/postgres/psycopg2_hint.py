"""The hint for an error that a script meets because it was written for psycopg2."""

from __future__ import annotations

import re
import traceback
from pathlib import Path
from typing import Any, Final

import psycopg

from tenantmig.postgres.psycopg2_uses import ANY, CLIENT, ERRORS, INSTEAD, OTHER, psycopg2_uses

PAGE: Final = "docs/guides/psycopg2.md"
PARAMETER: Final = re.compile(r'"\$\d+"')


def hint_psycopg2(error: BaseException, origin: BaseException | None) -> str:
    """Say what of psycopg2 an error comes from and what to write instead, or nothing.

    `origin` is what psycopg raised, if it did.
    """
    said = ""
    if isinstance(origin, psycopg.Error):
        said = _of_server(origin) or _not_caught(error)
    elif isinstance(origin, ModuleNotFoundError) and str(origin.name).startswith("psycopg2"):
        said = "psycopg2 is not installed; scripts get a connection of psycopg 3"
    elif isinstance(origin, AttributeError) and _is_psycopg(origin.obj):
        known = INSTEAD.get(str(origin.name))
        said = f"{origin.name}() belongs to psycopg2: {known}" if known else ""
    if not said and origin is not None and _went_through_psycopg2(origin):
        said = "a function of psycopg2 got a connection of psycopg 3: " + INSTEAD.get(
            _last_name(origin), OTHER
        )
    return f" ({said}; {PAGE})" if said else ""


def _of_server(error: psycopg.Error) -> str:
    message = error.diag.message_primary or str(error)
    if error.sqlstate == "42601" and PARAMETER.search(message):
        return f"PostgreSQL does not accept a parameter there; for IN {ANY}, {CLIENT}"
    if error.sqlstate == "42P18":
        return f"write the parameter's type, as in CAST(:x AS text), {CLIENT}"
    if error.sqlstate in {"42883", "22P02", "42804"} and re.search(r"record|\('", message):
        return f"psycopg 3 sends a tuple as a composite value; {ANY}, {CLIENT}"
    return ""


def _not_caught(error: BaseException) -> str:
    """Find a script that the error passed through and that catches psycopg2's errors."""
    for frame in traceback.extract_tb(error.__traceback__):
        if "site-packages" in frame.filename or not Path(frame.filename).is_file():
            continue
        try:
            uses = psycopg2_uses(frame.filename)
        except (SyntaxError, UnicodeDecodeError, OSError):
            continue
        caught = next((use for use in uses if use.is_caught), None)
        if caught is not None:
            return (
                f"line {caught.line} catches errors of psycopg2, but psycopg 3 raises its "
                f"own: {ERRORS}"
            )
    return ""


def _is_psycopg(thing: Any) -> bool:
    return isinstance(thing, psycopg.Cursor | psycopg.Connection) or isinstance(
        getattr(thing, "driver_connection", None), psycopg.Connection
    )


def _went_through_psycopg2(error: BaseException) -> bool:
    frames = traceback.extract_tb(error.__traceback__)
    return any(Path(frame.filename).parent.name == "psycopg2" for frame in frames)


def _last_name(error: BaseException) -> str:
    frames = traceback.extract_tb(error.__traceback__)
    names = [one.name for one in frames if Path(one.filename).parent.name == "psycopg2"]
    return names[0] if names else ""

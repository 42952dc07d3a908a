"""A database URL that Python gives: `module:name`, a function of the project or a constant."""

from __future__ import annotations

import importlib
import re
import sys
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stdout, suppress
from pathlib import Path
from types import ModuleType
from typing import Any, Final

from tenantmig.errors import SettingsError

NAMED: Final = re.compile(r"[^\W\d]\w*(?:\.[^\W\d]\w*)*:[^\W\d]\w*(?:\.[^\W\d]\w*)*")


def is_named(text: str) -> bool:
    """True for `module:name` (or `module:object.name`), which no URL looks like."""
    return NAMED.fullmatch(text.strip()) is not None


def find_url(named: str, roots: Sequence[str]) -> str:
    """Import a module, which is looked for in `roots` first, and return the URL that it gives.

    That is a text, an `sqlalchemy.URL`, pydantic's `SecretStr` or one of its URLs, or a function
    without parameters that returns one of them. A function on the way (`get_settings.database_url`)
    is called, and a class made.

    Raises:
        SettingsError: with the kind of an exception and its place, never its text: that may hold a
            part of the URL. Nor is the name shown, because what looks like one may be a password.
    """
    module, _, path = named.strip().partition(":")
    problem = ""
    with _on_path(roots), redirect_stdout(sys.stderr):  # stdout is the command's result
        try:
            found: Any = importlib.import_module(module)
            for name in path.split("."):
                found = _part_of(found, name)
            given = found() if callable(found) else found
        except (Exception, SystemExit) as error:  # noqa: BLE001  a project's code raises anything
            problem = _describe(error, module)
        else:
            text = _text_of(given)
            if text is not None:
                return text
            problem = f"returns a {type(given).__name__} instead of a URL"
            if hasattr(given, "close") and hasattr(given, "send"):
                given.close()  # a coroutine that nobody awaits warns
    raise SettingsError(
        f"The setting `database_url` is written as module:function, and this function {problem}."
    )


def _part_of(found: Any, name: str) -> Any:
    """Return an attribute of an object, of what a function returns, or a module of a package."""
    if isinstance(found, ModuleType) and not hasattr(found, name):
        with suppress(ModuleNotFoundError):
            return importlib.import_module(f"{found.__name__}.{name}")
    if callable(found) and not hasattr(found, name):
        found = found()
    return getattr(found, name)


def _text_of(given: object) -> str | None:
    if isinstance(given, str):
        return given
    if hasattr(given, "render_as_string"):  # SQLAlchemy's, whose str() hides the password
        return str(given.render_as_string(hide_password=False))
    if hasattr(given, "get_secret_value"):
        return _text_of(given.get_secret_value())
    if "://" in (text := str(given)) and " " not in text:
        return text
    return None


def _describe(error: BaseException, module: str) -> str:
    if isinstance(error, ModuleNotFoundError) and error.name and module.startswith(error.name):
        return (
            "cannot be imported: there is no such module next to the Alembic ini, in its "
            "prepend_sys_path or among the installed ones"
        )
    frames = traceback.extract_tb(error.__traceback__)
    inside = [one for one in frames if one.filename != __file__ and "importlib" not in one.filename]
    if not inside and isinstance(error, AttributeError):
        return "does not exist in its module"
    where = f" ({Path(inside[-1].filename).name}, line {inside[-1].lineno})" if inside else ""
    return f"raised {type(error).__name__}{where}"


@contextmanager
def _on_path(roots: Sequence[str]) -> Iterator[None]:
    before = list(sys.path)
    sys.path[:0] = roots
    try:
        yield
    finally:
        sys.path[:] = before

"""What Alembic raises, or merely warns of, while it loads a broken history, in a sentence."""

from __future__ import annotations

import configparser
import sys
import traceback
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from alembic.script.revision import RevisionError
from alembic.util import CommandError

from tenantmig.domain.ini_error import say_ini_error
from tenantmig.errors import HistoryError, SettingsError
from tenantmig.postgres.psycopg2_hint import hint_psycopg2


def one_line(reason: object) -> str:
    """Write a reason on one line, without the full stop at its end."""
    return " ".join(str(reason).split()).rstrip(".")


@contextmanager
def history_errors() -> Iterator[None]:
    """Turn what loading a broken history raises or merely warns of into a HistoryError."""
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            yield
    except HistoryError:
        raise
    except KeyError as error:
        reasons = [str(w.message) for w in caught if "is not present" in str(w.message)]
        reason = reasons[0] if reasons else f"revision {error} is missing"
        raise HistoryError(f"The migration history is broken: {reason}.") from error
    except (CommandError, RevisionError) as error:
        raise HistoryError(f"The migration history is broken: {one_line(error)}.") from error
    except configparser.Error as error:
        raise SettingsError(f"The Alembic ini cannot be used: {say_ini_error(error)}.") from None
    except Exception as error:
        raise HistoryError(_script_problem(error)) from error
    for warning in caught:
        if "present more than once" in str(warning.message):
            raise HistoryError(f"The migration history is broken: {warning.message}.")


def _is_library(file: str) -> bool:
    ours = str(Path(__file__).parents[1])
    return "site-packages" in file or file.startswith((sys.base_prefix, ours, "<"))


def _is_without_migration(error: Exception, last: Any) -> bool:
    """True for a call of `op` or `context` where no migration runs.

    Alembic's proxy is missing before the first migration of a process, and None after each.
    """
    if "proxy object has not yet been established" in str(error):
        return True
    if not isinstance(error, AttributeError) or error.obj is not None:
        return False
    return bool((last.filename, last.name) == ("<string>", error.name))


def _script_problem(error: Exception) -> str:
    if isinstance(error, SyntaxError):
        return f"The script {error.filename}, line {error.lineno}, has a syntax error: {error.msg}."
    frames: list[Any] = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if not _is_library(frame.filename)]
    last = own[-1] if own else frames[-1]
    if _is_without_migration(error, frames[-1]):
        return (
            f"A migration script cannot be loaded: {last.filename}, line {last.lineno}, "
            f"uses {last.line} outside upgrade() and downgrade(), where no migration is "
            "running. Move it into one of them."
        )
    return (
        f"A migration script cannot be loaded: {type(error).__name__}: {one_line(error)}"
        f" ({last.filename}, line {last.lineno}){hint_psycopg2(error, error)}."
    )

"""Printing: the only module that writes to stdout and stderr. All that it is given is made safe.

Tenant names, labels, comments and errors are foreign text (see `safe_text`), and never markup.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable, Sequence
from typing import Any, TextIO

from rich.console import Console, ConsoleOptions, RenderResult
from rich.segment import Segment
from rich.table import Table
from rich.text import Text

from tenantmig.cli.sql_text import safe_sql
from tenantmig.domain.outcome import JSON_VERSION
from tenantmig.domain.safe_text import escaped_json, is_safe, lines, one_line


class SafeConsole(Console):
    """A console that prints each text on one line, safely.

    It goes quiet when its reader is gone: the run matters, not who watches it.
    """

    def print(self, *objects: Any, **options: Any) -> None:
        """Print texts, each of them one line, or tables."""
        super().print(*(one_line(o) if isinstance(o, str) else o for o in objects), **options)

    def on_broken_pipe(self) -> None:
        """Print nothing more."""
        self.quiet = True
        silence(sys.stderr if self.stderr else sys.stdout)


class SafeTable:
    """A table whose cells are foreign; where a cell is folded, no line becomes a command."""

    def __init__(self, table: Table) -> None:
        self.table = table

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Render it line by line."""
        for line in console.render_lines(self.table, options, pad=False):
            text = "".join(segment.text for segment in line)
            yield from line if is_safe(text) else [Segment(lines(text))]
            yield Segment.line()


def silence(stream: TextIO) -> None:
    """Let what is written to a stream go nowhere (Python docs, signal, "Note on SIGPIPE")."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, stream.fileno())
    os.close(nowhere)


def console(*, is_error: bool = False) -> Console:
    """Return a console on stdout, or on stderr for progress."""
    return SafeConsole(stderr=is_error, markup=False, highlight=False, emoji=False, soft_wrap=True)


def table(
    columns: Sequence[str], rows: Iterable[Sequence[object]], folds: Sequence[str] | None = None
) -> SafeTable:
    """Return a plain table; where it is too wide, cells of the columns `folds` (all) are folded."""
    made = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        is_whole = folds is not None and column not in folds
        made.add_column(column, overflow="fold", no_wrap=is_whole)
    for row in rows:
        made.add_row(*(Text("" if cell is None else one_line(str(cell))) for cell in row))
    return SafeTable(made)


def say(text: str, *, is_error: bool = False) -> None:
    """Print a text on one line."""
    _write(one_line(text), is_error=is_error)


def say_lines(text: str, *, is_error: bool = False) -> None:
    """Print a text that has several lines on purpose."""
    _write(lines(text), is_error=is_error)


def say_sql(text: str) -> None:
    """Print SQL to be run: what is not seen is written so that it means the same."""
    _write(safe_sql(text))


def say_command(line: str) -> None:
    """Print a command to a CI, which `annotations` has written."""
    _write(line)


def print_json(value: object, *, indent: int | None = 2) -> None:
    """Print a value as JSON on stdout, exactly; what is not seen stands there as an escape.

    An object of ours begins with the version of its form: keys are added to a version, none is
    taken away or given another meaning.
    """
    if isinstance(value, dict) and "version" not in value:
        value = {"version": JSON_VERSION, **value}
    is_unicode = (sys.stdout.encoding or "").lower().replace("-", "") == "utf8"
    text = escaped_json(json.dumps(value, indent=indent, ensure_ascii=not is_unicode))
    try:
        _write(text)
    except BrokenPipeError:
        silence(sys.stdout)


def _write(text: str, *, is_error: bool = False) -> None:
    print(text, file=sys.stderr if is_error else sys.stdout, flush=True)

"""Commands that are imported and built when they are asked for.

Typer builds each command from the hints of its function. For all of them that took 70 ms at each
call (a slow machine, on which alembic.config takes 0.8 s).
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator, Mapping
from importlib import import_module
from typing import Any, NamedTuple

import typer
from typer.main import get_command

FIRST_SENTENCE = re.compile(r".*?[.](?=\s|$)", re.DOTALL)


class Late(NamedTuple):
    """Where a command is: a function of a module of this package, or a Typer application."""

    module: str
    name: str
    takes_unknown: bool = False
    """An argument may look like an option: a revision such as -1."""

    def load(self) -> Any:
        """Import and return it."""
        return getattr(import_module(f"tenantmig.cli.{self.module}"), self.name)


class LateCommands(Mapping[str, Any]):
    """The commands of a group by name, in the order of the table."""

    def __init__(self, table: Mapping[str, Late]) -> None:
        self._table = table
        self._built: dict[str, Any] = {}

    def __getitem__(self, name: str) -> Any:
        if name not in self._built:
            self._built[name] = _build(name, self._table[name])
        return self._built[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._table)

    def __len__(self) -> int:
        return len(self._table)


def _build(name: str, late: Late) -> Any:
    found = late.load()
    if isinstance(found, typer.Typer):
        command = get_command(found)
        command.name = name
    else:
        alone = typer.Typer(add_completion=False, rich_markup_mode=None)
        settings = {"ignore_unknown_options": True} if late.takes_unknown else None
        alone.command(name, context_settings=settings)(found)
        command = get_command(alone)
    command.short_help = first_sentence(command.help or "")
    return command


def first_sentence(text: str) -> str:
    """Return the first sentence of a help text, on one line."""
    found = FIRST_SENTENCE.match(inspect.cleandoc(text))
    return " ".join((found[0] if found else text).split())

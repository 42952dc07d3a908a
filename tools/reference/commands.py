"""The commands: each one's sentence, usage, arguments and options, as Typer has them."""

from __future__ import annotations

from collections.abc import Iterator
from enum import Enum
from pathlib import Path
from typing import Any

import typer
from typer.main import get_command

from tenantmig.cli.app import app
from tenantmig.cli.option_groups import takes
from tenantmig.cli.rollout_options import RolloutFlags, WaveFlags
from tenantmig.cli.selection import SelectionFlags
from tenantmig.settings import Settings
from tools.reference.blocks import code, table
from tools.reference.settings import default_of

GROUPS = {
    "selection": SelectionFlags,
    "rollout options": RolloutFlags,
    "waves": WaveFlags,
}
HEAD = ("option", "default", "meaning")


def command_blocks() -> dict[str, str]:
    """Return the blocks of the page: each command's, the groups', and what all commands take."""
    root = get_command(app)
    groups = {name: _group(flags) for name, flags in GROUPS.items()}
    blocks = {name: table(HEAD, _rows(options)) for name, options in groups.items()}
    blocks["before the command"] = table(HEAD, _rows(root.params))
    for name, command in _commands(root, ""):
        blocks[f"tenantmig {name}"] = _block(name, command, groups)
    return blocks


def _commands(command: Any, name: str) -> Iterator[tuple[str, Any]]:
    if not hasattr(command, "commands"):
        yield name, command
        return
    for word, inner in command.commands.items():
        yield from _commands(inner, f"{name} {word}".strip())


def _group(flags: type) -> list[Any]:
    """Return the options of a group, as a command that takes nothing else has them."""

    def command(given: flags) -> None:  # type: ignore[valid-type]
        pass

    command.__annotations__ = {"given": flags, "return": type(None)}
    alone = typer.Typer(add_completion=False)
    alone.command()(takes(flags)(command))
    return list(get_command(alone).params)


def _block(name: str, command: Any, groups: dict[str, list[Any]]) -> str:
    taken, rest = [], list(command.params)
    for group, options in groups.items():
        same = [one for one in rest if _key(one) in map(_key, options)]
        if len(same) == len(options):
            taken.append(group)
            rest = [one for one in rest if one not in same]
    arguments = [one for one in rest if one.param_type_name == "argument"]
    options = [one for one in rest if one.param_type_name == "option"]
    words = ["tenantmig", name, *(_argument(one) for one in arguments), "[OPTIONS]"]
    links = ", ".join(f"[{group}](#{group.replace(' ', '-')})" for group in taken)
    return "\n".join(
        part
        for part in (
            f"{_text(command.help)}\n",
            f"```text\n{' '.join(words)}\n```\n",
            table(("argument", "default", "meaning"), _rows(arguments)),
            table(HEAD, _rows(options)),
            f"Also: {links}.\n" if links else "",
        )
        if part
    )


def _text(text: str) -> str:
    return "\n\n".join(" ".join(part.split()) for part in text.split("\n\n"))


def _key(one: Any) -> tuple[Any, ...]:
    return (tuple(one.opts), one.help)


def _rows(params: list[Any]) -> list[tuple[str, str, str]]:
    return [(_written(one), _default(one), one.help or "") for one in params if not one.hidden]


def _written(one: Any) -> str:
    if one.param_type_name == "argument":
        return code(_argument(one))
    names = sorted(one.opts, key=len, reverse=True)
    value = "" if one.is_flag else f" {_value(one)}"
    many = ", repeatable" if one.multiple else ""
    return f"{', '.join(code(name + value) for name in names)}{many}"


def _argument(one: Any) -> str:
    word = (one.metavar or one.name.upper()).strip("[]")
    return word if one.required else f"[{word}]"


def _value(one: Any) -> str:
    if one.metavar:
        return str(one.metavar)
    choices = getattr(one.type_descriptor, "choices", None)
    if choices:
        return "|".join(str(each.value) for each in choices)
    kind = one.type_descriptor.annotation
    return {int: "N", str: "TEXT", Path: "PATH"}[kind]


def _default(one: Any) -> str:
    value = one.default
    if value is None and one.name in Settings.model_fields and not one.multiple:
        is_setting = any(_key(one) in map(_key, _group(flags)) for flags in GROUPS.values())
        return default_of(one.name) if is_setting or one.name == "allow_empty" else ""
    if value is None or value is False:
        return ""
    return code(str(value.value if isinstance(value, Enum) else value))

"""A group of commands that lists each with its whole first sentence, and starts quickly."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, ClassVar

from typer.core import TyperGroup

from tenantmig.cli.late_commands import Late, LateCommands, first_sentence


class Commands(TyperGroup):
    """A group whose commands' first sentences are their short help, which Typer would cut off.

    Typer imports pydantic to convert the value of any option, also that of `--help`. So the
    group's own options and each `--help` are taken as they are typed. So are all options of a
    command when a shell asks for completions.
    """

    late: ClassVar[Mapping[str, Late]] = {}
    """The commands of a group that builds them when they are asked for."""

    def __init__(self, **given: Any) -> None:
        super().__init__(**given)
        for command in self.commands.values():
            command.short_help = command.short_help or first_sentence(command.help or "")
        if self.late:
            self.commands = LateCommands(self.late)  # type: ignore[assignment]

    def get_params(self, ctx: Any) -> list[Any]:
        """Return the group's options."""
        return take_as_typed(super().get_params(ctx))

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """Return a command, or None."""
        command = super().get_command(ctx, cmd_name)
        if command is not None:
            take_as_typed(filter(None, [command.get_help_option(ctx)]))
            if ctx.resilient_parsing:
                take_as_typed(command.params)
        return command


class AsTyped:
    """Takes the value of a parameter as it was typed."""

    def coerce(self, value: Any, *, param: Any, ctx: Any) -> Any:  # noqa: ARG002  Typer's signature
        """Return the value."""
        return value


def take_as_typed(parameters: Iterable[Any]) -> list[Any]:
    """Let the values of parameters be what was typed."""
    taken = list(parameters)
    for parameter in taken:
        parameter._runtime_param = AsTyped()  # noqa: SLF001  Typer has no other place for it
    return taken

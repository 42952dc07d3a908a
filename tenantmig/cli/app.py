"""The Typer application: one command a function, in the modules beside this one."""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path
from typing import Annotated

import typer

from tenantmig.cli.commands import Commands
from tenantmig.cli.completion.install import completion_script, current_shell, install_completion
from tenantmig.cli.invocation import Invocation
from tenantmig.cli.late_commands import Late
from tenantmig.cli.printing import say, say_lines


class AllCommands(Commands):
    """The group of all commands; one is imported when it is called."""

    late = {  # noqa: RUF012  a constant
        "init": Late("init", "init"),
        "onboard": Late("onboarding", "onboard"),
        "offboard": Late("onboarding", "offboard"),
        "restore": Late("onboarding", "restore"),
        "upgrade": Late("rollouts", "upgrade"),
        "downgrade": Late("rollouts", "downgrade", takes_unknown=True),
        "rollback": Late("rollouts", "rollback"),
        "resume": Late("rollouts", "resume"),
        "stamp": Late("rollouts", "stamp"),
        "status": Late("readers", "status"),
        "plan": Late("readers", "plan"),
        "drift": Late("drift", "drift"),
        "runs": Late("readers", "runs"),
        "show": Late("readers", "show"),
        "revision": Late("revision", "revision"),
        "check": Late("check", "check"),
        "lint": Late("lint", "lint", takes_unknown=True),
        "demo": Late("demo", "demo"),
        "tenants": Late("tenants", "app"),
        "pool": Late("pool", "app"),
    }


app = typer.Typer(
    name="tenantmig",
    cls=AllCommands,
    help="Migrate every tenant schema of a PostgreSQL database, with Alembic.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)


def _install_completion(ctx: typer.Context, wanted: bool) -> None:
    if wanted and not ctx.resilient_parsing:
        for path in install_completion(current_shell(), Path.home()):
            say(f"wrote {path}")
        say("Open a new terminal to use it.")
        raise typer.Exit


def _show_completion(ctx: typer.Context, wanted: bool) -> None:
    if wanted and not ctx.resilient_parsing:
        say_lines(completion_script(current_shell()).rstrip("\n"))
        raise typer.Exit


def _show_version(ctx: typer.Context, wanted: bool) -> None:
    if wanted and not ctx.resilient_parsing:
        say(version("tenantmig"))
        raise typer.Exit


@app.callback()
def configure(
    ctx: typer.Context,
    config: Annotated[
        Path,
        typer.Option(
            "--config", metavar="PATH", envvar="TENANTMIG_CONFIG", help="The Alembic ini file."
        ),
    ] = Path("alembic.ini"),
    _: Annotated[
        bool,
        typer.Option("--version", callback=_show_version, is_eager=True, help="Print the version."),
    ] = False,
    _install: Annotated[
        bool,
        typer.Option(
            "--install-completion",
            callback=_install_completion,
            is_eager=True,
            help="Install completion for your shell: bash, zsh or fish.",
        ),
    ] = False,
    _show: Annotated[
        bool,
        typer.Option(
            "--show-completion",
            callback=_show_completion,
            is_eager=True,
            help="Print the completion script for your shell.",
        ),
    ] = False,
) -> None:
    """Migrate every tenant schema of a PostgreSQL database, with Alembic."""
    ctx.ensure_object(Invocation).config = Path(config)

"""The Typer application: one command a function, gathered from the modules beside this one."""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path
from typing import Annotated

import typer

from tenantmig.cli import (
    check,
    demo,
    drift,
    init,
    lint,
    onboarding,
    readers,
    revision,
    rollouts,
    tenants,
)
from tenantmig.cli.invocation import Invocation
from tenantmig.cli.printing import say

app = typer.Typer(
    name="tenantmig",
    help="Schema-per-tenant migrations on PostgreSQL, with Alembic.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)


def _show_version(wanted: bool) -> None:
    if wanted:
        say(version("tenantmig"))
        raise typer.Exit


@app.callback()
def configure(
    ctx: typer.Context,
    config: Annotated[
        Path,
        typer.Option(
            "--config", metavar="PATH", envvar="TENANTMIG_CONFIG", help="The Alembic ini."
        ),
    ] = Path("alembic.ini"),
    _: Annotated[
        bool,
        typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version."),
    ] = False,
) -> None:
    """Schema-per-tenant migrations on PostgreSQL, with Alembic."""
    ctx.ensure_object(Invocation).config = config


app.command()(init.init)
app.command()(onboarding.onboard)
app.command()(onboarding.offboard)
app.command()(onboarding.restore)
app.add_typer(tenants.app, name="tenants")
app.command()(rollouts.upgrade)
app.command(context_settings={"ignore_unknown_options": True})(rollouts.downgrade)
app.command()(rollouts.rollback)
app.command()(rollouts.resume)
app.command()(rollouts.stamp)
app.command()(readers.status)
app.command()(readers.plan)
app.command()(drift.drift)
app.command()(readers.runs)
app.command()(readers.show)
app.command()(revision.revision)
app.command()(check.check)
app.command(context_settings={"ignore_unknown_options": True})(lint.lint)
app.command()(demo.demo)

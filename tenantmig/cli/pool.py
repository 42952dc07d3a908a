"""pool, pool fill, pool drain: finished schemas that wait for a sign-up."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from tenantmig.cli.commands import Commands
from tenantmig.cli.exits import INCOMPLETE, OK
from tenantmig.cli.invocation import open_fleet
from tenantmig.cli.options import JsonFlag
from tenantmig.cli.printing import console, print_json, say, table
from tenantmig.cli.progress import reported
from tenantmig.domain.counting import counted

if TYPE_CHECKING:
    from tenantmig.fleet.fleet import Fleet
    from tenantmig.fleet.pooling import PoolReport

app = typer.Typer(
    cls=Commands,
    invoke_without_command=True,
    add_completion=False,
    rich_markup_mode=None,
    help="Show the schemas that wait for a new tenant, create them or drop them.",
)


@app.callback()
def show(ctx: typer.Context, json: JsonFlag = False) -> None:
    """Show the schemas that wait for a new tenant, create them or drop them."""
    if ctx.invoked_subcommand is None:
        _print(open_fleet(ctx).pool(), json=json)


@app.command()
def fill(
    ctx: typer.Context,
    size: Annotated[
        int | None,
        typer.Option("--size", metavar="N", min=0, help="How many [the setting `pool`]."),
    ] = None,
    json: JsonFlag = False,
) -> None:
    """Create the schemas that the pool lacks.

    Schemas that cannot be given out are dropped first.
    """
    fleet = open_fleet(ctx, pool=size)
    with reported() as options:
        report = fleet.fill_pool(options)
    _print(report, json=json)
    raise typer.Exit(OK if report.ready >= report.size else INCOMPLETE)


@app.command()
def drain(ctx: typer.Context, json: JsonFlag = False) -> None:
    """Drop all schemas of the pool."""
    report = open_fleet(ctx).drain_pool()
    _print(report, json=json)
    raise typer.Exit(INCOMPLETE if report.members else OK)


def refill(fleet: Fleet) -> None:
    """Fill the pool at the end of a command; what goes wrong is told and changes no exit code."""
    import psycopg

    from tenantmig.errors import TenantmigError, sentence_of

    if not fleet.settings.pool:
        return
    try:
        report = fleet.fill_pool()
    except (TenantmigError, psycopg.Error) as error:
        told = fleet.settings.redact(sentence_of(error))
        say(f"The pool was not filled: {told}", is_error=True)
        return
    if report.ready < report.size:
        why = report.reason or "see `tenantmig pool`"
        told = f"The pool has {report.ready} of {counted(report.size, 'schema')}: {why}"
        say(told, is_error=True)


def _print(report: PoolReport, *, json: bool) -> None:
    if json:
        print_json(pool_json(report))
        return
    if report.members:
        rows = [(m.schema, m.revision, m.problem or "ready") for m in report.members]
        console().print(table(("schema", "revision", "state"), rows, folds=("state",)))
    changed = [f"{report.added} created"] if report.added else []
    changed += [f"{report.dropped} dropped"] if report.dropped else []
    told = f"{report.ready} of {counted(report.size, 'schema')} ready"
    say("; ".join([told, *changed]))
    if report.reason is not None:
        say(f"No schema is created: {report.reason}")


def pool_json(report: PoolReport) -> dict[str, Any]:
    """Return the pool as JSON."""
    return {
        "size": report.size,
        "ready": report.ready,
        "reason": report.reason,
        "added": report.added,
        "dropped": report.dropped,
        "schemas": [
            {"schema": m.schema, "revision": m.revision, "ready": m.is_ready, "problem": m.problem}
            for m in report.members
        ],
    }

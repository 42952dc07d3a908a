"""status, plan, runs, show: the commands that change nothing."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from tenantmig.cli.exits import INCOMPLETE, OK
from tenantmig.cli.options import JsonFlag, LineageFlag, SelectionFlags, open_fleet, takes
from tenantmig.cli.printing import print_json, say, say_sql
from tenantmig.cli.render import (
    plan_json,
    print_plan,
    print_run,
    print_runs,
    print_status,
    run_json,
    status_json,
)
from tenantmig.counting import counted
from tenantmig.outcome import RunReport, UnreadableRun
from tenantmig.plan import show_heads


@takes(SelectionFlags)
def status(ctx: typer.Context, selected: SelectionFlags, json: JsonFlag = False) -> None:
    """Show the fleet by revision: who is behind, failed or in doubt."""
    fleet = open_fleet(ctx)
    found = fleet.status(selected.selection(fleet))
    print_json(status_json(found)) if json else print_status(found)
    raise typer.Exit(OK if found.is_readable else INCOMPLETE)


@takes(SelectionFlags)
def plan(
    ctx: typer.Context,
    selected: SelectionFlags,
    target: Annotated[str, typer.Argument(metavar="[REV]")] = "head",
    lineage: LineageFlag = None,
    sql: Annotated[
        bool, typer.Option("--sql", help="Print the SQL, per starting revision.")
    ] = False,
    json: JsonFlag = False,
) -> None:
    """Show what an upgrade would do, per starting revision."""
    fleet = open_fleet(ctx)
    selection = selected.selection(fleet, lineage=lineage)
    found = fleet.plan(target, selection, lineage=lineage)
    if not sql:
        print_json(plan_json(found)) if json else print_plan(found)
        raise typer.Exit(OK if found.is_readable else INCOMPLETE)
    for problem in found.problems:
        say(f"{problem.tenant.name}: not written: {problem.message}", is_error=True)
    for group, text in fleet.plan_sql(found):
        source, goal = show_heads(group.path.source) or "base", show_heads(group.path.target)
        say(f"-- {counted(len(group.tenants), 'tenant')} from {source} to {goal},")
        say(f'-- written for the first of them, "{group.tenants[0].name}"')
        say("")
        say_sql(text)
    raise typer.Exit(OK if found.is_readable else INCOMPLETE)


def runs(
    ctx: typer.Context,
    limit: Annotated[int, typer.Option("--limit", help="How many.", min=1)] = 20,
    json: JsonFlag = False,
) -> None:
    """List the newest runs of the ledger."""
    listed = open_fleet(ctx).all_runs(limit)
    found = [run for run in listed if isinstance(run, RunReport)]
    unreadable = [run for run in listed if isinstance(run, UnreadableRun)]
    if not json:
        print_runs(found, unreadable)
        return
    rows = [run_json(report) for report in found]
    for row in rows:
        del row["tenants"], row["counts"], row["shared"], row["problems"]
    print_json({"runs": rows, "unreadable": [asdict(run) for run in unreadable]})


def show(
    ctx: typer.Context,
    run: Annotated[int, typer.Argument(metavar="RUN")],
    json: JsonFlag = False,
) -> None:
    """Show what a run did to each tenant."""
    report = open_fleet(ctx).run(run)
    print_json(run_json(report)) if json else print_run(report, everyone=True)

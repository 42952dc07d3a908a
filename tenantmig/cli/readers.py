"""status, plan, runs, show: the commands that change nothing."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tenantmig.cli.completion.names import revisions, tenant_names
from tenantmig.cli.exits import INCOMPLETE, OK
from tenantmig.cli.invocation import open_fleet
from tenantmig.cli.option_groups import takes
from tenantmig.cli.options import JsonFlag, LineageFlag, XFlag
from tenantmig.cli.printing import print_json, say, say_sql
from tenantmig.cli.render import (
    plan_json,
    print_plan,
    print_run,
    print_runs,
    run_json,
    tenant_json,
)
from tenantmig.cli.selection import SelectionFlags
from tenantmig.domain.counting import counted
from tenantmig.domain.lineage import Lineage
from tenantmig.domain.outcome import RunReport, UnreadableRun
from tenantmig.domain.plan import Plan, show_heads
from tenantmig.errors import PrivilegeError

if TYPE_CHECKING:
    from tenantmig.fleet.fleet import Fleet
    from tenantmig.fleet.status import FleetStatus, TenantLife

RunArgument = Annotated[
    str,
    typer.Argument(
        metavar="RUN|TENANT",
        autocompletion=tenant_names,
        help="The number of a run, or the name of a tenant.",
    ),
]


@takes(SelectionFlags)
def status(
    ctx: typer.Context,
    selected: SelectionFlags,
    behind: Annotated[
        bool, typer.Option("--behind", help="Name every tenant that is behind.")
    ] = False,
    json: JsonFlag = False,
) -> None:
    """Show how many tenants are at each revision, and which are behind, failed or in doubt.

    With `-t NAME` alone, show that tenant and its newest runs.
    """
    from tenantmig.cli.render_status import (
        print_env_problem,
        print_life,
        print_status,
        runs_json,
        status_json,
    )

    fleet = open_fleet(ctx)
    found = fleet.status(selected.selection(fleet))
    life = _life(fleet, found, selected.one_name)
    if json:
        more = {"runs": runs_json(life.runs)} if life else {}
        print_json(status_json(found, only_behind=behind) | more)
    elif life:
        print_life(life, life.runs)
    else:
        print_status(found, all_behind=behind)
    if not json:
        print_env_problem(found)
    raise typer.Exit(OK if found.is_readable else INCOMPLETE)


def _life(fleet: Fleet, found: FleetStatus, name: str | None) -> TenantLife | None:
    """Read the runs of the one tenant that is named, unless this role may not read them."""
    if name is None or [status.tenant.name for status in found.tenants] != [name]:
        return None
    with suppress(PrivilegeError):
        return fleet.tenant(name)
    return None


@takes(SelectionFlags)
def plan(
    ctx: typer.Context,
    selected: SelectionFlags,
    target: Annotated[
        str,
        typer.Argument(
            metavar="[REV]", autocompletion=revisions, help="The revision to upgrade to."
        ),
    ] = "head",
    lineage: LineageFlag = None,
    sql: Annotated[
        bool, typer.Option("--sql", help="Print the SQL for each starting revision.")
    ] = False,
    x: XFlag = None,
    json: JsonFlag = False,
) -> None:
    """Show what an upgrade would do for each starting revision."""
    fleet = open_fleet(ctx, x=x or None)
    selection = selected.selection(fleet, lineage=lineage)
    found = fleet.plan(target, selection, lineage=lineage)
    if json:
        more = {"sql": _sql_json(fleet, found)} if sql else {}
        print_json(plan_json(found) | more)
    elif sql:
        _print_sql(fleet, found)
    else:
        print_plan(found)
    raise typer.Exit(OK if found.is_readable else INCOMPLETE)


def _sql_json(fleet: Fleet, found: Plan) -> list[dict[str, Any]]:
    """Return the SQL of each starting revision; that of the shared lineage comes first."""
    shared = found.shared.groups if found.shared else ()
    return [
        {
            "lineage": (Lineage.SHARED if group in shared else found.lineage).value,
            "from": show_heads(group.path.source),
            "to": show_heads(group.path.target),
            "tenants": [tenant.name for tenant in group.tenants],
            "written_for": group.tenants[0].name,
            "sql": text,
        }
        for group, text in fleet.plan_sql(found)
    ]


def _print_sql(fleet: Fleet, found: Plan) -> None:
    for problem in found.problems:
        say(f"{problem.tenant.name}: not written: {problem.message}", is_error=True)
    for group, text in fleet.plan_sql(found):
        source, goal = show_heads(group.path.source) or "base", show_heads(group.path.target)
        say(f"-- {counted(len(group.tenants), 'tenant')} from {source} to {goal},")
        say(f'-- written for the first of them, "{group.tenants[0].name}"')
        say("")
        say_sql(text)


def runs(
    ctx: typer.Context,
    limit: Annotated[int, typer.Option("--limit", help="List at most this many runs.", min=1)] = 20,
    json: JsonFlag = False,
) -> None:
    """List the newest runs in the ledger."""
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
    run: RunArgument,
    failed: Annotated[
        bool, typer.Option("--failed", help="Show only tenants that are not at the target.")
    ] = False,
    json: JsonFlag = False,
) -> None:
    """Show what a run did to each tenant, or what the newest runs did to one tenant."""
    from tenantmig.cli.render_status import life_json, print_life

    fleet = open_fleet(ctx)
    if not (run.isascii() and run.isdecimal()):
        life = fleet.tenant(run)
        kept = [r for r in life.runs if not (failed and r.outcome.outcome.is_at_target)]
        print_json(life_json(life, kept)) if json else print_life(life, kept)
        return
    report = fleet.run(int(run))
    left = [t for t in report.tenants if not (failed and t.outcome.is_at_target)]
    if json:
        print_json(run_json(report) | {"tenants": [tenant_json(tenant) for tenant in left]})
    else:
        print_run(report, everyone=True, only=left if failed else None)

"""upgrade, downgrade, stamp: the commands that move existing tenants."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from tenantmig.cli.exits import exit_code
from tenantmig.cli.options import (
    DryRunFlag,
    JsonFlag,
    RolloutFlags,
    SelectionFlags,
    YesFlag,
    open_fleet,
    takes,
)
from tenantmig.cli.progress import reported
from tenantmig.cli.render import plan_json, print_json, print_plan, print_run, run_json
from tenantmig.fleet import EVERYONE, Fleet, RunOptions
from tenantmig.outcome import RunReport
from tenantmig.plan import Plan, RunKind
from tenantmig.tenant import Selection


@takes(SelectionFlags, RolloutFlags)
def upgrade(
    ctx: typer.Context,
    selected: SelectionFlags,
    rollout: RolloutFlags,
    target: Annotated[str, typer.Argument(metavar="[REV]")] = "head",
    dry_run: DryRunFlag = False,
    yes: YesFlag = False,  # noqa: ARG001  nothing is asked; scripts may pass it everywhere
    json: JsonFlag = False,
) -> None:
    """Roll tenants forward; all active ones unless some are selected."""
    fleet = open_fleet(ctx, **rollout.settings())
    selection = selected.selection(fleet, EVERYONE)
    _roll(fleet, RunKind.UPGRADE, target, selection, dry_run=dry_run, json=json)


@takes(SelectionFlags, RolloutFlags)
def downgrade(
    ctx: typer.Context,
    selected: SelectionFlags,
    rollout: RolloutFlags,
    target: Annotated[str, typer.Argument(metavar="REV")],
    dry_run: DryRunFlag = False,
    yes: YesFlag = False,
    json: JsonFlag = False,
) -> None:
    """Bring the selected tenants back to a revision, or -N revisions back."""
    fleet = open_fleet(ctx, **rollout.settings())
    selection = selected.selection(fleet, None)
    if not (dry_run or yes or json):
        _ask(fleet.plan(target, selection, RunKind.DOWNGRADE))
    _roll(fleet, RunKind.DOWNGRADE, target, selection, dry_run=dry_run, json=json)


@takes(SelectionFlags)
def stamp(
    ctx: typer.Context,
    selected: SelectionFlags,
    target: Annotated[str, typer.Argument(metavar="REV")],
    dry_run: DryRunFlag = False,
    json: JsonFlag = False,
) -> None:
    """Write a revision into version tables without running anything."""
    fleet = open_fleet(ctx)
    selection = selected.selection(fleet, None)
    _roll(fleet, RunKind.STAMP, target, selection, dry_run=dry_run, json=json)


def _ask(plan: Plan) -> None:
    if sys.stdin.isatty() and plan.pending:
        print_plan(plan)
        typer.confirm("Do it?", abort=True, err=True)


def _roll(
    fleet: Fleet,
    kind: RunKind,
    target: str,
    selection: Selection,
    *,
    dry_run: bool,
    json: bool,
) -> None:
    if dry_run:
        plan = fleet.plan(target, selection, kind)
        print_json(plan_json(plan)) if json else print_plan(plan)
        return
    with reported() as options:
        report = _run(fleet, kind, target, selection, options)
    finish(report, json=json)


def _run(
    fleet: Fleet, kind: RunKind, target: str, selection: Selection, options: RunOptions
) -> RunReport:
    if kind is RunKind.UPGRADE:
        return fleet.upgrade(target, selection, options)
    if kind is RunKind.DOWNGRADE:
        return fleet.downgrade(target, selection, options)
    return fleet.stamp(target, selection, options)


def finish(report: RunReport, *, json: bool) -> None:
    """Print a run's report and end the command with its exit code."""
    print_json(run_json(report)) if json else print_run(report)
    raise typer.Exit(exit_code(report))

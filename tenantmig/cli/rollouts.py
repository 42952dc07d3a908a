"""upgrade, downgrade, rollback, resume, stamp: the commands that move existing tenants."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from tenantmig.cli.completion.names import revisions, tenant_names
from tenantmig.cli.confirmation import TAKES_AWAY, confirm
from tenantmig.cli.exits import INCOMPLETE, OK, exit_code
from tenantmig.cli.invocation import open_fleet
from tenantmig.cli.option_groups import takes
from tenantmig.cli.options import (
    AllowEmptyFlag,
    BackupFlag,
    DryRunFlag,
    JsonFlag,
    LineageFlag,
    NoPoolFlag,
    SkipIrreversibleFlag,
    YesFlag,
)
from tenantmig.cli.pool import refill
from tenantmig.cli.printing import print_json
from tenantmig.cli.progress import reported
from tenantmig.cli.render import plan_json, print_plan, print_run, run_json
from tenantmig.cli.rollout_options import RolloutFlags, WaveFlags
from tenantmig.cli.selection import SelectionFlags
from tenantmig.domain.lineage import Lineage
from tenantmig.domain.outcome import RunReport
from tenantmig.domain.plan import Plan, RunKind
from tenantmig.domain.tenant import EVERYONE, Selection
from tenantmig.fleet.run_options import RunOptions

if TYPE_CHECKING:
    from tenantmig.fleet.fleet import Fleet

DEFAULT = RunOptions()


@takes(SelectionFlags, RolloutFlags, WaveFlags)
def upgrade(
    ctx: typer.Context,
    selected: SelectionFlags,
    rollout: RolloutFlags,
    waves: WaveFlags,
    target: Annotated[
        str,
        typer.Argument(
            metavar="[REV]", autocompletion=revisions, help="The revision to upgrade to."
        ),
    ] = "head",
    lineage: LineageFlag = None,
    allow_empty: AllowEmptyFlag = None,
    no_pool: NoPoolFlag = False,
    dry_run: DryRunFlag = False,
    yes: YesFlag = False,  # noqa: ARG001  nothing is asked; scripts may pass it everywhere
    json: JsonFlag = False,
) -> None:
    """Upgrade tenants to a revision: all active ones, or those you select.

    If there is a shared lineage, it is upgraded first.
    """
    fleet = open_fleet(ctx, **rollout.settings(), **waves.settings(), allow_empty=allow_empty)
    selection = selected.selection(fleet, EVERYONE, lineage)
    if dry_run:
        show_plan(_plan(fleet, target, selection, RunKind.UPGRADE, lineage), json=json)
        return
    with reported() as options:
        report = fleet.upgrade(target, selection, options, lineage)
    if report.is_complete and not no_pool:
        refill(fleet)
    finish(report, json=json)


@takes(SelectionFlags, RolloutFlags, WaveFlags)
def downgrade(
    ctx: typer.Context,
    selected: SelectionFlags,
    rollout: RolloutFlags,
    waves: WaveFlags,
    target: Annotated[
        str,
        typer.Argument(
            metavar="REV",
            autocompletion=revisions,
            help="The revision to downgrade to; -N goes N revisions back.",
        ),
    ],
    lineage: LineageFlag = None,
    skip_irreversible: SkipIrreversibleFlag = False,
    backup: BackupFlag = None,
    allow_empty: AllowEmptyFlag = None,
    dry_run: DryRunFlag = False,
    yes: YesFlag = False,
    json: JsonFlag = False,
) -> None:
    """Downgrade the selected tenants to a revision, or by N revisions."""
    fleet = open_fleet(ctx, **rollout.settings(), **waves.settings(), allow_empty=allow_empty)
    selection = selected.selection(fleet, None, lineage)
    wanted = RunOptions(skip_irreversible=skip_irreversible, backup=backup)
    if dry_run or not yes:
        plan = _plan(fleet, target, selection, RunKind.DOWNGRADE, lineage, wanted)
        if dry_run:
            show_plan(plan, json=json)
            return
        confirm(plan, "downgrade", json=json)
    with reported(wanted) as options:
        report = fleet.downgrade(target, selection, options, lineage)
    finish(report, json=json)


@takes(RolloutFlags, WaveFlags)
def rollback(
    ctx: typer.Context,
    rollout: RolloutFlags,
    waves: WaveFlags,
    run: Annotated[int, typer.Argument(metavar="RUN", help="The run to undo.")],
    skip_irreversible: SkipIrreversibleFlag = False,
    backup: BackupFlag = None,
    dry_run: DryRunFlag = False,
    yes: YesFlag = False,
    json: JsonFlag = False,
) -> None:
    """Undo one run: return each tenant that it moved to the revision it had before.

    No other tenant is changed.
    """
    fleet = open_fleet(ctx, **rollout.settings(), **waves.settings())
    wanted = RunOptions(skip_irreversible=skip_irreversible, backup=backup)
    if dry_run or not yes:
        plan = fleet.plan_rollback(run, wanted)
        if dry_run:
            show_plan(plan, json=json)
            return
        confirm(plan, "rollback", json=json)
    with reported(wanted) as options:
        report = fleet.rollback(run, options)
    finish(report, json=json)


@takes(RolloutFlags, WaveFlags)
def resume(
    ctx: typer.Context,
    rollout: RolloutFlags,
    waves: WaveFlags,
    run: Annotated[
        int | None,
        typer.Argument(
            metavar="[RUN]", help="The run to finish [the newest with tenants to move]."
        ),
    ] = None,
    skip: Annotated[
        list[str] | None,
        typer.Option(
            "--skip",
            metavar="NAME",
            autocompletion=tenant_names,
            help="Leave this tenant as it is; * is a wildcard. May be repeated.",
        ),
    ] = None,
    skip_irreversible: SkipIrreversibleFlag = False,
    dry_run: DryRunFlag = False,
    yes: YesFlag = False,
    json: JsonFlag = False,
) -> None:
    """Finish a run that was interrupted or left tenants behind.

    The target is that of the run. So are its options, except those that you give.
    """
    fleet = open_fleet(ctx)
    wanted = RunOptions(skip_irreversible=skip_irreversible, skip=tuple(skip or ()))
    if dry_run:
        show_plan(fleet.plan_resumption(run, wanted), json=json)
        return
    if not yes:
        report = fleet.resumable(run)
        run = report.run
        if report.kind in TAKES_AWAY:
            plan = fleet.plan_resumption(run, wanted)
            confirm(plan, f"resume of run {run} ({report.kind})", json=json)
    with reported(wanted) as options:
        report = fleet.resume(run, options, rollout.settings() | waves.settings())
    finish(report, json=json)


@takes(SelectionFlags)
def stamp(
    ctx: typer.Context,
    selected: SelectionFlags,
    target: Annotated[
        str,
        typer.Argument(metavar="REV", autocompletion=revisions, help="The revision to write."),
    ],
    lineage: LineageFlag = None,
    allow_empty: AllowEmptyFlag = None,
    dry_run: DryRunFlag = False,
    json: JsonFlag = False,
) -> None:
    """Write a revision into the version tables of tenants, and run no script."""
    fleet = open_fleet(ctx, allow_empty=allow_empty)
    selection = selected.selection(fleet, None, lineage)
    if dry_run:
        plan = _plan(fleet, target, selection, RunKind.STAMP, lineage)
        show_plan(plan, json=json)
        return
    with reported() as options:
        report = fleet.stamp(target, selection, options, lineage)
    finish(report, json=json)


def _plan(
    fleet: Fleet,
    target: str,
    selection: Selection,
    kind: RunKind,
    lineage: Lineage | None,
    wanted: RunOptions = DEFAULT,
) -> Plan:
    """Plan a run that would be refused if it could do nothing."""
    plan = fleet.plan(target, selection, kind, wanted, lineage)
    fleet.refuse_unfit(plan)
    return plan


def show_plan(plan: Plan, *, json: bool) -> None:
    """Print what a run would do."""
    print_json(plan_json(plan)) if json else print_plan(plan)
    raise typer.Exit(OK if plan.is_readable else INCOMPLETE)


def finish(report: RunReport, *, json: bool) -> None:
    """Print a run's report and end the command with its exit code."""
    print_json(run_json(report)) if json else print_run(report)
    raise typer.Exit(exit_code(report))

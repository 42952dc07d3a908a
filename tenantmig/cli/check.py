"""check: do the models match the history's head, and do its downgrades lead back."""

from __future__ import annotations

import typer

from tenantmig.check import CheckReport, Downgrade
from tenantmig.cli.exits import FOUND, INCOMPLETE, OK
from tenantmig.cli.options import JsonFlag, open_fleet
from tenantmig.cli.render import print_json


def check(ctx: typer.Context, json: JsonFlag = False) -> None:
    """Compare the models with the history's head; run each revision up, down and up again."""
    report = open_fleet(ctx).check()
    print_json(_as_json(report)) if json else _print(report)
    raise typer.Exit(_exit_code(report))


def _exit_code(report: CheckReport) -> int:
    if not report.is_clean:
        return FOUND
    return OK if report.is_complete else INCOMPLETE


def _as_json(report: CheckReport) -> dict[str, object]:
    return {
        "head": report.head,
        "is_clean": report.is_clean,
        "is_complete": report.is_complete,
        "changes": None if report.changes is None else list(report.changes),
        "revisions": [
            {"revision": r.revision, "downgrade": r.downgrade.value, "reason": r.reason}
            for r in report.revisions
        ],
    }


def _print(report: CheckReport) -> None:
    for revision in report.revisions:
        if revision.downgrade is not Downgrade.SOUND:
            typer.echo(f"{revision.revision}: {_said(revision.downgrade)}: {revision.reason}")
    counts = {kind: sum(r.downgrade is kind for r in report.revisions) for kind in Downgrade}
    said = ", ".join(f"{count} {_said(kind)}" for kind, count in counts.items() if count)
    total = len(report.revisions)
    typer.echo(f"Downgrades of {total} revision{'s' * (total != 1)}: {said or 'none'}")
    if not report.is_complete:
        typer.echo(f"Models: not compared; the head {report.head} was not reached")
    elif report.changes is None:
        typer.echo("Models: not compared; env.py gives no target_metadata")
    elif not report.changes:
        typer.echo(f"Models: as the history's head {report.head}")
    else:
        typer.echo(f"Models: the history's head {report.head} lacks")
        for change in report.changes:
            typer.echo(f"  {change}")


def _said(kind: Downgrade) -> str:
    return kind.value.replace("_", " ")

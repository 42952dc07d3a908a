"""check: do the models match the history's head, and do its downgrades lead back."""

from __future__ import annotations

from typing import Annotated

import typer

from tenantmig.check import CheckReport, Downgrade
from tenantmig.cli import replay_check
from tenantmig.cli.exits import FOUND, INCOMPLETE, OK
from tenantmig.cli.options import JsonFlag, open_fleet
from tenantmig.cli.printing import print_json, say, say_lines

ReplayFlag = Annotated[
    bool,
    typer.Option("--replay", help="Also compare the default engine with plain Alembic."),
]


def check(ctx: typer.Context, json: JsonFlag = False, replay: ReplayFlag = False) -> None:
    """Compare the models with the history's head; run each revision up, down and up again."""
    fleet = open_fleet(ctx)
    report = fleet.check()
    # by plain Alembic a script that reaches out of its schema would do so
    replayed = fleet.check_replay() if replay and report.is_complete else None
    if json:
        found = None if replayed is None else replay_check.as_json(replayed)
        print_json(_as_json(report) | {"replay": found})
    else:
        _print(report)
        if replayed is not None:
            replay_check.print_report(replayed)
        elif replay:
            say("The engines were not compared, because a revision was not tried.")
    is_same = replayed is None or replayed.is_same
    raise typer.Exit(_exit_code(report) if is_same else FOUND)


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
            say(f"{revision.revision}: {_said(revision.downgrade)}: {revision.reason}")
    counts = {kind: sum(r.downgrade is kind for r in report.revisions) for kind in Downgrade}
    said = ", ".join(f"{count} {_said(kind)}" for kind, count in counts.items() if count)
    total = len(report.revisions)
    say(f"Downgrades of {total} revision{'s' * (total != 1)}: {said or 'none'}")
    if not report.is_complete:
        say(f"Models: not compared; the head {report.head} was not reached")
    elif report.changes is None:
        say("Models: not compared; env.py gives no target_metadata")
    elif not report.changes:
        say(f"Models: as the history's head {report.head}")
    else:
        say(f"Models: the history's head {report.head} lacks")
        for change in report.changes:
            say_lines(f"  {change}")


def _said(kind: Downgrade) -> str:
    return kind.value.replace("_", " ")

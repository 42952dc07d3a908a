"""check: do the models match the history's head, and do its downgrades lead back."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from tenantmig.cli import replay_check
from tenantmig.cli.check_progress import CheckProgress, interruptible
from tenantmig.cli.completion.names import revisions
from tenantmig.cli.exits import FOUND, INCOMPLETE, OK
from tenantmig.cli.invocation import open_fleet
from tenantmig.cli.options import JsonFlag
from tenantmig.cli.printing import print_json, say, say_lines
from tenantmig.errors import SettingsError
from tenantmig.fleet.baseline import FILE, NOTHING, Baseline
from tenantmig.fleet.check_report import Checked, CheckReport, Downgrade, RevisionCheck

ReplayFlag = Annotated[
    bool,
    typer.Option("--replay", help="Also compare the default engine with plain Alembic."),
]


ONCE = (
    "create it once, outside the tenants' schemas, and set extension_schemas"
    " (docs/guides/scripts.md, Extensions)"
)
ACCEPT = (
    "Fix what is broken. If a revision has shipped and cannot be changed, accept its "
    "finding: tenantmig check --accept 'a reason'"
)
BeginFlag = Annotated[
    str | None,
    typer.Option(
        "--from",
        metavar="REV",
        autocompletion=revisions,
        help="Check this revision and those after it.",
    ),
]
BaselineFlag = Annotated[
    Path | None,
    typer.Option("--baseline", help=f"The file of accepted findings [{FILE} beside the ini]."),
]
AcceptFlag = Annotated[
    str | None,
    typer.Option(
        "--accept", metavar="REASON", help="Write the findings into the baseline, with this reason."
    ),
]


def check(
    ctx: typer.Context,
    json: JsonFlag = False,
    begin: BeginFlag = None,
    baseline: BaselineFlag = None,
    accept: AcceptFlag = None,
    replay: ReplayFlag = False,
) -> None:
    """Compare the models with the history's head; run each revision up, down and up again.

    Each finding is printed at once, so an interrupted check has printed what it found.
    """
    fleet = open_fleet(ctx)
    file = baseline or fleet.settings.config.absolute().parent / FILE
    accepted = Baseline.read(file) if baseline or file.exists() else NOTHING
    if accept is not None and not accept.strip():
        raise SettingsError("Give a reason why the findings are accepted: --accept 'a reason'.")
    progress = CheckProgress((lambda _: None) if json else _tell)
    with interruptible():
        try:
            report = fleet.check(begin, progress, accepted)
        except BaseException:
            progress.pause()
            _keep(ctx, progress.checked, json=json)
            raise
        progress.pause()
        ctx.obj.found = _as_json(report) | {"replay": None}
        if not json:
            _print(report)
            _print_baseline(report, is_accepting=accept is not None)
        # by plain Alembic a script that reaches out of its schema would do so
        replayed = fleet.check_replay() if replay and report.is_complete else None
    if json:
        found = None if replayed is None else replay_check.as_json(replayed)
        print_json(_as_json(report) | {"replay": found})
    elif replayed is not None:
        replay_check.print_report(replayed)
    elif replay:
        say("The engines were not compared, because a revision was not tried.")
    code = _exit_code(report)
    if accept is not None:
        accepted.with_findings(report, accept).save(file)
        say(f"wrote {file}; commit it", is_error=True)
        code = OK
    if replayed is not None and not replayed.is_same:
        code = FOUND  # in what the engines differ nobody can accept
    elif replay and replayed is None:
        code = code or INCOMPLETE  # asked for and not done
    raise typer.Exit(code)


def _exit_code(report: CheckReport) -> int:
    if not report.is_clean:
        return FOUND
    return OK if report.is_settled else INCOMPLETE


def _keep(ctx: typer.Context, checked: Sequence[Checked], *, json: bool) -> None:
    """Tell how far a check came that was cut off."""
    if not checked:
        return
    last = checked[-1]
    report = CheckReport(last.head, None, tuple(event.found for event in checked))
    if json:
        cut = {"is_clean": False, "is_complete": False, "replay": None, "total": last.total}
        ctx.obj.found = _as_json(report) | cut
        return
    _print_counts(report.revisions)
    what = (
        "the models were not compared" if last.done == last.total else "the check was interrupted"
    )
    say(f"{last.done} of {last.total} revisions were checked; {what}")


def _as_json(report: CheckReport) -> dict[str, object]:
    return {
        "head": report.head,
        "is_clean": report.is_clean,
        "is_complete": report.is_complete,
        "total": len(report.revisions),
        "extensions": [{"extension": e, "revision": r} for e, r in report.extensions.items()],
        "changes": None if report.changes is None else list(report.changes),
        "revisions": [
            {
                "revision": r.revision,
                "downgrade": r.downgrade.value,
                "reason": r.reason,
                "accepted": r.accepted,
            }
            for r in report.revisions
        ],
        "accepted_changes": list(report.accepted_changes),
        "stale": list(report.stale),
    }


def _tell(found: RevisionCheck) -> None:
    """Print what a revision's downgrade is worth, unless it is sound."""
    if found.downgrade is not Downgrade.SOUND:
        accepted = f" (accepted: {found.accepted})" if found.accepted else ""
        say(f"{found.revision}: {_said(found.downgrade)}: {found.reason}{accepted}")


def _print_counts(revisions: Sequence[RevisionCheck]) -> None:
    found = Counter(
        _said(r.downgrade) + " (accepted)" * (r.accepted is not None)
        for r in sorted(revisions, key=lambda r: list(Downgrade).index(r.downgrade))
    )
    said = ", ".join(f"{count} {kind}" for kind, count in found.items())
    total = len(revisions)
    say(f"Downgrades of {total} revision{'s' * (total != 1)}: {said or 'none'}")


def _print(report: CheckReport) -> None:
    _print_counts(report.revisions)
    for extension, maker in report.extensions.items():
        say(f'Extensions: revision {maker} creates "{extension}"; {ONCE}')
    if not report.is_complete:
        say(f"Models: not compared, because the head {report.head} was not reached")
    elif report.changes is None:
        say("Models: not compared, because env.py gives no target_metadata")
    elif not report.changes:
        say(f"Models: same as the history's head {report.head}")
    else:
        say(f"Models: the history's head {report.head} differs:")
        for change in report.changes:
            say_lines(f"  {change}")


def _print_baseline(report: CheckReport, *, is_accepting: bool) -> None:
    for change in report.accepted_changes:
        say_lines(f"  accepted: {change}")
    for stale in report.stale:
        say(f"This finding is accepted but no longer found; remove it from the baseline: {stale}")
    if report.broken and not is_accepting:
        say(ACCEPT)


def _said(kind: Downgrade) -> str:
    return kind.value.replace("_", " ")

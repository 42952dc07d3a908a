"""What `check --replay` prints."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tenantmig.cli.printing import say
from tenantmig.domain.counting import counted

if TYPE_CHECKING:
    from tenantmig.fleet.replay_check import ReplayReport


def as_json(report: ReplayReport) -> dict[str, object]:
    """The report as JSON has it."""
    return {
        "is_same": report.is_same,
        "revisions": report.revisions,
        "replayed": report.replayed,
        "differences": list(report.differences),
        "left_out": list(report.left_out),
        "empty_tables": dict(report.empty),
        "without_rows": report.without_rows,
        "obstacles": dict(report.obstacles),
    }


def print_report(report: ReplayReport) -> None:
    """Print it for people, what matters last."""
    for revision, reason in report.obstacles.items():
        say(f"{revision}: not replayed: {reason}")
    if report.without_rows:
        say(f"Made-up rows: none, because the history fails with them: {report.without_rows}")
    for table, reason in report.empty.items():
        say(f"Made-up rows: none in {table}: {reason}")
    for name in report.left_out:
        say(f"Not compared: {name}, which differs between two runs of plain Alembic")
    counts = f"{report.replayed} of {counted(report.revisions, 'revision')} replayed"
    if report.is_same:
        say(f"Replay: {counts}; catalogs and rows are the same as with plain Alembic")
        return
    say(f"Replay: {counts}; differences from plain Alembic:")
    for difference in report.differences:
        say(f"  {difference}")

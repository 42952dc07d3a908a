"""revision: a new script, empty or filled from the models."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import Annotated

import typer

from tenantmig.cli.completion.names import revisions
from tenantmig.cli.invocation import open_fleet
from tenantmig.cli.options import JsonFlag, LineageFlag
from tenantmig.cli.printing import print_json, say, say_lines
from tenantmig.domain.draft import Draft, RevisionReport
from tenantmig.domain.lineage import Lineage

LOSING = ("op.drop_column(", "op.drop_table(")
NOTHING = "The history already has everything that the models have; no script was written."


def revision(
    ctx: typer.Context,
    message: Annotated[
        str, typer.Option("--message", "-m", metavar="MSG", help="What the revision does.")
    ],
    autogenerate: Annotated[
        bool,
        typer.Option(
            "--autogenerate", help="Fill it with what the models have and the history lacks."
        ),
    ] = False,
    head: Annotated[
        str,
        typer.Option(
            "--head",
            metavar="REV",
            autocompletion=revisions,
            help="The revision that the new one follows.",
        ),
    ] = "head",
    splice: Annotated[
        bool, typer.Option("--splice", help="Allow --head to name a revision that is not a head.")
    ] = False,
    branch_label: Annotated[
        str | None, typer.Option("--branch-label", help="Begin a branch with this label.")
    ] = None,
    rev_id: Annotated[
        str | None,
        typer.Option("--rev-id", metavar="ID", help="The id of the new revision [a random one]."),
    ] = None,
    lineage: LineageFlag = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print the script and write nothing.")
    ] = False,
    json: JsonFlag = False,
) -> None:
    """Write a new script, empty or filled from the models.

    With --autogenerate, the history runs in a scratch schema, which is compared with the models.
    """
    words = (message, autogenerate, head, splice, branch_label, rev_id, dry_run)
    draft = Draft(*words, lineage or Lineage.TENANT)
    with _stdout_is_ours():
        report = open_fleet(ctx).revision(draft)
    print_json(_as_json(report)) if json else _print(report)


@contextmanager
def _stdout_is_ours() -> Iterator[None]:
    """Let what Alembic and its post-write hooks print go to stderr: it is not the result."""
    sys.stdout.flush()
    kept = os.dup(1)
    os.dup2(2, 1)
    try:
        yield
    finally:
        sys.stdout.flush()
        os.dup2(kept, 1)
        os.close(kept)


def _as_json(report: RevisionReport) -> dict[str, object]:
    return {
        "scripts": [
            {"revision": script.revision, "path": script.path, "script": script.text}
            for script in report.scripts
        ],
        "changes": list(report.changes),
        "renames": [asdict(rename) for rename in report.renames],
        "cut_names": dict(report.cut_names),
    }


def _print(report: RevisionReport) -> None:
    if not report.scripts:
        say(NOTHING)
    for script in report.scripts:
        say(f"wrote {script.path}") if script.path else say_lines(script.text)
    if any(change.startswith(LOSING) for change in report.changes):
        say(
            "The script drops columns or tables with their data. Read it before you run it.",
            is_error=True,
        )
    for name, kept in report.cut_names:
        say(
            f"{name} in the models has more than 63 bytes. PostgreSQL cuts it to {kept}, "
            "and the script uses that name.",
            is_error=True,
        )
    for rename in report.renames:
        say(
            f"The script renames {rename.table}.{rename.old} to {rename.new}: it took one "
            "column for the other with a new name. Read the script before you run it.",
            is_error=True,
        )

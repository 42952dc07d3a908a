"""Confirmation: what takes something away is done only when a person or a flag says so."""

from __future__ import annotations

import sys

import typer

from tenantmig.cli.render import print_plan
from tenantmig.domain.counting import counted
from tenantmig.domain.plan import Plan, RunKind
from tenantmig.errors import SelectionError

TAKES_AWAY = frozenset({RunKind.DOWNGRADE, RunKind.ROLLBACK, RunKind.OFFBOARD})
"""The kinds of run that are confirmed when they are begun, and again when they are resumed."""


def confirm(plan: Plan, command: str, *, json: bool) -> None:
    """Ask on a terminal whether a plan is to be carried out; without one, demand `--yes`.

    With `json` a program reads the result, so nothing is asked either. A plan that changes nobody
    now is refused too: by the time it is carried out it may.

    Raises:
        SelectionError: nobody can answer; nothing was touched.
        typer.Abort: the answer is no.
    """
    is_terminal = sys.stdin is not None and sys.stdin.isatty()
    if json or not is_terminal:
        why = "--json does not ask" if is_terminal else "stdin is not a terminal"
        raise SelectionError(
            f"{command} can drop tables and rows ({counted(plan.pending, 'tenant')} would "
            f"change), and it cannot ask you to confirm: {why}. Pass --yes to confirm, or "
            "--dry-run to see the plan. Nothing was touched."
        )
    if plan.pending:
        print_plan(plan)
        typer.confirm("Do it?", abort=True, err=True)

"""Shell completion: what a shell asks when a user presses Tab. Prints names, and no errors.

The scripts beside this file ask in the form that Typer's own scripts use. They take each line as
one word and let the shell quote it: Typer's own would run a tenant's name as code in zsh.
"""

from __future__ import annotations

import io
from contextlib import redirect_stderr, suppress

import typer
from typer.completion import completion_init  # type: ignore[attr-defined]
from typer.main import get_command

from tenantmig.cli.invocation import Invocation


def answer(app: typer.Typer) -> int:
    """Print what completes the words that the shell gave; after any failure print nothing."""
    completion_init()
    with redirect_stderr(io.StringIO()), suppress(Exception, SystemExit):
        get_command(app).main([], "tenantmig", standalone_mode=False, obj=Invocation())
    return 0

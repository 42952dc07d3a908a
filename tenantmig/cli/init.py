"""init: Alembic's environment for tenants, written into a project."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tenantmig.cli.options import DryRunFlag
from tenantmig.cli.printing import say
from tenantmig.scaffold import scaffold_files, write_scaffold


def init(
    folder: Annotated[Path, typer.Argument(metavar="[DIR]")] = Path(),
    shared: Annotated[
        bool, typer.Option("--shared", help="Also a lineage for the tables that tenants share.")
    ] = False,
    dry_run: DryRunFlag = False,
) -> None:
    """Write alembic.ini, alembic/env.py and tenantmig.toml into a project; never overwrites."""
    if dry_run:
        for name in scaffold_files(is_shared=shared):
            say(f"would write {folder / name}")
        return
    for path in write_scaffold(folder, is_shared=shared):
        say(f"wrote {path}")
    say(
        "Next: put the database's URL into alembic.ini (or TENANTMIG_DATABASE_URL), write a first"
        " revision with `tenantmig revision -m ...`, then `tenantmig onboard NAME`."
    )

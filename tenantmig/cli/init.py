"""init: Alembic's environment for tenants, written into a project or shown as a diff."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tenantmig.cli.invocation import Invocation
from tenantmig.cli.options import DryRunFlag
from tenantmig.cli.printing import say, say_lines
from tenantmig.errors import ScaffoldError
from tenantmig.history.scaffold import scaffold_files, write_scaffold

HAS_ALEMBIC = (
    "{folder} already has an Alembic environment; nothing was written. `tenantmig init --adapt` "
    "shows as a diff what its env.py must change, and writes only the files that are "
    "missing."
)


def init(
    ctx: typer.Context,
    folder: Annotated[
        Path, typer.Argument(metavar="[DIR]", help="The folder of the project.")
    ] = Path(),
    shared: Annotated[
        bool,
        typer.Option("--shared", help="Also write a lineage for the tables that tenants share."),
    ] = False,
    adapt: Annotated[
        bool,
        typer.Option(
            "--adapt", help="Print as a diff what the env.py must change; write missing files."
        ),
    ] = False,
    dry_run: DryRunFlag = False,
) -> None:
    """Write alembic.ini, tenantmig.toml and Alembic's files into a project; overwrite none."""
    from tenantmig.history.adaptation.project import has_alembic

    ini = ctx.ensure_object(Invocation).config
    if adapt:
        _adapt(folder, ini, is_shared=shared, dry_run=dry_run)
        return
    if has_alembic(folder, ini):
        raise ScaffoldError(HAS_ALEMBIC.format(folder=folder.absolute()))
    if dry_run:
        for name in scaffold_files(is_shared=shared):
            say(f"would write {folder / name}")
        return
    for path in write_scaffold(folder, is_shared=shared):
        say(f"wrote {path}")
    say(
        "Next: set the database URL in alembic.ini (or in TENANTMIG_DATABASE_URL). Then "
        "write a first revision with `tenantmig revision -m ...`, and create a tenant with "
        "`tenantmig onboard NAME`."
    )


def _adapt(folder: Path, ini: Path, *, is_shared: bool, dry_run: bool) -> None:
    """Print the diff on stdout, so that `| git apply` takes it, and all else on stderr."""
    from tenantmig.history.adaptation.project import adapt_project, write_missing

    found = adapt_project(folder, ini, is_shared=is_shared)
    if found.is_fit:
        say("Nothing to change: env.py is ready for tenants, and no file is missing.")
        return
    for path in found.missing if dry_run else write_missing(found):
        say(f"{'would write' if dry_run else 'wrote'} {path}", is_error=True)
    for note in found.notes:
        say(note, is_error=True)
    if found.diff:
        say_lines(found.diff.rstrip("\n"))
        say(
            "Read the diff and apply it, for example with `tenantmig init --adapt | git "
            "apply`. Then run: tenantmig status",
            is_error=True,
        )

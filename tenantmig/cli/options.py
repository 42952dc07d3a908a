"""Single options that several commands take."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tenantmig.domain.lineage import Lineage

JsonFlag = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]
DryRunFlag = Annotated[
    bool, typer.Option("--dry-run", help="Show what would be done and change nothing.")
]
YesFlag = Annotated[
    bool,
    typer.Option(
        "--yes",
        help="Do not ask for confirmation. Needed with --json, or if stdin is not a terminal.",
    ),
]


XFlag = Annotated[
    list[str] | None,
    typer.Option(
        "-x",
        metavar="KEY=VALUE",
        help="Pass this to env.py and scripts, as Alembic's -x does. May be repeated.",
    ),
]


SkipIrreversibleFlag = Annotated[
    bool,
    typer.Option(
        "--skip-irreversible",
        help="Leave tenants as they are if their downgrade needs an irreversible revision.",
    ),
]


BackupFlag = Annotated[
    Path | None,
    typer.Option(
        "--backup",
        metavar="DIR",
        help="Dump each tenant schema into this folder before it is changed.",
    ),
]


NoPoolFlag = Annotated[
    bool,
    typer.Option("--no-pool", help="Take no schema from the pool, and do not refill it."),
]


AllowEmptyFlag = Annotated[
    bool | None,
    typer.Option("--allow-empty", help="Do not refuse a run when the fleet has no tenants."),
]


LineageFlag = Annotated[
    Lineage | None,
    typer.Option(
        "--lineage",
        help="Use only this lineage: the tenants' own tables, or the tables they share.",
    ),
]

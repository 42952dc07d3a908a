"""The options of a run: how it is carried out, in which order, and when it stops."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Annotated

import typer

from tenantmig.cli.options import XFlag


@dataclass
class RolloutFlags:
    """How a run is carried out."""

    parallel: Annotated[
        str | None,
        typer.Option(
            "--parallel",
            "-p",
            metavar="N|auto",
            help="Work on at most this many tenants at once [auto].",
        ),
    ] = None
    attempts: Annotated[
        int | None,
        typer.Option(
            "--attempts",
            help="Tries on a tenant before it counts as failed [4].",
            min=1,
        ),
    ] = None
    lock_timeout: Annotated[
        str | None,
        typer.Option(
            "--lock-timeout", metavar="2s", help="Longest wait for locks in a transaction [2s]."
        ),
    ] = None
    statement_timeout: Annotated[
        str | None,
        typer.Option(
            "--statement-timeout", metavar="15min", help="Longest time for one statement [15min]."
        ),
    ] = None
    deadline: Annotated[
        str | None,
        typer.Option(
            "--deadline",
            metavar="1h",
            help="Longest time for the run; then nothing more is started, and what runs is"
            " cancelled.",
        ),
    ] = None
    engine: Annotated[
        str | None,
        typer.Option(
            "--engine",
            metavar="auto|alembic|replay",
            help="The engine that runs the revisions [auto].",
        ),
    ] = None

    x: XFlag = None

    def settings(self) -> dict[str, object]:
        """Return the flags that were given, by the name of their setting."""
        return {f.name: getattr(self, f.name) for f in fields(self)} | {"x": self.x or None}


@dataclass
class WaveFlags:
    """In which order a run goes over its tenants, and when it stops."""

    canary: Annotated[
        str | None,
        typer.Option(
            "--canary",
            metavar="N|NAME,...",
            help="Tenants that go first: how many, or their names [1]. 0 means none.",
        ),
    ] = None
    wave: Annotated[
        int | None,
        typer.Option("--wave", help="Tenants in each wave after the canary [all].", min=1),
    ] = None
    max_failures: Annotated[
        str | None,
        typer.Option(
            "--max-failures",
            metavar="N|P%",
            help="Stop the run when more tenants than this have failed [5%].",
        ),
    ] = None
    gate: Annotated[
        str | None,
        typer.Option(
            "--gate",
            metavar="CMD",
            help="Run this command between waves; stop the run unless it exits with 0.",
        ),
    ] = None

    def settings(self) -> dict[str, object]:
        """Return the flags that were given, by the name of their setting."""
        return {f.name: getattr(self, f.name) for f in fields(self)}

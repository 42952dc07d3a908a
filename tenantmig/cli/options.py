"""Options that several commands share, as groups that a command takes as one parameter."""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tenantmig.domain.lineage import Lineage
from tenantmig.domain.tenant import EVERYONE, Selection
from tenantmig.errors import SelectionError

if TYPE_CHECKING:
    from tenantmig.fleet.fleet import Fleet


JsonFlag = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]
DryRunFlag = Annotated[
    bool, typer.Option("--dry-run", help="Show what would be done and change nothing.")
]
YesFlag = Annotated[bool, typer.Option("--yes", help="Do not ask; needed where nobody can answer.")]


def parse_labels(labels: list[str] | None) -> dict[str, str]:
    """Read `key=value` words.

    Raises:
        SelectionError: one of them is not of that form.
    """
    pairs = [word.partition("=") for word in labels or []]
    for key, equals, _ in pairs:
        if not key or not equals:
            raise SelectionError("Write a label as key=value.")
    return {key: value for key, _, value in pairs}


@dataclass
class SelectionFlags:
    """Which tenants a command is about."""

    everyone: Annotated[bool, typer.Option("--all", help="All active tenants.")] = False
    tenant: Annotated[
        list[str] | None,
        typer.Option("--tenant", "-t", metavar="NAME", help="This tenant; * is a wildcard."),
    ] = None
    skip: Annotated[
        list[str] | None, typer.Option("--skip", metavar="NAME", help="Not this tenant.")
    ] = None
    label: Annotated[
        list[str] | None,
        typer.Option("--label", metavar="K=V", help="Tenants with this label."),
    ] = None
    from_file: Annotated[
        Path | None, typer.Option("--from-file", metavar="FILE", help="Tenants of a file.")
    ] = None
    failed_in: Annotated[
        int | None,
        typer.Option("--failed-in", metavar="RUN", help="Tenants a run did not bring along."),
    ] = None

    @property
    def one_name(self) -> str | None:
        """The name of the one tenant that is named, if nothing else says who is meant."""
        names = self.tenant or []
        is_more = self.everyone or self.skip or self.label or self.from_file
        is_one = len(names) == 1 and not is_more and self.failed_in is None
        return names[0] if is_one else None

    def selection(
        self,
        fleet: Fleet,
        default: Selection | None = EVERYONE,
        lineage: Lineage | None = None,
    ) -> Selection:
        """Return the selection; `default` stands for none given, None refuses that.

        In the shared lineage there is nothing to select.

        Raises:
            SelectionError: nothing was selected and the command needs it, or a file names nobody.
        """
        if lineage is Lineage.SHARED:
            self._refuse_any()
            return EVERYONE
        names = list(self.tenant or [])
        if self.from_file is not None:
            from tenantmig.tenants.discovery import read_tenant_file

            listed = [tenant.name for tenant in read_tenant_file(self.from_file)]
            if not listed:
                raise SelectionError(f"The file {self.from_file} names no tenant.")
            names += listed
        if self.failed_in is not None:
            names += fleet.failed_in(self.failed_in).names
        found = Selection(
            is_all=self.everyone,
            names=tuple(names),
            skip=tuple(self.skip or ()),
            labels=parse_labels(self.label),
        )
        if not found.is_empty:
            return found
        if default is None:
            raise SelectionError
        return Selection(is_all=True, skip=found.skip)

    def _refuse_any(self) -> None:
        if any(getattr(self, field.name) not in (None, False) for field in fields(self)):
            raise SelectionError(
                "The shared lineage has no tenants to select; leave out these options."
            )


XFlag = Annotated[
    list[str] | None,
    typer.Option("-x", metavar="KEY=VALUE", help="For env.py and scripts, as in Alembic."),
]


@dataclass
class RolloutFlags:
    """How a run is carried out."""

    parallel: Annotated[
        str | None,
        typer.Option("--parallel", "-p", metavar="N|auto", help="Tenants at once, at most [auto]."),
    ] = None
    attempts: Annotated[
        int | None, typer.Option("--attempts", help="Tries on a tenant.", min=1)
    ] = None
    lock_timeout: Annotated[
        str | None,
        typer.Option("--lock-timeout", metavar="2s", help="Longest wait for locks."),
    ] = None
    statement_timeout: Annotated[
        str | None,
        typer.Option("--statement-timeout", metavar="15min", help="Longest statement."),
    ] = None
    deadline: Annotated[
        str | None,
        typer.Option("--deadline", metavar="1h", help="Longest run; then it is cancelled."),
    ] = None
    engine: Annotated[
        str | None,
        typer.Option(
            "--engine", metavar="auto|alembic|replay", help="What runs the revisions [auto]."
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
        typer.Option("--canary", metavar="N|NAME,...", help="Who goes first [1]; 0 is nobody."),
    ] = None
    wave: Annotated[
        int | None, typer.Option("--wave", help="Tenants in each wave after that.", min=1)
    ] = None
    max_failures: Annotated[
        str | None,
        typer.Option("--max-failures", metavar="N|P%", help="Stop when more have failed [5%]."),
    ] = None
    gate: Annotated[
        str | None,
        typer.Option("--gate", metavar="CMD", help="Asked between waves; not 0 stops the run."),
    ] = None

    def settings(self) -> dict[str, object]:
        """Return the flags that were given, by the name of their setting."""
        return {f.name: getattr(self, f.name) for f in fields(self)}


SkipIrreversibleFlag = Annotated[
    bool,
    typer.Option(
        "--skip-irreversible", help="Leave tenants whose way back passes an irreversible revision."
    ),
]


BackupFlag = Annotated[
    Path | None,
    typer.Option("--backup", metavar="DIR", help="Dump each tenant schema there first."),
]


AllowEmptyFlag = Annotated[
    bool | None,
    typer.Option("--allow-empty", help="Be content with a fleet without tenants."),
]


LineageFlag = Annotated[
    Lineage | None, typer.Option("--lineage", help="Of the tenants, or of the shared tables.")
]

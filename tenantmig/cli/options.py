"""Options that several commands share, as groups that a command takes as one parameter."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from dataclasses import MISSING, dataclass, fields, is_dataclass
from pathlib import Path
from typing import Annotated, Any, get_type_hints

import typer

from tenantmig.domain.lineage import Lineage
from tenantmig.domain.tenant import EVERYONE, Selection
from tenantmig.errors import SelectionError
from tenantmig.fleet.fleet import Fleet
from tenantmig.settings import Settings, load_settings
from tenantmig.tenants.discovery import read_tenant_file


@dataclass
class Invocation:
    """One call of the command: where its settings are, and which secrets it must not tell."""

    config: Path = Path("alembic.ini")
    settings: Settings | None = None
    found: dict[str, object] | None = None
    """What `--json` tells beside the error where the command is cut off after this."""

    @property
    def secrets(self) -> tuple[str, ...]:
        """What must not be told now: a password command gives a new one at every connect."""
        return self.settings.secrets if self.settings else ()


JsonFlag = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]
DryRunFlag = Annotated[
    bool, typer.Option("--dry-run", help="Show what would be done and change nothing.")
]
YesFlag = Annotated[bool, typer.Option("--yes", help="Do not ask; needed where nobody can answer.")]


def takes(*groups: type) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Let a command take dataclasses of options: their fields become the command's options."""

    def decorate(command: Callable[..., Any]) -> Callable[..., Any]:
        hints = get_type_hints(command, include_extras=True)
        own = inspect.signature(command).parameters.values()
        kept = [p.replace(annotation=hints[p.name]) for p in own if hints[p.name] not in groups]
        named = {hints[p.name]: p.name for p in own if hints[p.name] in groups}
        shared = [parameter for group in groups for parameter in _parameters(group)]

        @functools.wraps(command)
        def with_groups(**given: Any) -> Any:
            for group in groups:
                members = {field.name: given.pop(field.name) for field in fields(group)}
                given[named[group]] = group(**members)
            return command(**given)

        signature = inspect.Signature([*kept, *shared])
        with_groups.__signature__ = signature  # type: ignore[attr-defined]
        with_groups.__annotations__ = {p.name: p.annotation for p in signature.parameters.values()}
        return with_groups

    return decorate


def _parameters(group: type) -> list[inspect.Parameter]:
    assert is_dataclass(group)
    hints = get_type_hints(group, include_extras=True)
    return [
        inspect.Parameter(
            field.name,
            inspect.Parameter.KEYWORD_ONLY,
            default=None if field.default is MISSING else field.default,
            annotation=hints[field.name],
        )
        for field in fields(group)
    ]


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


def open_fleet(ctx: typer.Context, **flags: object) -> Fleet:
    """Open the fleet of the `--config` before the command, with a command's flags as settings."""
    invocation = ctx.ensure_object(Invocation)
    settings = load_settings(config=invocation.config, **flags)
    invocation.settings = settings
    return Fleet(settings)

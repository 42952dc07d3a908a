"""The options that select tenants."""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tenantmig.cli.completion.names import tenant_names
from tenantmig.domain.lineage import Lineage
from tenantmig.domain.tenant import EVERYONE, Selection
from tenantmig.errors import SelectionError

if TYPE_CHECKING:
    from tenantmig.fleet.fleet import Fleet


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

    everyone: Annotated[bool, typer.Option("--all", help="Select all active tenants.")] = False
    tenant: Annotated[
        list[str] | None,
        typer.Option(
            "--tenant",
            "-t",
            metavar="NAME",
            autocompletion=tenant_names,
            help="Select this tenant; * is a wildcard. May be repeated.",
        ),
    ] = None
    skip: Annotated[
        list[str] | None,
        typer.Option(
            "--skip",
            metavar="NAME",
            autocompletion=tenant_names,
            help="Leave this tenant out; * is a wildcard. May be repeated.",
        ),
    ] = None
    label: Annotated[
        list[str] | None,
        typer.Option(
            "--label", metavar="K=V", help="Select tenants with this label. May be repeated."
        ),
    ] = None
    from_file: Annotated[
        Path | None,
        typer.Option(
            "--from-file", metavar="FILE", help="Select the tenants that this file lists."
        ),
    ] = None
    failed_in: Annotated[
        int | None,
        typer.Option(
            "--failed-in",
            metavar="RUN",
            help="Select tenants that did not reach the target of this run.",
        ),
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

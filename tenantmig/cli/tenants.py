"""tenants list, suspend, activate, label: the registry."""

from __future__ import annotations

from typing import Annotated

import typer

from tenantmig.cli.options import (
    DryRunFlag,
    JsonFlag,
    SelectionFlags,
    open_fleet,
    parse_labels,
    takes,
)
from tenantmig.cli.render import print_json, print_tenants, tenant_json
from tenantmig.errors import SelectionError
from tenantmig.tenant import Selection, Tenant, TenantState

app = typer.Typer(no_args_is_help=True, help="The registry of tenants.")
Names = Annotated[list[str], typer.Argument(metavar="NAME...")]


@app.command("list")
@takes(SelectionFlags)
def list_tenants(ctx: typer.Context, selected: SelectionFlags, json: JsonFlag = False) -> None:
    """List the tenants of the source, whatever their state, or the selected ones."""
    fleet = open_fleet(ctx)
    selection = selected.selection(fleet)
    is_default = selection == Selection(is_all=True) and not selected.everyone
    _print(fleet.tenants(None if is_default else selection), json=json)


@app.command()
def suspend(
    ctx: typer.Context, names: Names, dry_run: DryRunFlag = False, json: JsonFlag = False
) -> None:
    """Keep tenants out of rollouts until they are activated."""
    _set_state(ctx, names, TenantState.SUSPENDED, dry_run=dry_run, json=json)


@app.command()
def activate(
    ctx: typer.Context, names: Names, dry_run: DryRunFlag = False, json: JsonFlag = False
) -> None:
    """Take suspended tenants into rollouts again."""
    _set_state(ctx, names, TenantState.ACTIVE, dry_run=dry_run, json=json)


@app.command()
def label(
    ctx: typer.Context,
    names: Names,
    put: Annotated[
        list[str] | None, typer.Option("--label", metavar="K=V", help="Put this label on.")
    ] = None,
    remove: Annotated[
        list[str] | None, typer.Option("--remove", metavar="K", help="Take this label off.")
    ] = None,
    dry_run: DryRunFlag = False,
    json: JsonFlag = False,
) -> None:
    """Put labels on tenants, or take them off."""
    labels, removed = parse_labels(put), tuple(remove or ())
    if not labels and not removed:
        raise SelectionError("Say which label: --label key=value, or --remove key.")
    fleet, selection = open_fleet(ctx), Selection(names=tuple(names), has_wildcards=False)
    if dry_run:
        _print(fleet.tenants(selection), json=json)
    else:
        _print(fleet.set_labels(selection, labels, removed), json=json)


def _set_state(
    ctx: typer.Context, names: list[str], state: TenantState, *, dry_run: bool, json: bool
) -> None:
    fleet, selection = open_fleet(ctx), Selection(names=tuple(names), has_wildcards=False)
    tenants = fleet.tenants(selection) if dry_run else fleet.set_state(selection, state)
    _print(tenants, json=json)


def _print(tenants: list[Tenant], *, json: bool) -> None:
    if json:
        print_json({"tenants": [tenant_json(tenant) for tenant in tenants]})
    else:
        print_tenants(tenants)

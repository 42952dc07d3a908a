"""tenants list, suspend, activate, label, adopt: the registry."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tenantmig.cli.commands import Commands
from tenantmig.cli.completion.names import revisions, tenant_names
from tenantmig.cli.drift import difference_json, print_differences
from tenantmig.cli.exits import INCOMPLETE, OK
from tenantmig.cli.invocation import open_fleet
from tenantmig.cli.option_groups import takes
from tenantmig.cli.options import DryRunFlag, JsonFlag
from tenantmig.cli.printing import console, print_json, table
from tenantmig.cli.selection import SelectionFlags, parse_labels
from tenantmig.domain.tenant import Selection, Tenant, TenantState
from tenantmig.errors import SelectionError

if TYPE_CHECKING:
    from tenantmig.fleet.adopted import Adopted

SHOWN = 10  # revisions that may write rows; --json has all

app = typer.Typer(
    cls=Commands,
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    help="List tenants, change their state or labels, and adopt existing schemas.",
)
Names = Annotated[
    list[str],
    typer.Argument(metavar="NAME...", autocompletion=tenant_names, help="Names of tenants."),
]


@app.command("list")
@takes(SelectionFlags)
def list_tenants(ctx: typer.Context, selected: SelectionFlags, json: JsonFlag = False) -> None:
    """List all tenants of the source in any state, or only those you select."""
    fleet = open_fleet(ctx)
    selection = selected.selection(fleet)
    is_default = selection == Selection(is_all=True) and not selected.everyone
    _print(fleet.tenants(None if is_default else selection), json=json)


@app.command()
def suspend(
    ctx: typer.Context, names: Names, dry_run: DryRunFlag = False, json: JsonFlag = False
) -> None:
    """Leave tenants out of rollouts until you activate them again."""
    _set_state(ctx, names, TenantState.SUSPENDED, dry_run=dry_run, json=json)


@app.command()
def activate(
    ctx: typer.Context, names: Names, dry_run: DryRunFlag = False, json: JsonFlag = False
) -> None:
    """Include suspended tenants in rollouts again."""
    _set_state(ctx, names, TenantState.ACTIVE, dry_run=dry_run, json=json)


@app.command()
def label(
    ctx: typer.Context,
    names: Names,
    put: Annotated[
        list[str] | None,
        typer.Option("--label", metavar="K=V", help="Add this label. May be repeated."),
    ] = None,
    remove: Annotated[
        list[str] | None,
        typer.Option(
            "--remove", metavar="K", help="Remove the label with this key. May be repeated."
        ),
    ] = None,
    dry_run: DryRunFlag = False,
    json: JsonFlag = False,
) -> None:
    """Add labels to tenants, or remove them."""
    labels, removed = parse_labels(put), tuple(remove or ())
    if not labels and not removed:
        raise SelectionError("Name a label: --label key=value, or --remove key.")
    fleet, selection = open_fleet(ctx), Selection(names=tuple(names), has_wildcards=False)
    if dry_run:
        _print(fleet.tenants(selection), json=json)
    else:
        _print(fleet.set_labels(selection, labels, removed), json=json)


@app.command()
def adopt(
    ctx: typer.Context,
    schemas: Annotated[list[str], typer.Argument(metavar="SCHEMA...", help="Names of schemas.")],
    label: Annotated[
        list[str] | None,
        typer.Option(
            "--label", metavar="K=V", help="Give each tenant this label. May be repeated."
        ),
    ] = None,
    at: Annotated[
        str | None,
        typer.Option(
            "--at",
            metavar="REV",
            autocompletion=revisions,
            help="Use this when you already know the revision of schemas without a version table.",
        ),
    ] = None,
    dry_run: DryRunFlag = False,
    json: JsonFlag = False,
) -> None:
    """Adopt existing schemas as tenants, each at its current revision."""
    labels = parse_labels(label)
    found = open_fleet(ctx).adopt(schemas, labels, at=at, is_dry_run=dry_run)
    if json:
        print_json({"tenants": [_adopted_json(one) for one in found]})
    else:
        _print_adopted(found, done="would be adopted" if dry_run else "adopted")
    raise typer.Exit(OK if all(one.is_adopted for one in found) else INCOMPLETE)


def _adopted_json(one: Adopted) -> dict[str, Any]:
    return {
        "tenant": one.tenant.name,
        "schema": one.tenant.schema,
        "adopted": one.is_adopted,
        "revision": one.revision,
        "evidence": one.evidence.value if one.evidence else None,
        "candidates": list(one.candidates),
        "nearest": one.nearest,
        "differences": [difference_json(difference) for difference in one.differences],
        "problem": one.problem,
        "unproved": one.unproved,
        "row_writers": list(one.row_writers),
    }


def _print_adopted(found: Sequence[Adopted], done: str) -> None:
    out = console()
    for one in found:
        if one.is_adopted:
            how = one.evidence.value.replace("_", " ") if one.evidence else ""
            out.print(f"{one.tenant.name}: {done} at {one.revision or 'base'} ({how})")
            if one.unproved:
                out.print(f"  at the revision in its version table; {one.unproved}")
            if one.is_placed:
                out.print(f"  {_rows_told(one.row_writers)}")
            if one.differences:
                out.print("  but its catalog is not what the history creates there:")
        else:
            out.print(f"{one.tenant.name}: not adopted: {one.problem}")
        print_differences(one.differences, hint="--json has all")


def _rows_told(writers: Sequence[str]) -> str:
    if not writers:
        return "rows were not compared; no revision up to there is known to write any"
    shown = ", ".join(writers[:SHOWN]) + (", …" if len(writers) > SHOWN else "")
    return f"rows were not compared; what these revisions write may be missing: {shown}"


def _set_state(
    ctx: typer.Context, names: list[str], state: TenantState, *, dry_run: bool, json: bool
) -> None:
    fleet, selection = open_fleet(ctx), Selection(names=tuple(names), has_wildcards=False)
    tenants = fleet.tenants(selection) if dry_run else fleet.set_state(selection, state)
    _print(tenants, json=json)


def _print(tenants: list[Tenant], *, json: bool) -> None:
    if json:
        print_json({"tenants": [_tenant_json(tenant) for tenant in tenants]})
    else:
        _print_tenants(tenants)


def _tenant_json(tenant: Tenant) -> dict[str, Any]:
    """Return a tenant as JSON."""
    return {
        "tenant": tenant.name,
        "schema": tenant.schema,
        "database": tenant.database,
        "state": tenant.state.value,
        "labels": dict(tenant.labels),
        "problem": tenant.problem,
    }


def _print_tenants(tenants: Sequence[Tenant]) -> None:
    """Print tenants with their state and labels."""
    rows = [
        (
            t.name,
            t.schema,
            "unusable" if t.problem else t.state.value,
            t.problem or " ".join(f"{k}={v}" for k, v in t.labels.items()),
        )
        for t in tenants
    ]
    console().print(table(("tenant", "schema", "state", "labels"), rows) if rows else "No tenants.")

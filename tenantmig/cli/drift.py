"""drift: which tenants are not what the history makes, and how they differ."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tenantmig.cli.exits import FOUND, INCOMPLETE, OK
from tenantmig.cli.invocation import open_fleet
from tenantmig.cli.option_groups import takes
from tenantmig.cli.options import JsonFlag
from tenantmig.cli.printing import console, print_json, say_lines, say_sql, table
from tenantmig.cli.render import SHOWN
from tenantmig.cli.selection import SelectionFlags
from tenantmig.domain.counting import counted
from tenantmig.errors import SettingsError

if TYPE_CHECKING:
    from tenantmig.drift.drift import Difference, DriftGroup, FleetDrift
    from tenantmig.fleet.fleet import Fleet

FEW = 5  # names of tenants in a line


@takes(SelectionFlags)
def drift(
    ctx: typer.Context,
    selected: SelectionFlags,
    with_privileges: Annotated[
        bool, typer.Option("--with-privileges", help="Also compare owners and grants.")
    ] = False,
    sql: Annotated[
        bool,
        typer.Option(
            "--sql", help="Print statements that would remove the differences, as a proposal."
        ),
    ] = False,
    json: JsonFlag = False,
) -> None:
    """Show how tenants differ from what the history creates at their revision.

    Only the definitions in the schema are compared, not the rows.
    """
    if sql and json:
        raise SettingsError("--sql writes SQL and --json writes JSON; choose one of them.")
    fleet = open_fleet(ctx)
    found = fleet.drift(selected.selection(fleet), with_privileges=with_privileges)
    if sql:
        _print_proposal(fleet, found)
    elif json:
        print_json(drift_json(found))
    else:
        _print(found, everything=bool(selected.tenant))
    raise typer.Exit(_exit_code(found))


def _exit_code(found: FleetDrift) -> int:
    if found.drifted:
        return FOUND
    return INCOMPLETE if found.problems else OK


def drift_json(found: FleetDrift) -> dict[str, Any]:
    """Return the drift of a fleet as JSON."""
    from tenantmig.drift.drift import told

    return {
        "tenants": [
            {
                "tenant": one.tenant.name,
                "schema": one.tenant.schema,
                "database": one.tenant.database,
                "revision": one.revision,
                "drifted": one.has_drifted,
                "fingerprint": one.fingerprint,
                "problem": one.problem,
            }
            for one in found.tenants
        ],
        "groups": [
            {
                "revision": group.revision,
                "fingerprint": group.fingerprint,
                "is_reference": not group.differences,
                "tenants": [tenant.name for tenant in group.tenants],
            }
            for group in found.groups
        ],
        "left_out": list(found.left_out),
        "differences": [
            {"revision": group.revision, "fingerprint": group.fingerprint} | difference_json(one)
            for group in found.drifted
            for one in told(group.differences)
        ],
    }


def difference_json(one: Difference) -> dict[str, Any]:
    """Return one difference as JSON."""
    return {
        "kind": one.kind,
        "object": one.name,
        "change": one.change.value,
        "reference": None if one.reference is None else one.reference.text,
        "tenant": None if one.tenant is None else one.tenant.text,
    }


def _print(found: FleetDrift, *, everything: bool) -> None:
    out, most = console(), None if everything else SHOWN
    for revision in dict.fromkeys(group.revision for group in found.groups):
        groups = [group for group in found.groups if group.revision == revision]
        equal = sum(len(group.tenants) for group in groups if not group.differences)
        differing = [group for group in groups if group.differences]
        others = sum(len(group.tenants) for group in differing)
        out.print(f"Reference {revision}: {counted(equal, 'tenant')} equal, {others:,} differ")
        for group in differing[:most]:
            _print_group(group, most)
        _print_rest(len(differing), most, "groups")
    if found.problems:
        rows = [(one.tenant.name, one.revision or "base", one.problem) for one in found.problems]
        out.print(f"{counted(len(rows), 'tenant')} could not be compared:")
        out.print(table(("tenant", "revision", "problem"), rows[:most]))
        _print_rest(len(rows), most, "tenants")
    if found.left_out:
        out.print(f"Not compared: {', '.join(found.left_out)}, which tenantmig does not know")
    if not found.tenants:
        out.print(found.nobody or "No tenants.")


def _print_group(group: DriftGroup, most: int | None) -> None:
    from tenantmig.drift.drift import told

    names = [tenant.name for tenant in group.tenants]
    more = f" and {len(names) - FEW:,} more" if len(names) > FEW else ""
    console().print(f"{', '.join(names[:FEW])}{more} (fingerprint {group.fingerprint}):")
    print_differences(told(group.differences), most, hint=f"tenantmig drift -t {names[0]}")


def print_differences(
    differences: Sequence[Difference], most: int | None = SHOWN, hint: str = ""
) -> None:
    """Print differences object by object, with both definitions."""
    out = console()
    for one in differences[:most]:
        out.print(f"  {one.kind} {one.name}: {one.change}")
        for side, side_of in (("reference", one.reference), ("tenant", one.tenant)):
            if side_of is not None and side_of.text:
                text = side_of.text.replace("\n", "\n             ")
                say_lines(f"    {side + ':':<10} {text}")
    _print_rest(len(differences), most, "differences", hint)


def _print_rest(count: int, most: int | None, what: str, hint: str = "") -> None:
    if most is not None and count > most:
        end = f": {hint}" if hint else ": --json has all"
        console().print(f"  ... and {count - most:,} more {what}{end}")


def _print_proposal(fleet: Fleet, found: FleetDrift) -> None:
    from tenantmig.drift.mending import propose

    out = console()
    for group in found.drifted:
        for tenant in group.tenants:
            path = fleet.settings.extension_schemas
            say_sql("\n".join(propose(tenant, group.differences, path)) + "\n")
    for one in found.problems:
        problem = " ".join(f"{one.tenant.name}: {one.problem}".split())
        out.print(f"-- not compared: {problem}")
    if not found.drifted:
        out.print("-- no drift was found")

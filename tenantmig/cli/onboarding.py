"""onboard, offboard, restore: the commands by which tenants come and go."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tenantmig.cli.invocation import open_fleet
from tenantmig.cli.option_groups import takes
from tenantmig.cli.options import (
    BackupFlag,
    DryRunFlag,
    JsonFlag,
    RolloutFlags,
    YesFlag,
    parse_labels,
)
from tenantmig.cli.progress import reported
from tenantmig.cli.rollouts import finish, show_plan
from tenantmig.domain.plan import RunKind
from tenantmig.domain.tenant import Selection, Tenant
from tenantmig.errors import SelectionError
from tenantmig.fleet.run_options import RunOptions

Names = Annotated[list[str] | None, typer.Argument(metavar="NAME...")]


@takes(RolloutFlags)
def onboard(
    ctx: typer.Context,
    rollout: RolloutFlags,
    names: Names = None,
    schema: Annotated[
        str | None,
        typer.Option("--schema", help="The schema, if neither the source's nor the name."),
    ] = None,
    label: Annotated[
        list[str] | None, typer.Option("--label", metavar="K=V", help="A label for each.")
    ] = None,
    from_file: Annotated[
        Path | None, typer.Option("--from-file", metavar="FILE", help="Lines of name[,schema].")
    ] = None,
    to: Annotated[str, typer.Option("--to", metavar="REV", help="The revision.")] = "head",
    dry_run: DryRunFlag = False,
    json: JsonFlag = False,
) -> None:
    """Create each tenant schema at head and register it; all or nothing per tenant."""
    born = [Tenant(name, "") for name in names or []]
    if schema is not None:
        if len(born) != 1 or from_file:
            raise SelectionError("--schema needs exactly one tenant name.")
        if not schema:
            raise SelectionError("--schema is empty; leave it out, or name a schema.")
        born = [Tenant(born[0].name, schema)]
    if from_file is not None:
        from tenantmig.tenants.discovery import read_tenant_file

        born += read_tenant_file(from_file, is_schema_open=True)
    labels = parse_labels(label)
    born = [Tenant(tenant.name, tenant.schema, labels=labels) for tenant in born]
    fleet = open_fleet(ctx, **rollout.settings())
    if dry_run:
        show_plan(fleet.plan_onboarding(born, to), json=json)
        return
    with reported() as options:
        report = fleet.onboard(born, to, options)
    finish(report, json=json)


def offboard(
    ctx: typer.Context,
    names: Annotated[list[str], typer.Argument(metavar="NAME...")],
    backup: BackupFlag = None,
    dry_run: DryRunFlag = False,
    yes: YesFlag = False,
    json: JsonFlag = False,
) -> None:
    """Drop tenant schemas, with all they hold, and their registrations."""
    fleet = open_fleet(ctx)
    selection = Selection(names=tuple(names), has_wildcards=False)
    if dry_run:
        show_plan(fleet.plan("base", selection, RunKind.OFFBOARD), json=json)
        return
    if not yes:
        raise SelectionError("offboard drops all data of these tenants; pass --yes to confirm.")
    with reported(RunOptions(backup=backup)) as options:
        report = fleet.offboard(selection, options)
    finish(report, json=json)


def restore(
    ctx: typer.Context,
    name: Annotated[str, typer.Argument(metavar="NAME")],
    backup: Annotated[Path, typer.Argument(metavar="FILE")],
    trust_file: Annotated[
        bool,
        typer.Option("--trust-file", help="Take a file that nothing proves to be your backup."),
    ] = False,
    role: Annotated[
        str | None,
        typer.Option("--role", metavar="ROLE", help="Run the tenant's own code as this role."),
    ] = None,
    dry_run: DryRunFlag = False,
    yes: YesFlag = False,
    json: JsonFlag = False,
) -> None:
    """Bring one tenant back from a file that --backup wrote; its present data are replaced."""
    fleet = open_fleet(ctx, restore_role=role)
    if dry_run:
        show_plan(fleet.plan_restore(name, backup, trust_file=trust_file), json=json)
        return
    if not yes:
        raise SelectionError("restore replaces all data of the tenant; pass --yes to confirm.")
    with reported() as options:
        report = fleet.restore(name, backup, options, trust_file=trust_file)
    finish(report, json=json)

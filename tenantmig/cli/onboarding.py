"""onboard, offboard, restore: the commands by which tenants come and go."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tenantmig.cli.completion.names import revisions, tenant_names
from tenantmig.cli.invocation import open_fleet
from tenantmig.cli.option_groups import takes
from tenantmig.cli.options import BackupFlag, DryRunFlag, JsonFlag, NoPoolFlag, YesFlag
from tenantmig.cli.pool import refill
from tenantmig.cli.progress import reported
from tenantmig.cli.rollout_options import RolloutFlags
from tenantmig.cli.rollouts import finish, show_plan
from tenantmig.cli.selection import parse_labels
from tenantmig.domain.plan import RunKind
from tenantmig.domain.tenant import Selection, Tenant
from tenantmig.errors import SelectionError
from tenantmig.fleet.run_options import RunOptions

Names = Annotated[
    list[str] | None, typer.Argument(metavar="NAME...", help="The names of the new tenants.")
]


@takes(RolloutFlags)
def onboard(
    ctx: typer.Context,
    rollout: RolloutFlags,
    names: Names = None,
    schema: Annotated[
        str | None,
        typer.Option("--schema", help="The schema [the one that the source lists, else the name]."),
    ] = None,
    label: Annotated[
        list[str] | None,
        typer.Option(
            "--label", metavar="K=V", help="Give each tenant this label. May be repeated."
        ),
    ] = None,
    from_file: Annotated[
        Path | None,
        typer.Option(
            "--from-file",
            metavar="FILE",
            help="Onboard the tenants of this file too; its lines are name[,schema].",
        ),
    ] = None,
    to: Annotated[
        str,
        typer.Option(
            "--to", metavar="REV", autocompletion=revisions, help="The revision to create them at."
        ),
    ] = "head",
    no_pool: NoPoolFlag = False,
    dry_run: DryRunFlag = False,
    json: JsonFlag = False,
) -> None:
    """Create the schema of each new tenant at head, and register the tenant.

    A tenant is created completely or not at all.
    """
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
    with reported(RunOptions(use_pool=not no_pool)) as options:
        report = fleet.onboard(born, to, options)
    if not no_pool:
        refill(fleet)
    finish(report, json=json)


def offboard(
    ctx: typer.Context,
    names: Annotated[
        list[str],
        typer.Argument(metavar="NAME...", autocompletion=tenant_names, help="The tenants to drop."),
    ],
    backup: BackupFlag = None,
    dry_run: DryRunFlag = False,
    yes: YesFlag = False,
    json: JsonFlag = False,
) -> None:
    """Drop tenant schemas with everything in them, and unregister the tenants.

    The command needs --yes. It is refused when objects outside a schema depend on it.
    """
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
    name: Annotated[
        str,
        typer.Argument(metavar="NAME", autocompletion=tenant_names, help="The tenant to restore."),
    ],
    backup: Annotated[Path, typer.Argument(metavar="FILE", help="The file that --backup wrote.")],
    trust_file: Annotated[
        bool,
        typer.Option(
            "--trust-file", help="Accept a file even if nothing proves that it is your backup."
        ),
    ] = False,
    role: Annotated[
        str | None,
        typer.Option(
            "--role",
            metavar="ROLE",
            help="Run the tenant's own code as this role [the owner of its schema].",
        ),
    ] = None,
    dry_run: DryRunFlag = False,
    yes: YesFlag = False,
    json: JsonFlag = False,
) -> None:
    """Restore one tenant from a file that --backup wrote.

    The backup replaces the tenant's present data. The command needs --yes.
    """
    fleet = open_fleet(ctx, restore_role=role)
    if dry_run:
        show_plan(fleet.plan_restore(name, backup, trust_file=trust_file), json=json)
        return
    if not yes:
        raise SelectionError("restore replaces all data of the tenant; pass --yes to confirm.")
    with reported() as options:
        report = fleet.restore(name, backup, options, trust_file=trust_file)
    finish(report, json=json)

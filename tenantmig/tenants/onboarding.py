"""Onboarding: who may be born, and what is left of one that was not. All or nothing per tenant."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from contextlib import closing, suppress
from dataclasses import replace

import psycopg

from tenantmig.domain.plan import RunKind
from tenantmig.domain.tenant import NameRules, Tenant, TenantState
from tenantmig.errors import OlderCodeError, SourceError, TenantExistsError, TenantmigError
from tenantmig.history.revisions import History
from tenantmig.ledger.ledger import Ledger
from tenantmig.postgres.connection import SessionOptions
from tenantmig.postgres.session import TenantSession
from tenantmig.postgres.tenant_extensions import home_of
from tenantmig.postgres.tenant_schema import refuse_without_create, schema_exists
from tenantmig.settings import Settings
from tenantmig.tenants.births import abandon_onboarding
from tenantmig.tenants.discovery import is_in_pattern


def check_new_tenants(
    connection: psycopg.Connection,
    tenants: Sequence[Tenant],
    fleet: Sequence[Tenant],
    rules: NameRules,
    source: str,
) -> None:
    """Refuse the whole list before anything is touched if one of its tenants cannot be born.

    A tenant whose onboarding was cut off may be onboarded again; what it left is dropped then.

    Raises:
        TenantNameError: a name or schema that the rules refuse.
        TenantExistsError: a tenant or schema that exists, also in another case of letters.
        PrivilegeError: this role may not create schemas in the database.
    """
    for tenant in tenants:
        rules.check(tenant.name)
        rules.check(tenant.schema, "tenant schema")
    _refuse_twice(tenants)
    unfinished = {t.schema for t in fleet if t.state is TenantState.ONBOARDING}
    settled = [t for t in fleet if t.state is not TenantState.ONBOARDING]
    names = {t.name.casefold() for t in settled}
    schemas = {t.schema.casefold() for t in settled} | _existing(connection, tenants, unfinished)
    begun = {t.name: t.schema for t in fleet if t.state is TenantState.ONBOARDING}
    for tenant in tenants:
        schema = begun.get(tenant.name, tenant.schema)
        if schema != tenant.schema:
            raise TenantExistsError(
                f'An onboarding of the tenant "{tenant.name}" with the schema "{schema}" '
                f"was interrupted; {_way_out(tenant, schema, source)} Nothing was touched."
            )
        if tenant.name.casefold() in names:
            raise TenantExistsError(
                f'The tenant "{tenant.name}" already exists; nothing was touched.'
            )
        if tenant.schema.casefold() in schemas:
            raise TenantExistsError(
                f'The schema "{tenant.schema}" already exists; nothing was touched. If it '
                "belongs to a tenant, add it to the source; otherwise choose another schema "
                "with --schema."
            )
    refuse_without_create(connection)


def _way_out(tenant: Tenant, begun: str, source: str) -> str:
    """Say how to go on where an onboarding was begun with another schema."""
    if source == "registry":
        return (
            "onboard it again with that schema (leave out --schema), or drop what was begun "
            "with `tenantmig offboard NAME --yes` and then onboard it."
        )
    return (
        f'list it with "{begun}" in the source {source!r} again and onboard it, or drop '
        "what was begun with `tenantmig offboard NAME --yes` and only then list it with "
        f'"{tenant.schema}".'
    )


def refuse_older_code(ledger: Ledger, history: History) -> None:
    """Refuse to onboard with a history that lacks what the fleet is being rolled to.

    Such a tenant would be born behind the fleet, and no rollout would know of it.

    Raises:
        OlderCodeError: the newest upgrade of the whole fleet has a target unknown to this code.
    """
    kind, target = ledger.fleet_target() or (RunKind.STAMP, "")
    if kind is not RunKind.UPGRADE or target in {"base", "heads"} or target[:1] == "+":
        return
    unknown = [revision for revision in target.split(",") if not history.knows(revision)]
    if unknown:
        raise OlderCodeError(
            "This code is older than the fleet: the fleet's target is revision "
            f"{unknown[0]}, which is not in this history. Deploy the newer code and onboard "
            "with it. Nothing was touched."
        )


def settle_schemas(tenants: Sequence[Tenant], fleet: Sequence[Tenant]) -> list[Tenant]:
    """Give a tenant without a schema the one that the source lists for it, else its own name.

    In the registry that is the schema of an onboarding that was cut off.
    """
    listed = {tenant.name: tenant.schema for tenant in fleet}
    return [
        tenant if tenant.schema else replace(tenant, schema=listed.get(tenant.name) or tenant.name)
        for tenant in tenants
    ]


def check_listed(
    settings: Settings, ledger: Ledger, tenants: Sequence[Tenant], fleet: Sequence[Tenant]
) -> None:
    """Refuse tenants that the source, which is not the registry, does not or would not list.

    Raises:
        SourceError: no rollout would ever reach such a tenant in this schema and database.
    """
    if settings.source == "schemas":
        for tenant in tenants:
            _check_pattern(settings, ledger, tenant)
        return
    listed, database = {tenant.name: tenant for tenant in fleet}, ledger.connection.info.dbname
    for tenant in tenants:
        row = listed.get(tenant.name)
        if row is None:
            raise SourceError(
                f'The source {settings.source!r} does not list the tenant "{tenant.name}", '
                f"so no rollout would include it; {_near(tenant.name, fleet)} Nothing was "
                "touched."
            )
        told = f'The source {settings.source!r} lists the tenant "{tenant.name}"'
        if row.database != database:
            raise SourceError(
                f'{told} in the database "{row.database}", but this is "{database}"; use '
                "the URL of that database. Nothing was touched."
            )
        if row.schema != tenant.schema:
            raise SourceError(
                f'{told} with the schema "{row.schema}", not "{tenant.schema}"; leave out '
                "--schema, or change the source. Nothing was touched."
            )


def _check_pattern(settings: Settings, ledger: Ledger, tenant: Tenant) -> None:
    if tenant.schema != tenant.name:
        raise SourceError(
            "With the source 'schemas', a tenant has the name of its schema, but "
            f'"{tenant.name}" is not "{tenant.schema}"; leave out --schema. Nothing was '
            "touched."
        )
    if not is_in_pattern(settings, ledger, tenant):
        raise SourceError(
            f"The source 'schemas' would not list the schema \"{tenant.schema}\" "
            f"(`source_pattern` is {settings.source_pattern!r}), so no rollout would "
            "include it. Nothing was touched."
        )


def _near(name: str, fleet: Sequence[Tenant]) -> str:
    """Say which tenant may be meant, or what to do."""
    for tenant in fleet:
        if tenant.schema == name:
            return f'"{name}" is the schema of the tenant "{tenant.name}": use that name.'
        if tenant.name.casefold() == name.casefold():
            return f'it lists "{tenant.name}".'
    return "add it to the source first."


def _refuse_twice(tenants: Sequence[Tenant]) -> None:
    for what in ("name", "schema"):
        counted = Counter(getattr(tenant, what).casefold() for tenant in tenants)
        twice = [value for value, times in counted.items() if times > 1]
        if twice:
            raise TenantExistsError(f'The {what} "{twice[0]}" is given twice; nothing was touched.')


def _existing(
    connection: psycopg.Connection, tenants: Sequence[Tenant], unfinished: set[str]
) -> set[str]:
    rows = connection.execute(
        "SELECT nspname FROM pg_namespace WHERE nspname = ANY(%s)",
        [[tenant.schema for tenant in tenants if tenant.schema not in unfinished]],
    )
    return {schema.casefold() for (schema,) in rows}


def undo_onboarding(options: SessionOptions, ledger: str, tenant: Tenant) -> bool:
    """Leave nothing of a tenant whose onboarding failed: no schema, no registration.

    Returns True when nothing is left. False when the tenant had become active after all, or the
    server cannot be reached now; then the registry keeps it as `onboarding`, and the next
    `onboard` of that name drops what is left first.
    """
    with suppress(TenantmigError, psycopg.Error), closing(TenantSession(options)) as session:
        session.lock(tenant.schema)
        with session.outside_transaction() as connection:
            home = home_of(options.extension_schemas)
            abandon_onboarding(connection, ledger, tenant, home)
            return not schema_exists(connection, tenant.schema)
    return False

"""Looking a tenant up by the name that a user gave to plain Alembic. Changes nothing."""

from __future__ import annotations

from tenantmig.errors import TenantNameError, UnknownTenantError
from tenantmig.ledger.ledger import Ledger
from tenantmig.postgres import embedded
from tenantmig.postgres.connection import SessionOptions, connect
from tenantmig.settings import Settings
from tenantmig.tenants.discovery import discover


def look_up(settings: Settings, name: str) -> str:
    """Return the stored schema of a tenant; one that no source lists may be a schema by itself."""
    url = embedded.resolve(settings.url)
    options = SessionOptions.of(settings, url)
    ledger = Ledger(lambda: connect(options), settings.ledger_schema)
    try:
        fleet = discover(settings, ledger)
        for tenant in fleet:
            if tenant.name == name:
                return tenant.schema
        owners = {tenant.schema: tenant.name for tenant in fleet}
        if name in owners:
            raise TenantNameError(
                f'"{name}" is the schema of the tenant "{owners[name]}"; use that name.'
            )
        found = ledger.connection.execute(
            "SELECT FROM pg_namespace WHERE nspname = %s::text", [name]
        )
        if found.rowcount == 1:
            return name
    finally:
        ledger.close()
    raise UnknownTenantError(
        f'There is no tenant and no schema called "{name}". Onboard it with `tenantmig '
        f"onboard {name}`, or name an existing schema with -x schema=SCHEMA."
    )

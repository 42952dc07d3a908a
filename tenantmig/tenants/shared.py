"""What stands for the shared lineage among tenants: its one schema."""

from __future__ import annotations

from tenantmig.domain.lineage import SHARED_NAME
from tenantmig.domain.tenant import Tenant
from tenantmig.errors import TenantSchemaMissingError
from tenantmig.ledger.ledger import Ledger
from tenantmig.postgres.tenant_schema import schema_exists


def find_shared(ledger: Ledger, schema: str) -> Tenant:
    """Return the schema of the shared lineage as a tenant.

    Raises:
        TenantSchemaMissingError: it does not exist.
    """
    if not schema_exists(ledger.connection, schema):
        raise TenantSchemaMissingError(
            f'The schema "{schema}" of the shared lineage does not exist; create it, or set'
            " `shared_schema`. Nothing was touched."
        )
    return Tenant(SHARED_NAME, schema, ledger.connection.info.dbname)

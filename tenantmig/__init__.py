"""Schema-per-tenant migrations on PostgreSQL, with Alembic."""

from tenantmig.errors import TenantmigError, irreversible

__all__ = ["TenantmigError", "irreversible"]

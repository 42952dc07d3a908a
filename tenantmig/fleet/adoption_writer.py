"""The writer of an adoption: registers one schema after the other, each as it was seen.

What a schema is and where it stands was found out before; see `adoption`.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace

import psycopg

from tenantmig.catalog.catalog import CatalogReader
from tenantmig.domain.tenant import Tenant
from tenantmig.errors import PrivilegeError, ReadBackError, TenantmigError, VersionTableError
from tenantmig.fleet.adopted import CHANGED, Adopted
from tenantmig.ledger.denial import find_denied
from tenantmig.postgres.connection import SessionOptions
from tenantmig.postgres.session import TenantSession
from tenantmig.postgres.version import Version
from tenantmig.postgres.version_table import read_versions
from tenantmig.postgres.version_writing import write_version
from tenantmig.settings import Settings
from tenantmig.tenants.registry import add_tenant


@dataclass(frozen=True, slots=True)
class AdoptionWriter:
    """Registers one schema after the other."""

    options: SessionOptions
    settings: Settings
    reader: CatalogReader

    def register(self, found: Adopted, seen: Version) -> Adopted:
        """Register a schema, and write its version table if it had none to be trusted.

        One transaction, under the tenant's advisory lock; what was seen must still be so.
        """
        try:
            self._register(found, seen)
        except TenantmigError as error:
            return replace(found, revision=None, evidence=None, problem=error.message)
        except psycopg.Error as error:
            reason = " ".join(str(error.diag.message_primary or error).split())
            return replace(found, revision=None, evidence=None, problem=reason)
        return found

    @contextmanager
    def _telling_denial(self, session: TenantSession, tenant: Tenant) -> Iterator[None]:
        """Say which GRANT is lacking where the server denies something."""
        try:
            yield
        except psycopg.errors.InsufficientPrivilege as error:
            missing = find_denied(error, session, tenant.schema, self.settings.version_table)
            raise PrivilegeError(f"{error.diag.message_primary}{missing}") from error

    def _register(self, found: Adopted, seen: Version) -> None:
        tenant, table = found.tenant, self.settings.version_table
        with closing(TenantSession(self.options)) as session:
            session.lock(tenant.schema)
            with self._telling_denial(session, tenant), session.transaction() as connection:
                now = read_versions(connection, [tenant.schema], table)[tenant.schema]
                mark = self.reader.marks([tenant.schema]).get(tenant.schema)
                if now != seen or mark != found.mark:
                    raise VersionTableError(CHANGED)
                if self.settings.source == "registry":
                    add_tenant(connection, self.settings.ledger_schema, tenant)
                if seen.is_unstamped:
                    heads = found.revision.split(",") if found.revision else []
                    write_version(connection, tenant.schema, table, heads)
                wanted = read_versions(connection, [tenant.schema], table)
            with session.outside_transaction() as connection:
                left = read_versions(connection, [tenant.schema], table)
        if left != wanted:
            raise ReadBackError(
                "it is registered, but after the COMMIT its version table is not as it was "
                "written. Find out its revision and set it with `tenantmig stamp REV -t "
                "NAME`"
            )

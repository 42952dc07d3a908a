"""A version: the rows of one tenant's version table, and why they cannot be trusted if so. Data."""

from __future__ import annotations

from dataclasses import dataclass

from tenantmig.domain.lineage import Lineage
from tenantmig.domain.plan import Heads

MISSING_SCHEMA = "the tenant schema does not exist"
REMEDY = "set the tenant's revision with `tenantmig stamp REV -t NAME`"
ADOPT = "; with another source than the registry, `tenantmig tenants adopt NAME` finds the revision"


@dataclass(frozen=True, slots=True)
class Version:
    """The rows of one version table; `problem` says why they cannot be trusted, if so.

    `is_unstamped`: there is no version table, or an empty one beside other tables.
    """

    heads: Heads = ()
    problem: str | None = None
    is_unstamped: bool = False
    is_unsafe: bool = False
    """The tenant's own role may have put something there that would run as the migrator."""
    is_forbidden: bool = False
    """This role may not read it."""

    def seen_from(self, lineage: Lineage) -> Version:
        """Return what it means for a lineage: the shared one begins at base where nothing is said.

        Its schema may well hold other tables, and Alembic does the same. A tenant's never does.
        """
        return Version() if self.is_unstamped and lineage is Lineage.SHARED else self

    @property
    def is_schema_missing(self) -> bool:
        """True when there is no such tenant schema."""
        return self.problem == MISSING_SCHEMA

    @property
    def forbids_stamp(self) -> bool:
        """True when the version table cannot be written either, or what it says is not known."""
        return self.is_schema_missing or self.is_unsafe or self.is_forbidden

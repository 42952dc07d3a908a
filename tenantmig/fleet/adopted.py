"""What was found out about a schema that is to be adopted. Data."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from tenantmig.domain.tenant import Tenant

if TYPE_CHECKING:
    from tenantmig.catalog.catalog import Mark
    from tenantmig.drift.drift import Difference

CHANGED = "it changed during the check; run adopt again"


class Evidence(StrEnum):
    """How the revision of a schema is known."""

    VERSION_TABLE = "version_table"
    CATALOG = "catalog"
    GIVEN = "given"


@dataclass(frozen=True, slots=True)
class Adopted:
    """One schema: registered at `revision` (None is base), or refused with a `problem`.

    `candidates` are the revisions whose reference it matches, `nearest` is the one with the fewest
    `differences`. A schema that is adopted by its version table or at a given revision may have
    differences too.
    """

    tenant: Tenant
    revision: str | None = None
    evidence: Evidence | None = None
    candidates: tuple[str, ...] = ()
    nearest: str | None = None
    differences: tuple[Difference, ...] = ()
    problem: str | None = None
    mark: Mark | None = None
    """The fingerprint of its catalog."""
    unproved: str | None = None
    """Why it was not compared with a reference."""
    row_writers: tuple[str, ...] = ()
    """The revisions that may write rows, if nothing shows that they were run."""

    @property
    def is_adopted(self) -> bool:
        """True when it is a tenant now, or would be without the dry run."""
        return self.problem is None

    @property
    def is_placed(self) -> bool:
        """True when nothing says that the revisions up to there were run."""
        is_told = self.evidence is Evidence.VERSION_TABLE
        return self.is_adopted and self.revision is not None and not is_told

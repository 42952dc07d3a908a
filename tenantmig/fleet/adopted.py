"""What was found out about a schema that is to be adopted. Data."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from tenantmig.catalog.catalog import Mark
from tenantmig.domain.tenant import Tenant
from tenantmig.drift.drift import Difference

CHANGED = "it changed during the check; run adopt again"


class Evidence(StrEnum):
    """What says at which revision a schema stands."""

    VERSION_TABLE = "version_table"
    CATALOG = "catalog"
    GIVEN = "given"


@dataclass(frozen=True, slots=True)
class Adopted:
    """One schema: registered at `revision` (None is base), or refused with a `problem`.

    `candidates` are the revisions whose reference it equals, `nearest` the one with the fewest
    `differences`. A schema that is adopted by its version table or at a revision that was given may
    have differences as well.
    """

    tenant: Tenant
    revision: str | None = None
    evidence: Evidence | None = None
    candidates: tuple[str, ...] = ()
    nearest: str | None = None
    differences: tuple[Difference, ...] = ()
    problem: str | None = None
    mark: Mark | None = None
    """Its catalog when it was looked at."""
    unproved: str | None = None
    """Why it was compared with nothing."""
    row_writers: tuple[str, ...] = ()
    """The revisions that may write rows, where nothing says that they were run."""

    @property
    def is_adopted(self) -> bool:
        """True when it is a tenant now, or would be if this were no dry run."""
        return self.problem is None

    @property
    def is_placed(self) -> bool:
        """True when nothing says that the revisions up to there were run."""
        is_told = self.evidence is Evidence.VERSION_TABLE
        return self.is_adopted and self.revision is not None and not is_told

"""Lineages: the history of every tenant schema, and that of the tables which all tenants share."""

from __future__ import annotations

from enum import StrEnum


class Lineage(StrEnum):
    """A history with a version table of its own."""

    TENANT = "tenant"
    SHARED = "shared"

    @property
    def section(self) -> str:
        """The section of the Alembic ini that describes it."""
        return "alembic" if self is Lineage.TENANT else "shared"


SHARED_NAME = "(shared)"
"""What stands in a tenant's place in runs over the shared lineage. No tenant may be called so."""

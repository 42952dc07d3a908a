"""A revision as the rules of lint see it. Data, with the names that it knows."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from tenantmig.domain.tenant import PLACEHOLDER
from tenantmig.lint.known_names import KnownNames
from tenantmig.lint.statements import Statement, Statements

SYSTEM_SCHEMAS = frozenset({"pg_catalog", "information_schema", "pg_temp", "pg_toast"})


@dataclass(frozen=True, slots=True)
class Revision:
    """One revision as the rules see it.

    `known` are the names that the history has created up to here, this revision included.
    `irreversible` says why it has no way down, if it has none.
    """

    upgrade: Statements
    downgrade: Statements
    known: KnownNames
    irreversible: str | None = None
    is_whole: bool = True
    extension_schemas: frozenset[str] = frozenset()
    shared_schemas: frozenset[str] = frozenset({"public"})

    @property
    def statements(self) -> tuple[Statement, ...]:
        """What both directions send."""
        return (*self.upgrade.all, *self.downgrade.all)

    @property
    def with_inner(self) -> Iterator[Statement]:
        """The same, with what stands in bodies of functions and DO blocks."""
        yield from self.upgrade.with_inner
        yield from self.downgrade.with_inner

    def is_own(self, schema: str) -> bool:
        """True when a tenant's revision may write this schema."""
        return schema in {"", PLACEHOLDER} or self.is_elsewhere(schema)

    def is_elsewhere(self, schema: str) -> bool:
        """True when the schema is PostgreSQL's or that of an extension."""
        return schema in SYSTEM_SCHEMAS | self.extension_schemas

    def is_readable(self, schema: str) -> bool:
        """True when a tenant's revision may read this schema, or reference its tables."""
        return self.is_own(schema) or schema in self.shared_schemas

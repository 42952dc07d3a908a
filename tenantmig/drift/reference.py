"""References: what the history itself makes of a scratch schema, to which tenants are compared.

Scratch schemas have names of chance. Where one stands in what PostgreSQL renders (in a function's
body, in its search_path), the history wrote the tenant's own name, and each tenant's is put there.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from tenantmig.catalog.catalog import MODULUS, Catalog, CatalogObject, CatalogReader, Key
from tenantmig.domain.plan import Heads, show_heads
from tenantmig.errors import NoBeginningError

PLACEHOLDER = "tenant"  # stands for the schema's name in a fingerprint

BuildReferences = Callable[[CatalogReader, Collection[Heads]], Iterator["Reference"]]


@dataclass(frozen=True)
class Reference:
    """The catalog of a tenant at `heads`, as the history makes it."""

    heads: Heads
    catalog: Catalog
    scratch: str
    """The name of the schema in which it was made."""
    _named: tuple[CatalogObject, ...] = field(init=False)
    _plain: int = field(init=False)

    def __post_init__(self) -> None:
        """Sum up what is the same for every tenant."""
        objects = self.catalog.values()
        named = tuple(one for one in objects if any(self.scratch in text for text in one))
        plain = sum(one.number for one in objects) - sum(one.number for one in named)
        object.__setattr__(self, "_named", named)
        object.__setattr__(self, "_plain", plain)

    @property
    def revision(self) -> str | None:
        """Its revision, several joined with commas, None at base."""
        return show_heads(self.heads)

    def mark(self, schema: str, quoted: str) -> int:
        """Return the mark that a tenant schema of this name must have."""
        written = (self._write(one, schema, quoted) for one in self._named)
        return self._plain + sum(one.number for one in written)

    def of(self, schema: str, quoted: str) -> dict[Key, CatalogObject]:
        """Return the catalog that a tenant schema of this name must have."""
        written = {one.key: self._write(one, schema, quoted) for one in self._named}
        objects = (written.get(key, one) for key, one in self.catalog.items())
        return {one.key: one for one in objects}

    def worded(self, found: Catalog) -> Reference:
        """Return the same in the words of a catalog that says the same."""
        named = {one.key for one in self._named}
        kept = {key: one if key in named else found[key] for key, one in self.catalog.items()}
        return Reference(self.heads, kept, self.scratch)

    @property
    def fingerprint(self) -> str:
        """The fingerprint of all tenants that are as they should be."""
        return show_fingerprint(self.mark(PLACEHOLDER, PLACEHOLDER))

    def _write(self, one: CatalogObject, schema: str, quoted: str) -> CatalogObject:
        return CatalogObject(*(_named_for(text, self.scratch, schema, quoted) for text in one))


def _named_for(text: str, scratch: str, schema: str, quoted: str) -> str:
    """Put a tenant's name in the place of the scratch schema's, in the quotes that stand there."""
    if scratch not in text:
        return text
    text = text.replace(f'"{scratch}"', '"' + schema.replace('"', '""') + '"')
    text = text.replace(f"'{scratch}'", "'" + schema.replace("'", "''") + "'")
    return re.sub(re.escape(scratch), lambda _: quoted, text)


def show_fingerprint(mark: int) -> str:
    """Write a catalog's mark as text."""
    return f"{mark % MODULUS:016x}"


class Collected(NamedTuple):
    """The references that could be made, and why the others could not, if so."""

    references: Mapping[Heads, Reference]
    lacking: str | None


def collect(build: BuildReferences, reader: CatalogReader, wanted: Collection[Heads]) -> Collected:
    """Make the references that can be made; say why the others cannot.

    A history may presume tables that the application's `create_all` makes: then it cannot run in an
    empty schema, and there is nothing to compare with.

    Raises:
        ScratchError: it cannot be run for another reason.
    """
    found: dict[Heads, Reference] = {}
    try:
        for reference in build(reader, wanted):
            found[reference.heads] = reference
    except NoBeginningError as error:
        why = "" if any(found) else "the history cannot run in an empty schema: "
        return Collected(found, f"no reference: {why}{error.message}")
    return Collected(found, None)

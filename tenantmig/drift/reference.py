"""References: what the history itself makes of a scratch schema, to which tenants are compared.

Scratch schemas have names of chance. Where one stands in what PostgreSQL renders (in a function's
body, in its search_path), the history wrote the tenant's own name, and each tenant's is put there.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import NamedTuple

from tenantmig.catalog.catalog import MODULUS, Catalog, CatalogObject, CatalogReader, Key
from tenantmig.domain.plan import Heads, show_heads
from tenantmig.drift.scratch import Scratch
from tenantmig.errors import NoBeginningError
from tenantmig.history.revisions import History
from tenantmig.postgres.version_table import read_versions

PLACEHOLDER = "tenant"  # stands for the schema's name in a fingerprint

OpenScratch = Callable[[], AbstractContextManager[Scratch]]
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


def build_references(
    open_scratch: OpenScratch,
    history: History,
    reader: CatalogReader,
    version_table: str,
    wanted: Collection[Heads],
    birth: str = "",
) -> Iterator[Reference]:
    """Make a reference for each of these heads: in one scratch schema as long as each stands above
    the one before, in another for another branch.

    There is none where the history does not lead to exactly these heads. With the setting `birth`
    there is one at head alone, as its function makes it.

    Raises:
        ScratchError: a script failed.
    """
    if birth:
        yield from _by_birth(open_scratch, history, reader, wanted)
        return
    applied = {heads: history.applied(heads) for heads in wanted}
    rest = sorted(applied, key=lambda heads: (len(applied[heads]), heads))
    while rest:
        passed: frozenset[str] = frozenset()
        left: list[Heads] = []
        with open_scratch() as scratch:
            for heads in rest:
                if not passed <= applied[heads]:
                    left.append(heads)
                    continue
                for revision in heads:
                    scratch.upgrade(revision)
                passed = applied[heads]
                reached = read_versions(scratch.connection, [scratch.schema], version_table)
                if reached[scratch.schema].heads == heads:
                    yield Reference(heads, reader.catalog(scratch.schema), scratch.schema)
        rest = left


def _by_birth(
    open_scratch: OpenScratch, history: History, reader: CatalogReader, wanted: Collection[Heads]
) -> Iterator[Reference]:
    """Make the one reference that the setting `birth` makes: at head.

    Raises:
        ScratchError: its function failed.
        NoBeginningError: a reference is wanted beside head and base.
    """
    if history.heads in wanted:
        with open_scratch() as scratch:
            scratch.bear(history.heads)
            yield Reference(history.heads, reader.catalog(scratch.schema), scratch.schema)
    beside = [heads for heads in wanted if heads not in {(), history.heads}]
    if beside:
        raise NoBeginningError(
            f"the setting `birth` makes a reference at head only, not at {show_heads(beside[0])}."
        )

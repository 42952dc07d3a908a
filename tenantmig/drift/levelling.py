"""Levelling: statements that bring a scratch schema from the catalog it has to the one expected.

For scratch schemas only: they drop what is too much. Whether they were enough is for the caller to
see; what no statement can be derived for is left out. Pure.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from tenantmig.catalog.catalog import COLUMN, CatalogObject
from tenantmig.catalog.catalog_ddl import NOTHING, alter_column, create, drop
from tenantmig.drift.drift import Change, Difference, told
from tenantmig.drift.mending import created

REPLACES = frozenset({"function", "procedure", "default", "comment", "replica identity"})
"""Kinds whose statement to make one takes the place of what is there."""


def level(differences: Sequence[Difference]) -> tuple[str, ...]:
    """Write the statements; those that others wait for may come later."""
    written = (text for one in told(differences) for text in _levelled(one, differences))
    return tuple(text for text in written if not (text.startswith("--") or NOTHING in text))


def _levelled(difference: Difference, differences: Sequence[Difference]) -> Iterator[str]:
    expected, found = difference.reference, difference.tenant
    if difference.change is Change.EXTRA:
        assert found is not None
        yield drop(found)
    elif difference.change is Change.MISSING:
        assert expected is not None
        yield from created(expected, differences)
    else:
        assert expected is not None
        assert found is not None
        yield from _changed(expected, found)


def _changed(expected: CatalogObject, found: CatalogObject) -> Iterator[str]:
    if expected.kind in REPLACES:
        yield create(expected)
    elif expected.kind == COLUMN:
        yield alter_column(expected, f"TYPE {expected.definition}")
    else:
        yield drop(found)
        yield create(expected)

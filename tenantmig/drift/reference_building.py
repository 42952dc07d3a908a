"""Making references: the history is run in a scratch schema, once for all that are wanted."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from contextlib import AbstractContextManager

from tenantmig.catalog.catalog import CatalogReader
from tenantmig.domain.plan import Heads, show_heads
from tenantmig.drift.reference import Reference
from tenantmig.drift.scratch import Scratch
from tenantmig.errors import NoBeginningError
from tenantmig.history.revisions import History
from tenantmig.postgres.version_table import read_versions

OpenScratch = Callable[[], AbstractContextManager[Scratch]]


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

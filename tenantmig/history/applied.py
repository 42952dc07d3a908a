"""What a tenant has had, by the rows of its version table. Knows the revisions, no connection."""

from __future__ import annotations

from collections.abc import Sequence

from alembic.script import ScriptDirectory

from tenantmig.domain.counting import counted
from tenantmig.domain.plan import Heads
from tenantmig.errors import VersionTableError


def check_heads(script: ScriptDirectory, heads: Heads) -> None:
    """Make sure that the rows of a version table are a possible state of this history.

    Raises:
        VersionTableError: a row names an unknown revision, or one row's revision is an
            ancestor of another's.
    """
    for revision in unknown(script, heads):
        raise VersionTableError(
            f"the version table names revision {revision!r}, which is not in this history"
        )
    for revision in heads:
        others = [head for head in heads if head != revision]
        if others and revision in ancestors(script, others):
            raise VersionTableError(
                f"the version table has {counted(len(heads), 'row')} ({', '.join(heads)}),"
                f" and {revision} is an ancestor of another row"
            )


def unknown(script: ScriptDirectory, heads: Heads) -> Heads:
    """Return those that are no revision of this history, by their whole id."""
    known = script.revision_map._revision_map  # noqa: SLF001  no prefixes
    found = {revision: known.get(revision) for revision in heads}
    return tuple(h for h, one in found.items() if one is None or one.revision != h)


def ancestors(script: ScriptDirectory, heads: Sequence[str]) -> set[str]:
    """Return these revisions and all that they stand on."""
    # one by one: of several, Alembic refuses those that overlap
    each = (script.iterate_revisions(revision, "base") for revision in heads)
    return {one.revision for scripts in each for one in scripts}

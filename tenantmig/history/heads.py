"""Heads: how the rows of a version table follow the revisions, one step after the other. Pure.

Alembic's own bookkeeping leaves a redundant row where a merge or a `depends_on` names a revision
and its ancestor and other rows stand beside it. Here the rows are always those revisions on which
no other applied one stands, so that every state has one form.
"""

from __future__ import annotations

from collections.abc import Iterable

from alembic.runtime.migration import RevisionStep
from alembic.script.revision import RevisionError

from tenantmig.domain.plan import Heads


class ExactStep(RevisionStep):
    """A step that tells Alembic exactly which version rows to write."""

    def reached(self, heads: set[str]) -> set[str]:
        """Return the rows after the step, of a tenant whose rows are `heads` before it.

        Raises:
            RevisionError: what is to be undone has no row.
        """
        beneath = set(self.revision._normalized_down_revisions)  # noqa: SLF001  with depends_on
        if self.is_upgrade:
            return heads - beneath | {self.revision.revision}
        if self.revision.revision not in heads:
            raise RevisionError(f"{self.revision.revision} is not among {', '.join(heads)}")
        others = heads - {self.revision.revision}
        if others or len(beneath) > 1:
            beneath = {one for one in beneath if not self._stand_on(one, others | beneath - {one})}
        return others | beneath

    def _stand_on(self, revision: str, others: set[str]) -> bool:
        """True when one of the others stands on the revision, or is it."""
        known = self.revision_map
        found = known._get_ancestor_nodes(  # noqa: SLF001  no public way
            known.get_revisions(tuple(others)), check=False
        )
        return any(ancestor.revision == revision for ancestor in found)

    def _change(self, heads: set[str]) -> tuple[list[str], list[str]]:
        """Return the rows that go and those that come."""
        reached = self.reached(set(heads))
        return sorted(set(heads) - reached), sorted(reached - set(heads))

    # -- what Alembic asks, in this order -------------------------------------------------------

    def should_delete_branch(self, heads: set[str]) -> bool:
        """True when a row goes and none comes."""
        return not self._change(heads)[1]

    def should_create_branch(self, heads: set[str]) -> bool:
        """True when a row comes and none goes."""
        return not self._change(heads)[0]

    def should_merge_branches(self, heads: set[str]) -> bool:
        """True when one row takes the place of several."""
        return len(self._change(heads)[0]) > 1

    def merge_branch_idents(self, heads: set[str]) -> tuple[list[str], str, str]:
        """Return the rows to delete, the one to change, and what it becomes."""
        gone, come = self._change(heads)
        return gone[:-1], gone[-1], come[0]

    def should_unmerge_branches(self, heads: set[str]) -> bool:
        """True when several rows take the place of one."""
        return len(self._change(heads)[1]) > 1

    def unmerge_branch_idents(self, heads: set[str]) -> tuple[str, str, tuple[str, ...]]:
        """Return the row to change, what it becomes, and the rows to insert."""
        gone, come = self._change(heads)
        return gone[0], come[-1], tuple(come[:-1])

    def update_version_num(self, heads: set[str]) -> tuple[str, str]:
        """Return the row to change and what it becomes."""
        gone, come = self._change(heads)
        return gone[0], come[0]


def follow(steps: Iterable[ExactStep], source: Heads) -> list[Heads]:
    """Return where a tenant is at first and after each step: one more place than steps."""
    heads = set(source)
    places = [tuple(sorted(heads))]
    for step in steps:
        heads = step.reached(heads)
        places.append(tuple(sorted(heads)))
    return places


def read_heads(shown: str | None) -> Heads:
    """Read what `show_heads` wrote, or the name of base."""
    return () if shown in {None, "", "base"} else tuple(sorted(str(shown).split(",")))

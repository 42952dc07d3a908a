"""The check of a history: do the models match its head, and what are its downgrades worth.

Every revision is run up, down and up again in a scratch schema, and its catalog compared each time.
One that reaches out of the schema is rolled back there, and told as not tried.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from tenantmig.catalog import Catalog, CatalogReader
from tenantmig.drift import Change, differences_between, told
from tenantmig.driver import Driver
from tenantmig.engines.autogenerate_worker import compare_models
from tenantmig.engines.scratch_worker import NotTried
from tenantmig.errors import NotTriedError, ScratchError
from tenantmig.plan import RunKind, show_heads
from tenantmig.revisions import History
from tenantmig.scratch import Scratch

SHOWN = 5
VERBS = {Change.MISSING: "is missing", Change.EXTRA: "is left", Change.DIFFERS: "differs"}


class Downgrade(StrEnum):
    """What the downgrade of a revision is worth."""

    SOUND = "sound"
    IRREVERSIBLE = "irreversible"
    BROKEN = "broken"
    NOT_TRIED = "not_tried"


@dataclass(frozen=True, slots=True)
class RevisionCheck:
    """One revision, and why its downgrade is not sound, if so."""

    revision: str
    downgrade: Downgrade
    reason: str | None = None
    is_passed: bool = True
    """The revision itself was run, so that those that stand on it could be."""

    @property
    def is_broken(self) -> bool:
        """True when it does not lead back."""
        return self.downgrade is Downgrade.BROKEN


@dataclass(frozen=True, slots=True)
class CheckReport:
    """What a check found. `changes` is None when env.py gives no models to compare, or when the
    check is not complete: the models are compared with the head.
    """

    head: str
    changes: tuple[str, ...] | None
    revisions: tuple[RevisionCheck, ...]

    @property
    def broken(self) -> tuple[RevisionCheck, ...]:
        """The revisions whose downgrade does not lead back."""
        return tuple(revision for revision in self.revisions if revision.is_broken)

    @property
    def is_complete(self) -> bool:
        """True when every revision was run, and so the head reached."""
        return all(revision.is_passed for revision in self.revisions)

    @property
    def is_clean(self) -> bool:
        """True when the models match, as far as seen, and no downgrade is broken."""
        return not self.changes and not self.broken


def check_history(driver: Driver) -> CheckReport:
    """Check the whole history and the models, in scratch schemas.

    Raises:
        HistoryError: the history is broken.
        ScratchError: an upgrade fails in an empty schema.
        EnvironmentFileError: env.py fails.
    """
    history = driver.history
    order = history.path(RunKind.UPGRADE, (), "heads").revisions
    checked: list[RevisionCheck] = []
    driver.engines.require_fit_env([])
    with driver.ledger() as ledger, driver.catalogs(ledger, 1) as reader:
        while True:
            with driver.scratch() as scratch:
                done = len(checked)
                # else the first revision would be the one that makes it, and no downgrade drops it
                scratch.begin_at_base(driver.settings.version_table)
                again = _upgrade(scratch, *(one.revision for one in checked if one.is_passed))
                if again is not None:
                    raise NotTriedError(f"The check cannot go on: {again.message}.")
                walk = _Walk(scratch, history, reader, checked)
                checked += walk.check(order[done:])
                if not walk.is_fit:
                    continue  # what was left is in the way; go on in a new scratch schema
                report = CheckReport(show_heads(history.heads) or "base", None, tuple(checked))
                if not report.is_complete:
                    return report
                changes = scratch.engine.read(compare_models, scratch.schema)
                return replace(report, changes=changes)


class _Walk:
    """A walk up the history in one scratch schema, with a look back after each step."""

    def __init__(
        self,
        scratch: Scratch,
        history: History,
        reader: CatalogReader,
        checked: Sequence[RevisionCheck],
    ) -> None:
        self.scratch = scratch
        self.history = history
        self.reader = reader
        self.is_fit = True
        """The schema is as the revisions that were run make it."""
        self._left_out = [one.revision for one in checked if not one.is_passed]

    def check(self, revisions: Sequence[str]) -> Iterator[RevisionCheck]:
        """Check one revision after the other, up to the first that leaves the schema unfit."""
        for revision in revisions:
            yield self._leave_out(revision) or self._check(revision)
            if not self.is_fit:
                return

    def _leave_out(self, revision: str) -> RevisionCheck | None:
        """Leave a revision out that stands on one which was not run."""
        stands_on = self.history.applied((revision,))
        for one in self._left_out:
            if one in stands_on:
                reason = f"it stands on {one}, which was not tried"
                return RevisionCheck(revision, Downgrade.NOT_TRIED, reason, is_passed=False)
        return None

    def _check(self, revision: str) -> RevisionCheck:
        before = self._look()
        left = _upgrade(self.scratch, revision)
        if left is not None:
            self._left_out.append(revision)
            self.is_fit = not self._changed(before)  # a part of it may be committed
            return RevisionCheck(revision, Downgrade.NOT_TRIED, f"it {left.act}", is_passed=False)
        reason = self.history.irreversible(revision)
        if reason is not None:
            return RevisionCheck(revision, Downgrade.IRREVERSIBLE, reason)
        standing, reason = self._go_there_and_back(revision, before)
        if standing is Downgrade.BROKEN:
            self.is_fit = False
        return RevisionCheck(revision, standing, reason)

    def _go_there_and_back(self, revision: str, before: Catalog) -> tuple[Downgrade, str | None]:
        """Run a revision down and up again; say what that is worth and why."""
        after = self._look()
        failure = self.scratch.step(RunKind.DOWNGRADE, revision)
        if isinstance(failure, NotTried):
            self.is_fit = not self._changed(after)
            return Downgrade.NOT_TRIED, f"its downgrade {failure.act}"
        if failure is not None:
            return Downgrade.BROKEN, f"its downgrade fails: {failure.message}"
        found = self._changed(before)
        if found:
            what = "its downgrade leaves another catalog than before the revision"
            return Downgrade.BROKEN, f"{what}: {found}"
        failure = self.scratch.step(RunKind.UPGRADE, revision)
        if isinstance(failure, NotTried):
            self.is_fit = False
            return Downgrade.NOT_TRIED, f"after its downgrade it {failure.act}"
        if failure is not None:
            what = "after its downgrade it cannot be run again"
            return Downgrade.BROKEN, f"{what}: {failure.message}"
        found = self._changed(after)
        if found:
            what = "after its downgrade it makes another catalog than the first time"
            return Downgrade.BROKEN, f"{what}: {found}"
        return Downgrade.SOUND, None

    def _look(self) -> Catalog:
        return self.reader.catalog(self.scratch.schema)

    def _changed(self, expected: Catalog) -> str:
        """Name what differs now from a catalog seen before."""
        found = told(differences_between(expected, self._look()))
        more = f" and {len(found) - SHOWN} more" if len(found) > SHOWN else ""
        return (
            ", ".join(f"{one.kind} {one.name} {VERBS[one.change]}" for one in found[:SHOWN]) + more
        )


def _upgrade(scratch: Scratch, *revisions: str) -> NotTried | None:
    """Run these revisions, which the history puts next, or say which reaches out."""
    failure = scratch.step(RunKind.UPGRADE, *revisions)
    if isinstance(failure, NotTried):
        return failure
    if failure is not None:
        raise ScratchError(
            "The history cannot be run in an empty schema:"
            f" {failure.message.removesuffix('.')}. No tenant was touched."
        )
    return None

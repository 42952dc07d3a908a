"""The check of a history: do the models match its head, and what are its downgrades worth.

Every revision is run up, down and up again in a scratch schema, and its catalog compared each time.
One that reaches out of the schema is rolled back there, and told as not tried. After a downgrade
that does not lead back, the schema is levelled, and used on if its catalog is then as expected; if
not, the way goes on in a new one, to which the history is run anew.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace

from tenantmig.catalog.catalog import COLUMN, Catalog, CatalogReader
from tenantmig.domain.failure import Failure
from tenantmig.domain.plan import Heads, RunKind, show_heads
from tenantmig.drift.drift import Change, Difference, differences_between, told
from tenantmig.drift.levelling import level
from tenantmig.drift.scratch import Scratch
from tenantmig.engines.autogenerate_worker import compare_models
from tenantmig.engines.scratch_worker import NotTried
from tenantmig.errors import NotTriedError, ScratchError, UnknownRevisionError
from tenantmig.fleet.baseline import NOTHING, Baseline
from tenantmig.fleet.check_report import (
    Checked,
    CheckReport,
    Downgrade,
    RevisionCheck,
    Watch,
    ignore,
)
from tenantmig.fleet.driver import Driver
from tenantmig.history.revisions import History
from tenantmig.postgres.version_table import read_versions

SHOWN = 5
LABEL = re.compile(r"'(?:[^']|'')*'")  # of an enum, as its text in the catalog has it
VERBS = {Change.MISSING: "is missing", Change.EXTRA: "is left", Change.DIFFERS: "differs"}
HOLDS_ROWS = frozenset({"table", COLUMN, "materialized view"})
OWN_NAME = "<scratch>"
"""What stands for the name of the scratch schema, which is another each time."""


def check_history(
    driver: Driver,
    begin: str | None = None,
    watch: Watch = ignore,
    baseline: Baseline = NOTHING,
) -> CheckReport:
    """Check the history and the models, in scratch schemas.

    With `begin` the ancestors of that revision are run and not checked. `watch` is told of each
    revision once it is checked, also where the check ends with an error after it. `baseline` says
    what is accepted.

    Raises:
        UnknownRevisionError: `begin` is not one revision.
        HistoryError: the history is broken.
        ScratchError: an upgrade fails in an empty schema.
        EnvironmentFileError: env.py fails.
    """
    history = driver.history
    head = show_heads(history.heads) or "base"
    skipped = _before(history, begin)
    order = history.path(RunKind.UPGRADE, (), "heads").revisions
    before = [revision for revision in order if revision in skipped]
    asked = [revision for revision in order if revision not in skipped]
    checked: list[RevisionCheck] = []
    driver.engines.require_fit_env([])
    with driver.ledger() as ledger, driver.catalogs(ledger, 1) as reader:
        while True:
            with driver.scratch() as scratch:
                # else the first revision would be the one that makes it, and no downgrade drops it
                scratch.begin_at_base(driver.settings.version_table)
                again = [*before, *(one.revision for one in checked if one.is_passed)]
                _run_again(scratch, again)
                walk = _Walk(scratch, driver, reader, checked)
                for found in walk.check(asked[len(checked) :]):
                    checked.append(one := baseline.accept(found))
                    watch(Checked(one, len(checked), len(asked), head))
                if not walk.is_fit:
                    continue  # what was left is in the way; go on in a new scratch schema
                report = CheckReport(head, None, tuple(checked), history.extensions())
                if not report.is_complete:
                    return baseline.apply(report)
                changes = scratch.engine.read(compare_models, scratch.schema)
                return baseline.apply(replace(report, changes=changes))


def _before(history: History, begin: str | None) -> frozenset[str]:
    """Return the revisions that are not checked: those that `begin` stands on."""
    if begin is None:
        return frozenset()
    named = history.target(begin)
    roots = history.heads if named == "heads" else tuple(named.split(","))
    if named == "base":
        return frozenset()
    if not all(map(history.knows, roots)):
        raise UnknownRevisionError(
            f"{begin!r} is a relative revision; start the check at a revision id."
        )
    return history.applied(roots) - set(roots)


class _Walk:
    """A walk up the history in one scratch schema, with a look back after each step."""

    def __init__(
        self,
        scratch: Scratch,
        driver: Driver,
        reader: CatalogReader,
        checked: Sequence[RevisionCheck],
    ) -> None:
        self.scratch = scratch
        self.history = driver.history
        self.reader = reader
        self.version_table = driver.settings.version_table
        self.is_fit = True
        """The schema is as the revisions that were run make it."""
        self._is_levelled = False
        self._left_out = [one.revision for one in checked if not one.is_passed]
        self._now: Catalog | None = None

    def check(self, revisions: Sequence[str]) -> Iterator[RevisionCheck]:
        """Check one revision after the other, up to the first that leaves the schema unfit."""
        for revision in revisions:
            found = self._leave_out(revision) or self._check(revision)
            if found is not None:
                yield found
            if not self.is_fit:
                return

    def _leave_out(self, revision: str) -> RevisionCheck | None:
        """Leave a revision out that stands on one which was not run."""
        stands_on = self.history.applied((revision,))
        for one in self._left_out:
            if one in stands_on:
                reason = f"it depends on {one}, which was not tried"
                return RevisionCheck(revision, Downgrade.NOT_TRIED, reason, is_passed=False)
        return None

    def _check(self, revision: str) -> RevisionCheck | None:
        """Check a revision; None where only a new schema can tell."""
        before, heads = self._now or self._look(), self._heads()
        failure = self.scratch.step(RunKind.UPGRADE, revision)
        if isinstance(failure, NotTried):
            self._left_out.append(revision)
            self.is_fit = self._level(before) and self._heads() == heads  # a part may be committed
            act = self._said(f"it {failure.act}")
            return RevisionCheck(revision, Downgrade.NOT_TRIED, act, is_passed=False)
        if failure is not None:
            if not self._is_levelled:
                raise _cannot_be_run(failure)
            self.is_fit = False  # the rows of a levelled schema may be others
            return None
        after, reached = self._look(), self._heads()
        self._now = after
        reason = self.history.irreversible(revision)
        if reason is not None:
            return RevisionCheck(revision, Downgrade.IRREVERSIBLE, reason)
        standing, reason = self._go_there_and_back(revision, before, after)
        if standing is not Downgrade.SOUND:
            self.is_fit = self._come_back(revision, (heads, before), (reached, after))
        return RevisionCheck(revision, standing, self._said(reason) if reason else None)

    def _go_there_and_back(
        self, revision: str, before: Catalog, after: Catalog
    ) -> tuple[Downgrade, str | None]:
        """Run a revision down and up again; say what that is worth and why."""
        failure = self.scratch.step(RunKind.DOWNGRADE, revision)
        if isinstance(failure, NotTried):
            return Downgrade.NOT_TRIED, f"its downgrade {failure.act}"
        if failure is not None:
            return Downgrade.BROKEN, f"its downgrade fails: {failure.message}"
        found = self._changed(before)
        if found:
            what = "its downgrade does not restore the catalog from before the revision"
            return Downgrade.BROKEN, f"{what}: {_shown(found)}"
        failure = self.scratch.step(RunKind.UPGRADE, revision)
        if isinstance(failure, NotTried):
            return Downgrade.NOT_TRIED, f"after its downgrade, the upgrade {failure.act}"
        if failure is not None:
            what = "after its downgrade, the upgrade fails"
            return Downgrade.BROKEN, f"{what}: {failure.message}"
        found = self._changed(after)
        if found:
            what = "after its downgrade, the upgrade gives another catalog than the first time"
            return Downgrade.BROKEN, f"{what}: {_shown(found)}"
        return Downgrade.SOUND, None

    def _come_back(
        self, revision: str, before: tuple[Heads, Catalog], after: tuple[Heads, Catalog]
    ) -> bool:
        """Bring the schema to where the revision left it; False if a new one must be made."""
        heads = self._heads()
        if heads == after[0]:
            return self._level(after[1])
        if heads != before[0] or not self._level(before[1]):
            return False
        failure = self.scratch.step(RunKind.UPGRADE, revision)
        return failure is None and self._heads() == after[0] and self._level(after[1])

    def _level(self, expected: Catalog) -> bool:
        """Make the catalog what it should be; False if it could not be, or rows would be lacking.

        What holds rows cannot be made again: the rows may be of earlier revisions.
        """
        found = self._changed(expected)
        if not found:
            return True
        if any(one.change is Change.MISSING and one.kind in HOLDS_ROWS for one in found):
            return False
        self.scratch.mend(level(found))
        self._is_levelled = True
        return not self._changed(expected)

    def _heads(self) -> Heads:
        schema = self.scratch.schema
        return read_versions(self.scratch.connection, [schema], self.version_table)[schema].heads

    def _look(self) -> Catalog:
        return self.reader.catalog(self.scratch.schema)

    def _changed(self, expected: Catalog) -> tuple[Difference, ...]:
        """Return what differs now from a catalog seen before."""
        return differences_between(expected, self._look())

    def _said(self, reason: str) -> str:
        return reason.replace(self.scratch.schema, OWN_NAME)


def _shown(differences: Sequence[Difference]) -> str:
    """Name what differs."""
    found = told(differences)
    more = f" and {len(found) - SHOWN} more" if len(found) > SHOWN else ""
    return ", ".join(map(_what, found[:SHOWN])) + more


def _what(one: Difference) -> str:
    said = f"{one.kind} {one.name} {VERBS[one.change]}"
    if one.kind != "enum" or one.reference is None or one.tenant is None:
        return said
    expected, found = (LABEL.findall(side.text) for side in (one.reference, one.tenant))
    lacking = [f"label {label} is missing" for label in expected if label not in found]
    left = [f"label {label} remains" for label in found if label not in expected]
    return f"{said} ({', '.join(lacking + left)})" if lacking or left else said


def _run_again(scratch: Scratch, revisions: Sequence[str]) -> None:
    """Run revisions that are not checked, or were, in a new scratch schema; at least env.py."""
    failure = scratch.step(RunKind.UPGRADE, *revisions)
    if isinstance(failure, NotTried):
        raise NotTriedError(f"The check stopped: {failure.message}.")
    if failure is not None:
        raise _cannot_be_run(failure)


def _cannot_be_run(failure: Failure) -> ScratchError:
    reason = failure.message.removesuffix(".")
    return ScratchError(
        f"The history cannot be run in an empty schema: {reason}. No tenant was touched."
    )

"""The check of a history: do the models match its head, and what are its downgrades worth.

Every revision is run up, down and up again in a scratch schema, and its catalog compared each time.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

from tenantmig.catalog import Catalog, CatalogReader
from tenantmig.drift import Change, differences_between, told
from tenantmig.driver import Driver
from tenantmig.engines.autogenerate_worker import compare_models
from tenantmig.errors import ScratchError
from tenantmig.plan import RunKind, show_heads
from tenantmig.revisions import History
from tenantmig.scratch import Scratch
from tenantmig.version_table import write_version

SHOWN = 5
VERBS = {Change.MISSING: "is missing", Change.EXTRA: "is left", Change.DIFFERS: "differs"}


class Downgrade(StrEnum):
    """What the downgrade of a revision is worth."""

    SOUND = "sound"
    IRREVERSIBLE = "irreversible"
    BROKEN = "broken"


@dataclass(frozen=True, slots=True)
class RevisionCheck:
    """One revision, and why its downgrade is not sound, if so."""

    revision: str
    downgrade: Downgrade
    reason: str | None = None

    @property
    def is_broken(self) -> bool:
        """True when it does not lead back."""
        return self.downgrade is Downgrade.BROKEN


@dataclass(frozen=True, slots=True)
class CheckReport:
    """What a check found. `changes` is None when env.py gives no models to compare."""

    head: str
    changes: tuple[str, ...] | None
    revisions: tuple[RevisionCheck, ...]

    @property
    def broken(self) -> tuple[RevisionCheck, ...]:
        """The revisions whose downgrade does not lead back."""
        return tuple(revision for revision in self.revisions if revision.is_broken)

    @property
    def is_clean(self) -> bool:
        """True when the models match and every downgrade is sound or irreversible."""
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
    with driver.ledger() as ledger, driver.catalogs(ledger, 1) as reader:
        while True:
            with driver.scratch() as scratch:
                done = len(checked)
                # else the first revision would be the one that makes it, and no downgrade drops it
                table = driver.settings.version_table
                write_version(scratch.connection, scratch.schema, table, ())
                _upgrade(scratch, *order[:done])
                checked += _Walk(scratch, history, reader).check(order[done:])
                if any(one.is_broken for one in checked[done:]):
                    continue  # what it left is in the way; go on in a new scratch schema
                changes = scratch.engine.ask(compare_models, scratch.schema)
                return CheckReport(show_heads(history.heads) or "base", changes, tuple(checked))


class _Walk:
    """A walk up the history in one scratch schema, with a look back after each step."""

    def __init__(self, scratch: Scratch, history: History, reader: CatalogReader) -> None:
        self.scratch = scratch
        self.history = history
        self.reader = reader

    def check(self, revisions: Sequence[str]) -> Iterator[RevisionCheck]:
        """Check one revision after the other, up to the first whose downgrade is broken."""
        for revision in revisions:
            before = self._look()
            _upgrade(self.scratch, revision)
            reason = self.history.irreversible(revision)
            if reason is not None:
                yield RevisionCheck(revision, Downgrade.IRREVERSIBLE, reason)
                continue
            fault = self._there_and_back(revision, before)
            if fault is not None:
                yield RevisionCheck(revision, Downgrade.BROKEN, fault)
                return
            yield RevisionCheck(revision, Downgrade.SOUND)

    def _there_and_back(self, revision: str, before: Catalog) -> str | None:
        """Run a revision down and up again; say what is wrong with that, or None."""
        after = self._look()
        failure = self.scratch.step(RunKind.DOWNGRADE, revision)
        if failure is not None:
            return f"its downgrade fails: {failure.message}"
        found = self._changed(before)
        if found:
            return f"its downgrade leaves another catalog than before the revision: {found}"
        failure = self.scratch.step(RunKind.UPGRADE, revision)
        if failure is not None:
            return f"after its downgrade it cannot be run again: {failure.message}"
        found = self._changed(after)
        if found:
            return f"after its downgrade it makes another catalog than the first time: {found}"
        return None

    def _look(self) -> Catalog:
        return self.reader.catalog(self.scratch.schema)

    def _changed(self, expected: Catalog) -> str:
        """Name what differs now from a catalog seen before."""
        found = told(differences_between(expected, self._look()))
        more = f" and {len(found) - SHOWN} more" if len(found) > SHOWN else ""
        return (
            ", ".join(f"{one.kind} {one.name} {VERBS[one.change]}" for one in found[:SHOWN]) + more
        )


def _upgrade(scratch: Scratch, *revisions: str) -> None:
    """Run these revisions, which the history puts next."""
    failure = scratch.step(RunKind.UPGRADE, *revisions)
    if failure is not None:
        raise ScratchError(
            f"The history cannot be run in an empty schema: {failure.message}."
            " No tenant was touched."
        )

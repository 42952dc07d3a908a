"""What a check found of a history: its models, and what each downgrade is worth. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum


class Downgrade(StrEnum):
    """The result of checking the downgrade of a revision."""

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
    """The revision itself was run, so the ones that depend on it could be run too."""
    accepted: str | None = None
    """Why the project accepts it, if it does (see `baseline`)."""

    @property
    def is_broken(self) -> bool:
        """True when the downgrade is broken and this is not accepted."""
        return self.downgrade is Downgrade.BROKEN and self.accepted is None


@dataclass(frozen=True, slots=True)
class CheckReport:
    """What a check found.

    `changes` is None if env.py gives no models, or if the check is not complete: the models are
    compared with the head.
    """

    head: str
    changes: tuple[str, ...] | None
    revisions: tuple[RevisionCheck, ...]
    extensions: Mapping[str, str] = field(default_factory=dict)
    """What the scripts' texts create, each with the first revision that does."""
    accepted_changes: tuple[str, ...] = ()
    """What the models have and the history lacks, and the project accepts."""
    stale: tuple[str, ...] = ()
    """What is accepted and was not found."""

    @property
    def broken(self) -> tuple[RevisionCheck, ...]:
        """The revisions whose downgrade is broken."""
        return tuple(revision for revision in self.revisions if revision.is_broken)

    @property
    def is_complete(self) -> bool:
        """True when every revision was run and the head was reached."""
        return all(revision.is_passed for revision in self.revisions)

    @property
    def is_clean(self) -> bool:
        """True when nothing was found that is not accepted, and nothing accepted is stale."""
        return not self.changes and not self.broken and not self.stale

    @property
    def is_settled(self) -> bool:
        """True when each revision was run, or it is accepted that it was not."""
        return all(one.is_passed or one.accepted is not None for one in self.revisions)


@dataclass(frozen=True, slots=True)
class Checked:
    """One revision was checked: the `done`th of `total`."""

    found: RevisionCheck
    done: int
    total: int
    head: str


Watch = Callable[[Checked], None]
"""Is told of each revision as soon as it was checked, in the thread that asked for the check."""


def ignore(_: Checked) -> None:
    """Watch nothing."""

"""The baseline of a check: findings of shipped revisions that are accepted, each with a reason.

A file of TOML, committed beside the Alembic ini. A finding is accepted only in the words in which
it was found: another one of the same revision counts. Knows no database.
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from tenantmig.errors import SettingsError
from tenantmig.fleet.check_report import CheckReport, Downgrade, RevisionCheck

FILE = "check-baseline.toml"
HEAD = "# The findings of `tenantmig check` that are accepted, each with its reason.\n"
MODELS = "models"
TOLD = frozenset({Downgrade.BROKEN, Downgrade.NOT_TRIED})


@dataclass(frozen=True, slots=True)
class Accepted:
    """A finding of a revision (or of the models, under that word), and why it is accepted."""

    revision: str
    finding: str
    reason: str

    @property
    def key(self) -> tuple[str, str]:
        """What it is about."""
        return self.revision, self.finding


@dataclass(frozen=True, slots=True)
class Baseline:
    """The findings that are accepted."""

    accepted: tuple[Accepted, ...] = ()

    @classmethod
    def read(cls, path: Path) -> Baseline:
        """Read the file.

        Raises:
            SettingsError: it cannot be read, or an entry lacks its revision, finding or reason.
        """
        try:
            table = tomllib.loads(path.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
            raise SettingsError(f"The baseline {path} cannot be read: {error}.") from error
        entries = table.get("accepted", [])
        if set(table) - {"accepted"} or not isinstance(entries, list):
            raise SettingsError(f"The baseline {path} may contain only tables named [[accepted]].")
        return cls(tuple(_entry(path, number, one) for number, one in enumerate(entries, 1)))

    def accept(self, found: RevisionCheck) -> RevisionCheck:
        """Return what was found of a revision, with the reason for which it is accepted, if so."""
        reason = self._reasons.get((found.revision, found.reason or ""))
        return replace(found, accepted=reason) if reason and found.downgrade in TOLD else found

    def apply(self, report: CheckReport) -> CheckReport:
        """Return a report in which accepted changes of the models stand apart, and what is stale.

        Of revisions that were not checked, nothing is stale.
        """
        changes = report.changes or ()
        accepted = tuple(one for one in changes if (MODELS, one) in self._reasons)
        left = tuple(one for one in changes if one not in accepted)
        found = {(one.revision, one.reason or "") for one in report.revisions if one.accepted}
        found |= {(MODELS, one) for one in accepted}
        seen = {one.revision for one in report.revisions}
        seen |= set() if report.changes is None else {MODELS}
        stale = tuple(
            f"{one.revision}: {one.finding}"
            for one in self.accepted
            if one.revision in seen and one.key not in found
        )
        kept = None if report.changes is None else left
        return replace(report, changes=kept, accepted_changes=accepted, stale=stale)

    def with_findings(self, report: CheckReport, reason: str) -> Baseline:
        """Return a baseline in which all that a report tells is accepted, and nothing stale."""
        stale = set(report.stale)
        kept = (one for one in self.accepted if f"{one.revision}: {one.finding}" not in stale)
        new = (
            Accepted(one.revision, one.reason or "", reason)
            for one in report.revisions
            if one.downgrade in TOLD and one.accepted is None
        )
        changed = (Accepted(MODELS, one, reason) for one in report.changes or ())
        return Baseline((*kept, *new, *changed))

    def save(self, path: Path) -> None:
        """Write the file."""
        path.write_text(HEAD + "".join(_written(self.accepted)), encoding="utf-8")

    @property
    def _reasons(self) -> dict[tuple[str, str], str]:
        return {one.key: one.reason for one in self.accepted}


NOTHING = Baseline()


def _entry(path: Path, number: int, one: object) -> Accepted:
    words = one if isinstance(one, dict) else {}
    keys = ("revision", "finding", "reason")
    given = [str(words.get(key, "")).strip() for key in keys]
    if set(words) - set(keys) or not all(given):
        raise SettingsError(
            f"Entry {number} of the baseline {path} needs a revision, a finding and a "
            "reason, and nothing else. Give the reason why it is accepted, or remove the "
            "entry."
        )
    return Accepted(*given)


def _written(entries: Iterable[Accepted]) -> Iterator[str]:
    for one in entries:
        yield "\n[[accepted]]\n"
        for key in ("revision", "finding", "reason"):
            yield f"{key} = {_text(getattr(one, key))}\n"


def _text(value: str) -> str:
    """Write a basic string of TOML: that of JSON, but for DEL."""
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")

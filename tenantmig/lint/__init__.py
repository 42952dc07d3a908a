"""Lint: what is unsafe in the SQL of a history, or breaks tenancy. Asks no database."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

SQUAWK = "squawk"
OURS = "tenantmig"


class Told(NamedTuple):
    """What a rule has to say of one line of a script: why, and what to write instead."""

    line: int
    rule: str
    why: str
    instead: str


@dataclass(frozen=True, slots=True)
class Finding:
    """A line of a revision's script that a rule objects to.

    `source` is whose rule it is, `tenantmig` or `squawk`. `allowed` is the reason for which the
    script allows it; such a finding counts no more.
    """

    revision: str
    file: str
    line: int
    rule: str
    why: str
    instead: str
    source: str = OURS
    allowed: str | None = None


@dataclass(frozen=True, slots=True)
class LintReport:
    """What was found in the selected revisions, in the order of upgrades and lines."""

    revisions: tuple[str, ...]
    findings: tuple[Finding, ...]
    allowed: tuple[Finding, ...] = ()

    @property
    def is_clean(self) -> bool:
        """True when nothing was found that the scripts do not allow."""
        return not self.findings

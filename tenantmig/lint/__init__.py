"""Lint: what is unsafe in the SQL of a history, or breaks tenancy. Asks no database."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

SQUAWK = "squawk"
OURS = "tenantmig"


class Severity(StrEnum):
    """The severity of a finding; `info` is a matter of style."""

    INFO = "info"
    WARNING = "warning"
    ERROR = "error"

    @property
    def rank(self) -> int:
        """The worse, the greater."""
        return list(Severity).index(self)


ERRORS = frozenset(
    """
    hard-coded-schema catalog-without-schema extension-in-tenant only-in-public
    foreign-key-to-tenant drop-without-name unreadable-sql
    """.split()  # noqa: SIM905  fourteen quotes less
)
"""Rules about what goes wrong for some tenant, however small it is."""
STYLE = ("prefer-", "ban-char-field", "ban-uncommitted-transaction", "require-table-schema")
"""How squawk's rules of style begin."""


class Told(NamedTuple):
    """What a rule reports about one line of a script: why, and what to write instead."""

    line: int
    rule: str
    why: str
    instead: str


@dataclass(frozen=True, slots=True)
class Finding:
    """A line of a revision's script that breaks a rule.

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

    @property
    def severity(self) -> Severity:
        """How bad it is."""
        if self.source == OURS:
            return Severity.ERROR if self.rule in ERRORS else Severity.WARNING
        return Severity.INFO if self.rule.startswith(STYLE) else Severity.WARNING


@dataclass(frozen=True, slots=True)
class Choice:
    """Which findings are reported: those of a severity or worse, of some rules only, of one source.

    Named rules are reported at any severity.
    """

    min_severity: Severity = Severity.WARNING
    only: tuple[str, ...] = ()
    source: str | None = None

    def has(self, finding: Finding) -> bool:
        """True when a finding is reported."""
        if self.source is not None and finding.source != self.source:
            return False
        if self.only:
            return finding.rule in self.only
        return finding.severity.rank >= self.min_severity.rank


CHOICE = Choice()


@dataclass(frozen=True, slots=True)
class LintReport:
    """What was found in the selected revisions: that of tenancy first, each in the order of
    upgrades and lines.
    """

    revisions: tuple[str, ...]
    findings: tuple[Finding, ...]
    allowed: tuple[Finding, ...] = ()

    @property
    def is_clean(self) -> bool:
        """True when nothing was found that the scripts do not allow."""
        return not self.findings

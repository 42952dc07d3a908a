"""Allowances: `# tenantmig: allow RULE reason` in a script. Pure.

At the end of a line it is about the statement of Python that stands on this line, alone on a line
about the next one, or about the one in whose middle it stands. Above a `with` or a `def` it is
about the whole block.
"""

from __future__ import annotations

import ast
import io
import tokenize
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from tenantmig.lint import Finding

MARK = ("tenantmig:", "allow")
UNUSED = "allowance-unused"
UNREASONED = "allowance-without-reason"


@dataclass(frozen=True, slots=True)
class Allowance:
    """What a comment allows, from line `begin` to line `end`."""

    line: int
    rule: str
    reason: str
    begin: int
    end: int

    def covers(self, finding: Finding) -> bool:
        """True when it is about this finding and says why."""
        is_here = self.begin <= finding.line <= self.end
        return bool(self.reason) and self.rule == finding.rule and is_here


def read_allowances(source: str) -> list[Allowance]:
    """Return the allowances of a script."""
    spans = [
        (node.lineno, node.end_lineno or node.lineno)
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.stmt)
    ]
    found = []
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        words = token.string.removeprefix("#").split(maxsplit=3)
        if token.type == tokenize.COMMENT and tuple(words[:2]) == MARK:
            line = token.start[0]
            begin, end = _span(line, spans)
            rule, reason = [*words[2:], "", ""][:2]
            found.append(Allowance(line, rule, reason, begin, end))
    return found


def _span(line: int, spans: Iterable[tuple[int, int]]) -> tuple[int, int]:
    """Return the statement on or around a line, else the next one.

    A block around a comment that stands alone in it is not meant: its next statement is.
    """
    spans = list(spans)
    around = [s for s in spans if s[0] <= line <= s[1]]
    smallest = min(around, key=lambda s: s[1] - s[0], default=None)
    following = min((s for s in spans if s[0] > line), key=lambda s: (s[0], -s[1]), default=None)
    if smallest is None or (following and smallest[1] >= following[0] and line != smallest[0]):
        return following or (line, line)
    return smallest


def heed_allowances(
    findings: Iterable[Finding], allowances: Iterable[Allowance], revision: str, file: str
) -> Iterator[Finding]:
    """Return the findings of a script, the allowed ones with the reason.

    An allowance without a reason allows nothing, and is told; so is one that nothing needs.
    """
    allowances, used = list(allowances), set()
    for finding in findings:
        found = next((a for a in allowances if a.covers(finding)), None)
        used.add(found)
        yield replace(finding, allowed=found.reason) if found else finding
    for allowance in allowances:
        told = Finding(revision, file, allowance.line, UNUSED, "", "")
        if not allowance.rule or not allowance.reason:
            yield replace(
                told,
                rule=UNREASONED,
                why="the comment gives no reason why it is allowed",
                instead="write `# tenantmig: allow RULE` and then the reason",
            )
        elif allowance not in used:
            yield replace(
                told,
                why=f"there is no finding of {allowance.rule} here",
                instead="remove the comment, or correct its rule or its place",
            )

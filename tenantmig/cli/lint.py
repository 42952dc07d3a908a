"""The command that looks for unsafe SQL in the history."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from tenantmig.cli.annotations import github_lines, sarif, shown_path
from tenantmig.cli.exits import FOUND, OK
from tenantmig.cli.invocation import open_fleet
from tenantmig.cli.options import JsonFlag
from tenantmig.cli.printing import console, print_json, say_command
from tenantmig.lint import OURS, SQUAWK, Choice, Finding, LintReport, Severity


class Format(StrEnum):
    """How findings are written."""

    TEXT = "text"
    JSON = "json"
    GITHUB = "github"
    SARIF = "sarif"


class Source(StrEnum):
    """Whose rules are asked."""

    TENANTMIG = OURS
    SQUAWK = SQUAWK


def lint(
    ctx: typer.Context,
    revisions: Annotated[
        str | None,
        typer.Argument(
            metavar="REV:REV",
            help="As `alembic history -r` takes it: A:B (both included), A:, :B, -3:; or one"
            " revision. All by default.",
            show_default=False,
        ),
    ] = None,
    form: Annotated[
        Format, typer.Option("--format", help="How findings are written.")
    ] = Format.TEXT,
    json: JsonFlag = False,
    min_severity: Annotated[
        Severity, typer.Option("--min-severity", help="Leave out what is less; info is style.")
    ] = Severity.WARNING,
    only: Annotated[
        list[str] | None,
        typer.Option("--only", metavar="RULE", help="Only this rule, repeatable, or with commas."),
    ] = None,
    source: Annotated[
        Source | None, typer.Option("--source", help="Only rules of tenancy, or only squawk's.")
    ] = None,
    pg_version: Annotated[
        str | None,
        typer.Option(
            "--pg-version",
            metavar="MAJOR",
            help="Your oldest PostgreSQL, for squawk [as .squawk.toml says, else the newest].",
        ),
    ] = None,
) -> int:
    """Look for SQL that is unsafe or breaks tenancy: squawk's rules, and rules of tenancy.

    Asks no database. Exits with 5 when there are findings. A line of a script may say
    `# tenantmig: allow RULE reason`.
    """
    rules = tuple(rule.strip() for words in only or () for rule in words.split(","))
    choice = Choice(min_severity, rules, None if source is None else source.value)
    report = open_fleet(ctx).lint(revisions, pg_version, choice)
    chosen = Format.JSON if json else form
    if chosen is Format.JSON:
        print_json(lint_json(report))
    elif chosen is Format.SARIF:
        print_json(sarif(report))
    elif chosen is Format.GITHUB:
        for line in github_lines(report):
            say_command(line)
    else:
        print_lint(report)
    return OK if report.is_clean else FOUND


def lint_json(report: LintReport) -> dict[str, object]:
    """Return what lint found, as JSON."""
    return {
        "revisions": list(report.revisions),
        "findings": [_finding_json(finding) for finding in report.findings],
        "allowed": [
            {**_finding_json(finding), "reason": finding.allowed} for finding in report.allowed
        ],
    }


def _finding_json(finding: Finding) -> dict[str, object]:
    return {
        "revision": finding.revision,
        "file": shown_path(finding),
        "line": finding.line,
        "rule": finding.rule,
        "source": finding.source,
        "severity": finding.severity.value,
        "why": finding.why,
        "instead": finding.instead,
    }


def print_lint(report: LintReport) -> None:
    """Print the findings, and how many there are."""
    out = console()
    for finding in report.findings:
        place = f"{shown_path(finding)}:{finding.line}"
        out.print(f"{place}: {finding.rule} (revision {finding.revision}): {finding.why}")
        out.print(f"    instead: {finding.instead}")
    allowed = f", {len(report.allowed)} allowed" if report.allowed else ""
    found, looked_at = len(report.findings), len(report.revisions)
    out.print(f"{_count(found, 'finding')} in {_count(looked_at, 'revision')}{allowed}")


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"

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
            help="The revisions to check [all]: one revision, or a range as `alembic history -r`"
            " takes it. A:B includes both; A:, :B and -3: are ranges too.",
            show_default=False,
        ),
    ] = None,
    form: Annotated[
        Format, typer.Option("--format", help="The form in which findings are printed.")
    ] = Format.TEXT,
    json: JsonFlag = False,
    min_severity: Annotated[
        Severity,
        typer.Option(
            "--min-severity", help="Leave out findings below this severity; info is style."
        ),
    ] = Severity.WARNING,
    only: Annotated[
        list[str] | None,
        typer.Option(
            "--only",
            metavar="RULE",
            help="Use only this rule. May be repeated, or list rules with commas.",
        ),
    ] = None,
    source: Annotated[
        Source | None,
        typer.Option("--source", help="Use only tenantmig's rules, or only squawk's."),
    ] = None,
    pg_version: Annotated[
        str | None,
        typer.Option(
            "--pg-version",
            metavar="MAJOR",
            help="The oldest PostgreSQL that you use, for squawk [the one in .squawk.toml, else the"
            " newest].",
        ),
    ] = None,
) -> int:
    """Find SQL in the history that is unsafe or breaks tenancy.

    The rules are squawk's and tenantmig's own. No database is used. The exit code is 5 when there
    are findings. To allow one, write the comment `# tenantmig: allow RULE reason` in the script.
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

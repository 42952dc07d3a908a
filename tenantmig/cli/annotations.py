"""Findings in the forms that code hosts read: GitHub's workflow commands, and SARIF 2.1.0."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any
from urllib.parse import quote

from tenantmig.domain.safe_text import lines
from tenantmig.lint import SQUAWK, Finding, LintReport

SARIF_SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"


def shown_path(finding: Finding) -> str:
    """Write the script's path from here, where it lies below; code hosts know no other."""
    path, here = Path(finding.file).resolve(), Path.cwd()
    return path.relative_to(here).as_posix() if path.is_relative_to(here) else str(path)


def github_lines(report: LintReport) -> Iterator[str]:
    """Write an error annotation for each finding (GitHub docs, "Workflow commands")."""
    for finding in report.findings:
        place = f"file={_property(shown_path(finding))},line={finding.line}"
        title = _property(f"{finding.rule} (revision {finding.revision})")
        yield f"::error {place},title={title}::{_data(_message(finding))}"


def _message(finding: Finding) -> str:
    return f"{finding.why}. Instead: {finding.instead}."


def _data(text: str) -> str:
    """Write a message as GitHub reads it: escaped, on one line."""
    return lines(text).replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")


def sarif(report: LintReport) -> dict[str, Any]:
    """Return the report as a SARIF log; what a script allows is in it as suppressed."""
    findings = [*report.findings, *report.allowed]
    rules = sorted({(finding.rule, finding.source) for finding in findings})
    driver = {
        "name": "tenantmig",
        "version": version("tenantmig"),
        "rules": [_rule(rule, source) for rule, source in rules],
    }
    results = [
        _result(finding, rules.index((finding.rule, finding.source))) for finding in findings
    ]
    run = {"tool": {"driver": driver}, "columnKind": "unicodeCodePoints", "results": results}
    return {"$schema": SARIF_SCHEMA, "version": "2.1.0", "runs": [run]}


def _rule(rule: str, source: str) -> dict[str, Any]:
    described: dict[str, Any] = {"id": rule, "name": rule, "properties": {"tags": [source]}}
    if source == SQUAWK:
        described["helpUri"] = f"https://squawkhq.com/docs/{rule}"
    return described


def _result(finding: Finding, rule_index: int) -> dict[str, Any]:
    place = {
        "artifactLocation": {"uri": _uri(finding)},
        "region": {"startLine": finding.line},
    }
    result: dict[str, Any] = {
        "ruleId": finding.rule,
        "ruleIndex": rule_index,
        "level": "error",
        "message": {"text": _message(finding)},
        "locations": [{"physicalLocation": place}],
        "properties": {"revision": finding.revision},
    }
    if finding.allowed is not None:
        result["suppressions"] = [{"kind": "inSource", "justification": finding.allowed}]
    return result


def _uri(finding: Finding) -> str:
    """A relative reference in percent-encoding, or a file: URI where it lies elsewhere."""
    path = Path(shown_path(finding))
    return path.as_uri() if path.is_absolute() else quote(path.as_posix())

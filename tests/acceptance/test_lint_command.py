"""`tenantmig lint`, as a user runs it: exit codes and formats, with no database."""

from __future__ import annotations

from pathlib import Path

import pytest

from tenantmig.cli.annotations import github_lines
from tenantmig.lint import Finding, LintReport
from tests.fixtures.command import Project
from tests.fixtures.history import write_history

SCRIPTS = (
    ("a1", 'op.execute("CREATE TABLE users (id bigint PRIMARY KEY)")', "op.drop_table('users')"),
    ("a2", 'op.execute("ALTER TABLE public.plans ADD x bigint")  # 100%'),
    (
        "a3",
        "op.execute('DROP RULE r ON acme.v')  # tenantmig: allow hard-coded-schema it stays",
    ),
)


@pytest.fixture
def linted(tmp_path: Path) -> Project:
    """A project with two findings, one of them allowed, whose database is not there."""
    history = write_history(tmp_path / "my history", *SCRIPTS)
    return Project(tmp_path, "postgresql://nobody@127.0.0.1:1/nothing", history)


def test_findings_exit_with_5(linted: Project) -> None:
    result = linted.run("lint", expect=5)
    why = (
        "public.plans is locked once for each tenant, and the lock blocks all other tenants"
        " and the application"
    )
    assert result.out.splitlines() == [
        f"my history/versions/a2.py:12: shared-table-lock (revision a2): {why}",
        "    instead: change it once, outside the tenants' history; read it without a lock",
        "1 finding in 3 revisions, 1 allowed",
    ]
    assert not result.err


@pytest.mark.slow
def test_no_finding_exits_with_0(linted: Project) -> None:
    assert linted.run("lint", ":a1").out == "0 findings in 1 revision\n"
    assert linted.run("lint", "a3", "--format", "github").out == ""
    assert linted.run("lint", "a3:").out == "0 findings in 1 revision, 1 allowed\n"
    assert "in 2 revisions" in linted.run("lint", "-1:", expect=5).out


@pytest.mark.slow
@pytest.mark.parametrize("flags", [("--json",), ("--format", "json")])
def test_json(linted: Project, flags: tuple[str, ...]) -> None:
    found = linted.run("lint", *flags, expect=5).json
    assert found["revisions"] == ["a1", "a2", "a3"]
    [finding] = found["findings"]
    keys = {"revision", "file", "line", "rule", "source", "severity", "why", "instead"}
    assert set(finding) == keys
    assert finding["severity"] == "warning"
    assert linted.run("lint", "--json", "--min-severity", "error").json["findings"] == []
    assert linted.run("lint", "--json", "--source", "squawk").json["findings"] == []
    only = ("--only", "shared-table-lock,lossy-downgrade")
    assert len(linted.run("lint", "--json", *only, expect=5).json["findings"]) == 1
    assert "There is no rule 'nope'" in linted.refuse("lint", "--only", "nope")
    assert (finding["revision"], finding["line"], finding["source"]) == ("a2", 12, "tenantmig")
    assert finding["file"] == "my history/versions/a2.py"
    [allowed] = found["allowed"]
    assert (allowed["rule"], allowed["reason"]) == ("hard-coded-schema", "it stays")


def test_github_annotations(linted: Project) -> None:
    [line] = linted.run("lint", "--format", "github", expect=5).out.splitlines()
    place = "file=my history/versions/a2.py,line=12,title=shared-table-lock (revision a2)"
    assert line.startswith(f"::error {place}::public.plans is locked")


def test_github_annotations_escape_what_github_would_read() -> None:
    finding = Finding("a1", "/a,b:c/100%.py", 3, "r", "first\nsecond 100%", "x")
    [line] = github_lines(LintReport(("a1",), (finding,)))
    title = "r (revision a1)"
    assert line == (
        f"::error file=/a%2Cb%3Ac/100%25.py,line=3,title={title}::"
        "first%0Asecond 100%25. Instead: x."
    )


def test_sarif(linted: Project) -> None:
    log = linted.run("lint", "--format", "sarif", expect=5).json
    assert (log["version"], len(log["runs"])) == ("2.1.0", 1)
    [run] = log["runs"]
    driver = run["tool"]["driver"]
    assert driver["name"] == "tenantmig"
    for result in run["results"]:
        assert driver["rules"][result["ruleIndex"]]["id"] == result["ruleId"]
        assert result["message"]["text"]
        [place] = [found["physicalLocation"] for found in result["locations"]]
        assert place["artifactLocation"]["uri"].startswith("my%20history/versions/a")
        assert place["region"]["startLine"] == 12
    suppressed = {r["ruleId"]: r.get("suppressions") for r in run["results"]}
    assert suppressed == {
        "shared-table-lock": None,
        "hard-coded-schema": [{"kind": "inSource", "justification": "it stays"}],
    }


def test_an_unknown_revision_is_refused(linted: Project) -> None:
    assert "'nope:'" in linted.refuse("lint", "nope:")


def test_without_a_database_url_it_runs(linted: Project) -> None:
    linted.url = ""
    linted.run("lint", ":a1")


def test_what_a_script_prints_is_no_part_of_the_result(linted: Project) -> None:
    script = linted.folder / "my history" / "versions" / "a1.py"
    script.write_text(script.read_text().replace("op.drop", "print('hello'); op.drop"))
    assert "hello" not in linted.run("lint", "--json", expect=5).out

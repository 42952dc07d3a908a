"""Refused revisions and broken histories: no database is touched."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from tests.fixtures.command import BROKEN, Project, untouched, with_history
from tests.fixtures.database import Database

OFFENCES = {
    "syntax_error": ("aa02_broken.py", "line 9", "syntax error"),
    "cannot_import": ("aa02_broken.py", "line 3", "no_such_library"),
    "cycle": ("aa02", "aa03", "broken"),
    "missing_parent": ("aa02_lost", "aa03", "broken"),
    "duplicate_id": ("aa02", "more than once", "broken"),
}


@pytest.mark.parametrize("scenario", OFFENCES)
def test_broken_history(scenario: str, tmp_path: Path, database: Database) -> None:
    project = with_history(scenario, tmp_path, database)
    with untouched(database):
        for command in (("onboard", "acme"), ("upgrade",), ("status",)):
            error = project.refuse(*command)
            for named in OFFENCES[scenario]:
                assert named in error


@pytest.mark.slow
def test_history_that_breaks_under_a_fleet(
    tmp_path: Path, project: Project, database: Database
) -> None:
    project.run("onboard", "acme", "--to", "0012")
    shutil.copytree(BROKEN / "syntax_error", tmp_path / "history")
    broken = Project(tmp_path, project.url, tmp_path / "history")
    with untouched(database):
        for command in (("upgrade", "--json"), ("downgrade", "aa01", "--all", "--json")):
            result = broken.run(*command, expect=2)
            assert not result.err
            error = json.loads(result.out)["error"]
            assert error["type"] == "HistoryError"
            assert "aa02_broken.py, line 9" in error["message"]


@pytest.mark.slow
def test_two_heads_and_ambiguous_prefix(tmp_path: Path, database: Database) -> None:
    project = with_history("two_heads", tmp_path, database)
    with untouched(database):
        for command in (("onboard", "acme"), ("upgrade",), ("plan", "head")):
            error = project.refuse(*command)
            assert "2 heads (aa02a, aa02b)" in error
            assert "alembic merge heads" in error
        for prefix in (("upgrade", "aa02"), ("onboard", "acme", "--to", "aa02")):
            error = project.refuse(*prefix)
            assert "'aa02'" in error
            assert "aa02a" in error
            assert "aa02b" in error


@pytest.mark.slow
def test_two_heads_with_a_choice(tmp_path: Path, database: Database) -> None:
    project = with_history("two_heads", tmp_path, database)
    project.run("onboard", "acme", "--to", "aa02a")
    project.run("onboard", "beta", "--to", "heads")
    query = "SELECT version_num FROM {}.alembic_version ORDER BY 1"
    assert database.fetch(query.format("acme")) == [("aa02a",)]
    assert database.fetch(query.format("beta")) == [("aa02a",), ("aa02b",)]


@pytest.mark.slow
def test_unknown_revision(project: Project, database: Database) -> None:
    project.run("onboard", "acme", "--to", "0012")
    commands = [
        ("upgrade", "9999"),
        ("downgrade", "9999", "-t", "acme"),
        ("onboard", "beta", "--to", "9999"),
        ("stamp", "9999", "-t", "acme"),
        ("plan", "9999"),
    ]
    with untouched(database):
        for command in commands:
            error = project.refuse(*command)
            assert "'9999'" in error
            assert "`alembic history` lists them" in error
        for word in ("0012:0014", "0013 0014"):
            assert repr(word) in project.refuse("upgrade", word)


@pytest.mark.slow
def test_empty_revision(project: Project, database: Database) -> None:
    with untouched(database):
        for command in (("upgrade", ""), ("downgrade", "", "--all"), ("stamp", "", "--all")):
            assert "''" in project.refuse(*command)

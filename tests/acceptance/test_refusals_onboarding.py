"""A failed onboarding leaves nothing; an offboarding that would take others along is refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.fixtures.command import Project, untouched, with_history
from tests.fixtures.database import Database
from tests.fixtures.oracles import catalog


@pytest.mark.slow
def test_onboarding_that_fails_halfway(tmp_path: Path, database: Database) -> None:
    project = with_history("fails_halfway", tmp_path, database)
    project.run("onboard", "older", "--to", "aa02")
    with untouched(database, besides=("tenantmig",)):
        result = project.run("onboard", "acme", "beta", "--json", expect=3)
    assert "Traceback" not in result.err
    assert result.json["counts"] == {"failed": 2}
    for tenant in result.json["tenants"]:
        assert tenant["sqlstate"] == "42P01"
        assert "revision aa03" in tenant["error"]
        assert "no_such_table" in tenant["error"]
        assert tenant["to"] is None
    assert database.fetch("SELECT name FROM tenantmig.tenant") == [("older",)]
    script = project.script_location / "versions" / "aa03_broken.py"
    script.write_text(script.read_text().replace("no_such_table", "invoices"))
    report = project.run("onboard", "acme", "beta", "--json").json
    assert report["counts"] == {"onboarded": 2}
    project.run("upgrade")
    with database.connect() as connection:
        assert catalog(connection, "acme") == catalog(connection, "older")
        assert catalog(connection, "beta") == catalog(connection, "older")


@pytest.mark.slow
def test_offboard_asks_for_yes(project: Project, database: Database) -> None:
    project.run("onboard", "acme")
    with untouched(database):
        error = project.refuse("offboard", "acme")
        assert "--yes" in error
        error = json.loads(project.run("offboard", "acme", "--json", expect=2).out)["error"]
        assert error["type"] == "SelectionError"
    project.run("offboard", "acme", "--yes")
    assert database.fetch("SELECT FROM pg_namespace WHERE nspname = 'acme'") == []


VIEW = """
    CREATE SCHEMA reports;
    CREATE VIEW reports.open_tasks AS SELECT id FROM acme.tasks;
"""
FOREIGN_KEY = """
    CREATE TABLE beta.copies (
        original bigint CONSTRAINT fk_copies_original REFERENCES acme.tasks (id)
    );
"""
OUTSIDE = {
    "view": (VIEW, ("open_tasks",)),
    "foreign key": (FOREIGN_KEY, ("fk_copies_original",)),
}


@pytest.mark.slow
@pytest.mark.parametrize("case", OUTSIDE)
def test_offboard_when_others_depend(case: str, project: Project, database: Database) -> None:
    statements, dependants = OUTSIDE[case]
    project.run("onboard", "acme", "beta", "other", "--to", "0005")
    database.execute(statements)
    with untouched(database, besides=("tenantmig", "other")):
        result = project.run("offboard", "acme", "other", "--yes", "--json", expect=3)
    outcomes = {tenant["tenant"]: tenant for tenant in result.json["tenants"]}
    assert outcomes["other"]["outcome"] == "offboarded"
    assert outcomes["acme"]["outcome"] == "failed"
    for name in dependants:
        assert name in outcomes["acme"]["error"]
    assert "nothing was dropped" in outcomes["acme"]["error"]
    registered = database.fetch("SELECT name, state FROM tenantmig.tenant ORDER BY 1")
    assert registered == [("acme", "active"), ("beta", "active")]

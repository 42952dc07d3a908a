"""A tenant that cannot be trusted fails before any DDL; the others go on; the exit code is 3."""

from __future__ import annotations

from typing import Any

import pytest

from tests.fixtures.command import Project, untouched
from tests.fixtures.database import Database

REASONS = {
    "without": "no version table (alembic_version)",
    "two_rows": "2 rows (0010, 0012), and 0010 is an ancestor",
    "unknown": "'0012_of_a_fork', which is not in this history",
    "emptied": "version table is empty, but the schema has tables",
    "dropped": "the tenant schema does not exist",
}
OFFENCES = """
    DROP TABLE without.alembic_version;
    INSERT INTO two_rows.alembic_version VALUES ('0010');
    UPDATE unknown.alembic_version SET version_num = '0012_of_a_fork';
    DELETE FROM emptied.alembic_version;
    DROP SCHEMA dropped CASCADE;
"""


def errors(report: dict[str, Any]) -> dict[str, str]:
    """Return the error of each tenant that failed, and see that nothing was tried on it."""
    failed = [tenant for tenant in report["tenants"] if tenant["outcome"] == "failed"]
    assert [tenant["attempts"] for tenant in failed] == [0] * len(failed)
    return {tenant["tenant"]: tenant["error"] for tenant in failed}


@pytest.mark.slow
def test_tenants_that_cannot_be_trusted(project: Project, database: Database) -> None:
    project.run("onboard", "good", *REASONS, "--to", "0012")
    database.execute(OFFENCES)
    with untouched(database, besides=("tenantmig", "good")):
        result = project.run("upgrade", "--json", expect=3)
        report = result.json
        assert report["state"] == "incomplete"
        assert report["counts"] == {"upgraded": 1, "failed": 5}
        assert "Traceback" not in result.err
        found = errors(report)
        assert found.keys() == REASONS.keys()
        for tenant, reason in REASONS.items():
            assert reason in found[tenant]
        shown = project.run("show", str(report["run"]), "--json").json
        assert errors(shown) == found
        text = project.run("downgrade", "-1", "--all", "--yes", expect=3).out
        for tenant, reason in REASONS.items():
            assert f"{tenant}: failed" in text
            assert reason in text
    assert database.fetch("SELECT version_num FROM good.alembic_version") == [("0014",)]
    with untouched(database):
        status = project.run("status", "--json").json
        problems = {tenant["tenant"]: tenant["problem"] for tenant in status["tenants"]}
        assert problems.pop("good") is None
        assert problems == found
        assert (status["summary"]["failed"], status["summary"]["unknown"]) == (0, 5)
        plan = project.run("plan", "--json").json
        assert {problem["tenant"] for problem in plan["problems"]} == REASONS.keys()


@pytest.mark.slow
def test_downgrade_without_selection(project: Project, database: Database) -> None:
    project.run("onboard", "acme", "--to", "0008")
    with untouched(database):
        for command in (("downgrade", "0007"), ("downgrade", "-1", "--skip", "acme", "--yes")):
            error = project.refuse(*command)
            assert "--tenant" in error
            assert "--all" in error
        assert "--tenant" in project.refuse("stamp", "0007")


@pytest.mark.slow
def test_downgrade_across_an_irreversible_revision(project: Project, database: Database) -> None:
    project.run("onboard", "acme", "beta", "--to", "0008")
    with untouched(database):
        error = project.refuse("downgrade", "0004", "-t", "acme", "--yes")
        assert "Revision 0006 cannot be downgraded (the password hashes were destroyed)" in error
        assert "the path of 1 tenant includes it: acme" in error
        assert "--skip-irreversible" in error
    left = project.run(
        "downgrade", "0004", "--all", "--skip-irreversible", "--json", "--yes", expect=3
    ).json
    assert left["counts"] == {"skipped": 2}
    # Alembic, alone, goes as far as it can.
    alone = project.alembic("-x", "tenant=beta", "downgrade", "0004", expect=None)
    assert alone.code != 0
    assert "cannot be downgraded" in alone.out

"""The main job through the installed command, on both servers."""

from __future__ import annotations

import pytest

from tests.fixtures.command import Project


@pytest.mark.core
@pytest.mark.parametrize("name", ["project", pytest.param("project16", marks=pytest.mark.slow)])
def test_onboard_roll_and_bring_back(name: str, request: pytest.FixtureRequest) -> None:
    project: Project = request.getfixturevalue(name)
    project.is_installed = True
    project.run("onboard", "acme", "beta", "--to", "0012")
    before = project.run("status", "--json").json
    assert before["summary"] == {
        "tenants": 2,
        "at_head": 0,
        "behind": 2,
        "ahead": 0,
        "unknown": 0,
        "failed": 0,
        "in_doubt": 0,
    }
    assert [tenant["pending"] for tenant in before["tenants"]] == [3, 3]
    report = project.run("upgrade", "--json").json
    assert report["state"] == "complete"
    assert report["counts"] == {"upgraded": 2}
    back = project.run("downgrade", "-2", "-t", "acme", "--json", "--yes").json
    assert back["counts"] == {"downgraded": 1}
    assert [(t["tenant"], t["from"], t["to"]) for t in back["tenants"]] == [
        ("acme", "0015", "0013")
    ]
    assert project.alembic("-x", "tenant=acme", "current").out.split()[0] == "0013"
    assert project.alembic("-x", "tenant=beta", "current").out.split()[0] == "0015"

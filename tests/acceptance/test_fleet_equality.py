"""Every tenant is what plain Alembic makes, whatever ran beside it."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest

from tests.fixtures.command import Project
from tests.fixtures.database import Database
from tests.fixtures.oracles import catalog, shared_mark

ODD = "n" * 63


def golden(project: Project, database: Database, revision: str) -> dict[str, Any]:
    """What plain Alembic makes of an empty schema, without tenantmig's driver."""
    name = f"golden_{revision}"
    database.execute(f"CREATE SCHEMA {name}")
    project.alembic("-x", f"tenant={name}", "upgrade", revision)
    with database.connect() as connection:
        return catalog(connection, name)


def assert_all_equal(database: Database, names: list[str], expected: dict[str, Any]) -> None:
    with database.connect() as connection:
        differing = [name for name in names if catalog(connection, name) != expected]
    assert differing == []


@pytest.mark.slow
@pytest.mark.parametrize(("version", "count"), [("", 100), ("16", 30)])
def test_tenants_onboard_roll_and_come_back(
    version: str, count: int, request: pytest.FixtureRequest
) -> None:
    project: Project = request.getfixturevalue(f"project{version}")
    database: Database = request.getfixturevalue(f"database{version}")
    names = [f"t{number:03d}" for number in range(count - 1)] + [ODD]
    (project.folder / "names.csv").write_text("\n".join(names))
    head, back = golden(project, database, "0015"), golden(project, database, "0013")
    report = project.run("onboard", "--from-file", "names.csv", "--to", "0013", "--json").json
    assert report["counts"] == {"onboarded": count}
    assert_all_equal(database, names, back)
    report = project.run("upgrade", "--json").json
    assert report["counts"] == {"upgraded": count}
    assert_all_equal(database, names, head)
    report = project.run("downgrade", "0013", "-t", "t00*", "-t", ODD, "--json", "--yes").json
    assert report["counts"] == {"downgraded": 11}
    moved = [*names[:10], ODD]
    assert_all_equal(database, moved, back)
    assert_all_equal(database, [name for name in names if name not in moved], head)
    summary = project.run("status", "--json").json["summary"]
    assert summary == {
        "tenants": count,
        "at_head": count - 11,
        "behind": 11,
        **dict.fromkeys(("ahead", "unknown", "failed", "in_doubt"), 0),
    }


@pytest.mark.slow
def test_four_workers_never_interfere(project: Project, database: Database) -> None:
    """20 tenants through the whole history, three times over, four at a time."""
    names = [f"tenant_{number}" for number in range(20)]
    head, middle = golden(project, database, "0015"), golden(project, database, "0006")
    with database.connect() as connection:
        shared = shared_mark(connection)
    project.run("onboard", *names, "--parallel", "4")
    assert_all_equal(database, names, head)
    for _ in range(2):
        report = project.run(
            "downgrade", "0006", "--all", "--parallel", "4", "--json", "--yes"
        ).json
        assert report["counts"] == {"downgraded": 20}
        assert_all_equal(database, names, middle)
        report = project.run("upgrade", "--parallel", "4", "--json").json
        assert report["counts"] == {"upgraded": 20}
        assert_all_equal(database, names, head)
    with database.connect() as connection:
        assert shared_mark(connection) == shared


@pytest.mark.slow
def test_names_that_need_quotes(project: Project, database: Database) -> None:
    project.settings('names = "wide"\n')
    names = ['We"ird Näme', "id", "users", "Großkunde; DROP", "a%b:c"]
    head = golden(project, database, "0015")
    project.run("onboard", *names)
    assert_all_equal(database, names, head)
    project.run("downgrade", "0012", "--all", "--yes")
    project.run("upgrade")
    assert_all_equal(database, names, head)
    shown = project.run("status", "--json").json
    assert sorted(tenant["tenant"] for tenant in shown["tenants"]) == sorted(names)
    assert project.alembic("-x", f"tenant={names[0]}", "current").out.startswith("0015")
    sql = psycopg.sql.Identifier(names[0]).as_string()
    assert sql in project.alembic("-x", f"tenant={names[0]}", "upgrade", "head", "--sql").out


@pytest.mark.slow
def test_the_sql_that_plan_prints_makes_the_same(project: Project, database: Database) -> None:
    project.run("onboard", "acme", "--to", "0012")
    printed = project.run("plan", "--sql").out
    head = golden(project, database, "0015")
    with database.connect() as connection:
        connection.execute(printed.encode())
    assert_all_equal(database, ["acme"], head)

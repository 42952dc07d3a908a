"""Histories that nobody here wrote, unchanged (docs/why/published-histories.md)."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tenantmig import Fleet
from tests.fixtures.command import Project
from tests.fixtures.database import Database
from tests.fixtures.oracles import catalog, content
from tests.fixtures.published import PublishedHistory
from tests.fixtures.server import AnyServer

pytestmark = pytest.mark.timeout(3600)  # on a loaded machine; the first run fetches 50 MB of wheels

TENANTS = ["n" * 63, 'We"ird Näme; DROP'] + [f"tenant_{number:02d}" for number in range(6)]


@pytest.fixture
def plain_database(server: AnyServer) -> Iterator[Database]:
    """A database for plain Alembic, whose `public` is a schema like any that a user creates.

    The one that CREATE DATABASE makes has an owner, rights and a comment of its own.
    """
    name = f"test_{uuid.uuid4().hex}"
    server.execute_admin(f"CREATE DATABASE {name} TEMPLATE template0")
    try:
        database = Database(server, name)
        database.execute("DROP SCHEMA public; CREATE SCHEMA public")
        yield database
        database.close_connections()
    finally:
        server.execute_admin(f"DROP DATABASE {name} WITH (FORCE)")


def described(database: Database, *schemas: str) -> list[dict[str, Any]]:
    """The catalog of each schema and how many rows each table has.

    Not the rows: Langflow's scripts insert uuid4() and now().
    """
    with database.connect() as connection:
        return [
            catalog(connection, schema)
            | {"rows": {table: len(rows) for table, rows in content(connection, schema).items()}}
            for schema in schemas
        ]


def plainly(project: Project, database: Database, direction: str, revision: str) -> dict[str, Any]:
    """What plain Alembic makes of `public`."""
    project.alembic(direction, revision)
    (description,) = described(database, "public")
    return description


def assert_equal(database: Database, tenants: list[str], expected: dict[str, Any]) -> None:
    descriptions = dict(zip(tenants, described(database, *tenants), strict=True))
    assert [name for name in tenants if descriptions[name] != expected] == []


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "count", "down", "versions"),
    [
        ("langflow", 3, "df1410b1eefa", ["a7c2e94d1f36", "d42f18a9b760", "df1410b1eefa"]),
        ("optuna", 8, "-2", ["v3.0.0.c"]),
        ("mlflow_auth", 8, "-3", ["2ed73881770d"]),
    ],
)
def test_tenants_to_head_some_down_and_to_head_again(
    name: str,
    count: int,
    down: str,
    versions: list[str],
    published: dict[str, PublishedHistory],
    tmp_path: Path,
    database: Database,
    plain_database: Database,
) -> None:
    plain = published[name].plain_project(tmp_path / "plain", plain_database.url)
    head = plainly(plain, plain_database, "upgrade", "head")
    back = plainly(plain, plain_database, "downgrade", down)
    again = plainly(plain, plain_database, "upgrade", "head")
    assert back["version"] == {"alembic_version": [f"({version})" for version in versions]}
    assert back["columns"] != head["columns"]

    project = published[name].project(tmp_path / "ours", database.url)
    project.settings('names = "wide"\nparallel = 4\n')
    tenants = TENANTS[:count]
    report = project.run("onboard", *tenants, "--json").json
    assert report["counts"] == {"onboarded": count}
    assert_equal(database, tenants, head)
    report = project.run("downgrade", down, "--all", "--json", "--yes").json
    assert report["counts"] == {"downgraded": count}
    assert_equal(database, tenants, back)
    report = project.run("upgrade", "--json").json
    assert report["counts"] == {"upgraded": count}
    assert_equal(database, tenants, again)


@pytest.mark.slow
def test_a_script_that_names_the_default_schema_stays_in_its_tenant(
    published: dict[str, PublishedHistory],
    tmp_path: Path,
    database: Database,
    plain_database: Database,
) -> None:
    """The downgrade alters `file` in `dialect.default_schema_name or "public"`, explicitly."""
    revision = "d37bc4322900"
    plain = published["langflow"].plain_project(tmp_path / "plain", plain_database.url)
    plain.alembic("upgrade", revision)
    back = plainly(plain, plain_database, "downgrade", "-1")
    project = published["langflow"].project(tmp_path / "ours", database.url)
    project.run("onboard", "acme", "--to", revision)
    (before,) = described(database, "acme")
    project.run("downgrade", "-1", "--all", "--yes")
    assert before["constraints"] != back["constraints"]
    assert_equal(database, ["acme"], back)


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", [pytest.param("langflow", marks=pytest.mark.full), "optuna", "mlflow_auth"]
)
def test_the_default_engine_makes_what_plain_alembic_makes(
    name: str, published: dict[str, PublishedHistory], tmp_path: Path, database: Database
) -> None:
    """Over made-up rows, but for Optuna's, which plain Alembic runs in one go only."""
    project = published[name].project(tmp_path / "ours", database.url)
    with Fleet.open(project.ini, database_url=database.url) as fleet:
        report = fleet.check_replay()
    assert report.is_same, report
    assert report.replayed > 0
    assert (report.without_rows is not None) is (name == "optuna")

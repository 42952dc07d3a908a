"""Views, functions, triggers and policies of alembic-utils are each tenant's own."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from psycopg.sql import Identifier

from tenantmig import RunReport, Selection
from tests.fixtures.command import Project
from tests.fixtures.database import Database
from tests.fixtures.entities import described, differences, plainly, write_scenario
from tests.fixtures.rollouts import OpenFleet

NAMES = ["acme", "tenant", "t_1", "tx1", "users", 'W"e.ird %s :d $$', "n" * 63]
REVISIONS = ["e1", "e2", "e3", "e4"]
EVERYBODY = Selection(is_all=True)
OTHER_PATHS = """
    SELECT nspname, proconfig FROM pg_proc JOIN pg_namespace AS n ON n.oid = pronamespace
    WHERE proname = 'touch' AND nspname <> 'golden'
      AND proconfig <> ARRAY['search_path=' || quote_ident(nspname) || ', pg_temp']
"""
"""Functions made under a path that is not written as plain Alembic has it."""


@pytest.mark.slow
@pytest.mark.parametrize("engine", ["alembic", "auto"])
def test_each_tenant_is_what_plain_alembic_makes(
    engine: str, tmp_path: Path, database: Database, open_fleet: OpenFleet
) -> None:
    """Step by step up, down again, and a birth at head; replayed wherever the witnesses were not.

    A materialized view comes and goes, so each step down builds what a step up did not.
    """
    at = plainly(tmp_path, database, "golden")
    Project(tmp_path, database.url, write_scenario(tmp_path))
    fleet = open_fleet(names="wide", engine=engine)
    witnesses = len(NAMES) if engine == "alembic" else 2
    engines = {"alembic": witnesses, "replay": len(NAMES) - witnesses}

    steps: list[Callable[[], RunReport]] = [
        lambda: fleet.onboard(NAMES, "e1"),
        *(partial(fleet.upgrade, revision) for revision in REVISIONS[1:]),
        *(partial(fleet.downgrade, revision, EVERYBODY) for revision in REVISIONS[-2::-1]),
    ]
    for step, revision in zip(steps, [*REVISIONS, *REVISIONS[-2::-1]], strict=True):
        report = step()
        assert report.is_complete, [tenant.error for tenant in report.tenants]
        assert report.obstacles == {}
        took = [(t.tenant, t.engine, t.attempts) for t in report.tenants]
        assert Counter(engine for _, engine, _ in took) == Counter(engines), (revision, took)
        expected = at(revision)
        for name in NAMES:
            assert differences(described(database, name), expected) == [], (name, revision)
    assert database.fetch(OTHER_PATHS) == []
    assert fleet.offboard(Selection(names=tuple(NAMES))).is_complete
    assert fleet.onboard(NAMES).is_complete
    expected = at("e4")
    for name in NAMES:
        assert differences(described(database, name), expected) == [], name
    assert fleet.downgrade("base", EVERYBODY).is_complete
    left = "SELECT relname FROM pg_class WHERE relnamespace = %s::regnamespace AND relkind <> 'i'"
    for name in NAMES:
        schema = Identifier(name).as_string()
        assert database.fetch(left, [schema]) == [("alembic_version",)]


@pytest.mark.slow
def test_the_sql_that_is_printed_makes_the_same(tmp_path: Path, database: Database) -> None:
    at = plainly(tmp_path, database, "golden")
    project = Project(tmp_path, database.url, write_scenario(tmp_path))
    project.settings('names = "wide"\n')
    expected = at("e4")
    for name in ("acme", NAMES[-2]):
        schema = Identifier(name).as_string()
        database.execute(f"CREATE SCHEMA {schema}")
        printed = project.alembic("-x", f"tenant={name}", "upgrade", "head", "--sql").out
        with database.connect() as connection:
            connection.execute(printed.encode())
        assert differences(described(database, name), expected) == [], name


def test_a_schema_that_is_written_out_is_left_alone(
    tmp_path: Path, database: Database, open_fleet: OpenFleet
) -> None:
    """Only the placeholder is a tenant's: "other" is the schema of that name, for whoever runs."""
    history = write_scenario(tmp_path)
    for script in (history / "versions").glob("e[234].py"):
        script.unlink()
    (script := history / "versions" / "e1.py").write_text(
        script.read_text().replace(
            'schema="tenant",\n    signature="greeting', 'schema="other",\n    signature="greeting'
        )
    )
    Project(tmp_path, database.url, history)
    database.execute("CREATE SCHEMA other")
    fleet = open_fleet(names="wide", parallel=1)
    assert fleet.onboard(["acme"]).is_complete
    found = "SELECT pronamespace::regnamespace::text FROM pg_proc WHERE proname = 'greeting'"
    assert database.fetch(found) == [("other",)]


# -- autogenerate ---------------------------------------------------------------------------


@pytest.fixture
def at_head(tmp_path: Path, database: Database) -> Project:
    """A project with tenants at head, of whom two are one to LIKE."""
    project = Project(tmp_path, database.url, write_scenario(tmp_path))
    for name in ("t_1", "tx1"):
        database.execute(f"CREATE SCHEMA {name}")
        project.alembic("-x", f"tenant={name}", "upgrade", "head")
    return project


@pytest.mark.slow
def test_what_is_registered_is_found_unchanged(at_head: Project, database: Database) -> None:
    database.execute("CREATE VIEW tx1.own AS SELECT 1 AS one")
    checked = at_head.alembic("-x", "tenant=t_1", "check")
    assert "No new upgrade operations detected." in checked.out


@pytest.mark.slow
def test_what_was_changed_is_found_and_written_for_any_tenant(
    at_head: Project, database: Database
) -> None:
    """The script that autogenerate writes holds the placeholder, both ways, and works."""
    before = {name: described(database, name) for name in ("t_1", "tx1")}
    models = at_head.script_location / "models.py"
    text = models.read_text()
    for old, new in {
        "where active": "where active is true",
        "'Dear'": "'Hi'",
        "clock_timestamp()": "now()",
        "before update on": "before update of name on",
        "name = CURRENT_USER": "name = SESSION_USER",
    }.items():
        assert old in text
        text = text.replace(old, new)
    models.write_text(text)
    at_head.alembic("-x", "tenant=t_1", "revision", "--autogenerate", "-m", "x", "--rev-id", "e5")
    (script,) = (at_head.script_location / "versions").glob("e5*.py")
    written = script.read_text()
    assert written.count("op.replace_entity(tenant_") == 10
    assert 'schema="tenant"' in written
    assert "t_1" not in written
    for name in ("t_1", "tx1"):
        at_head.alembic("-x", f"tenant={name}", "upgrade", "head")
        checked = at_head.alembic("-x", f"tenant={name}", "check")
        assert "No new upgrade operations detected." in checked.out
        at_head.alembic("-x", f"tenant={name}", "downgrade", "-1")
        assert described(database, name) == before[name]


@pytest.mark.slow
def test_what_is_no_longer_registered_is_dropped_and_what_is_new_created(
    at_head: Project, database: Database
) -> None:
    before = described(database, "tx1")
    models = at_head.script_location / "models.py"
    text = models.read_text().replace("touched, own_rows]", "own_rows, more]")
    more = 'more = PGView(schema="tenant", signature="more", definition="select 1 as one")\n'
    elsewhere = 'PGView(schema="public", signature="lost", definition="select 1 as one")'
    text = text.replace("ENTITIES = [", f"{more}ENTITIES = [{elsewhere}, ")
    models.write_text(text)
    at_head.alembic("-x", "tenant=t_1", "revision", "--autogenerate", "-m", "x", "--rev-id", "e5")
    (script,) = (at_head.script_location / "versions").glob("e5*.py")
    written = script.read_text()
    assert "op.drop_entity(tenant_users_touched)" in written
    assert "op.create_entity(tenant_more)" in written
    assert "lost" not in written
    at_head.alembic("-x", "tenant=tx1", "upgrade", "head")
    assert list(described(database, "tx1")[0]["triggers"]) == []
    at_head.alembic("-x", "tenant=tx1", "downgrade", "-1")
    assert described(database, "tx1") == before

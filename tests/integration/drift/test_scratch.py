"""Scratch schemas: built by the history, gone at the end whatever happens, never anybody else's."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tenantmig import Fleet
from tenantmig.domain.tenant import SCRATCH
from tenantmig.drift.scratch import MARK
from tenantmig.errors import ScratchError, TenantNameError
from tenantmig.fleet.driver import Driver
from tenantmig.settings import load_settings
from tests.fixtures.command import Project
from tests.fixtures.database import Database
from tests.fixtures.history import write_history
from tests.fixtures.oracles import catalog
from tests.fixtures.processes import wait_until
from tests.fixtures.rollouts import ASLEEP, CREATE, adding

SCRATCHES = f"SELECT nspname FROM pg_namespace WHERE nspname LIKE '{SCRATCH}%'"
STAY = """
import sys, time
from tenantmig.fleet.driver import Driver
from tenantmig.settings import load_settings
if __name__ == "__main__":
    settings = load_settings(config=sys.argv[1], database_url=sys.argv[2])
    with Driver(settings).scratch() as scratch:
        scratch.upgrade()
        print(scratch.schema, flush=True)
        time.sleep(300)
"""


@pytest.fixture
def project(tmp_path: Path, database: Database) -> Project:
    history = write_history(tmp_path / "history", CREATE, adding("r2", "b"), adding("r3", "c"))
    return Project(tmp_path, database.url, history)


def driver_of(project: Project) -> Driver:
    return Driver(load_settings(config=project.ini, database_url=project.url))


def catalog_of(database: Database, schema: str) -> dict[str, Any]:
    """Its objects, without what is said of the schema itself."""
    found = catalog(database.connect(), schema)
    return {kind: objects for kind, objects in found.items() if kind != "schema"}


@pytest.mark.slow
def test_the_history_runs_there_as_in_a_tenant(project: Project, database: Database) -> None:
    project.run("onboard", "acme", "beta")
    project.run("downgrade", "r2", "-t", "beta", "--yes")
    with driver_of(project).scratch() as scratch:
        scratch.upgrade("r2")
        assert catalog_of(database, scratch.schema) == catalog_of(database, "beta")
        scratch.upgrade()
        assert catalog_of(database, scratch.schema) == catalog_of(database, "acme")
        scratch.downgrade("r2")
        assert catalog_of(database, scratch.schema) == catalog_of(database, "beta")
        scratch.downgrade()
        assert catalog_of(database, scratch.schema) != catalog_of(database, "beta")
        assert database.fetch(SCRATCHES) == [(scratch.schema,)]
    assert database.fetch(SCRATCHES) == []


def test_a_script_that_fails_is_told_and_the_schema_is_gone(
    tmp_path: Path, database: Database
) -> None:
    failing = ("r2", "op.execute('SELECT 1/0')")
    history = write_history(tmp_path / "history", CREATE, failing)
    driver = driver_of(Project(tmp_path, database.url, history))
    with pytest.raises(ScratchError, match="revision r2: division by zero"), driver.scratch() as s:
        s.upgrade()
    assert database.fetch(SCRATCHES) == []


@pytest.mark.slow
def test_what_a_killed_command_left_is_dropped_by_the_next(
    project: Project, database: Database
) -> None:
    script = project.folder / "stay.py"
    script.write_text(STAY)
    command = [sys.executable, str(script), str(project.ini), project.url]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, start_new_session=True
    ) as living:
        assert living.stdout is not None
        left = living.stdout.readline().strip()
        with driver_of(project).scratch() as other:  # one that is in use stays
            assert set(database.fetch(SCRATCHES)) == {(left,), (other.schema,)}
        assert database.fetch(SCRATCHES) == [(left,)]
        os.killpg(living.pid, signal.SIGKILL)
    with driver_of(project).scratch() as other:
        assert database.fetch(SCRATCHES) == [(other.schema,)]
    assert database.fetch(SCRATCHES) == []


SHARED = ("r1", "op.execute('CREATE TABLE thing (id int REFERENCES core.country)')")


@pytest.mark.slow
def test_nobody_queues_behind_its_end(tmp_path: Path, database: Database) -> None:
    """A foreign key to a shared table: to drop it locks that table, which somebody is reading."""
    database.execute("CREATE SCHEMA core; CREATE TABLE core.country (id int PRIMARY KEY)")
    driver = driver_of(Project(tmp_path, database.url, write_history(tmp_path / "h", SHARED)))
    with database.connect() as reader:
        with driver.scratch() as scratch:
            scratch.upgrade()
            reader.execute("BEGIN; SELECT * FROM core.country")
        assert database.fetch(SCRATCHES) == [(scratch.schema,)]
        reader.execute("ROLLBACK")
    with driver.scratch():
        pass
    assert database.fetch(SCRATCHES) == []


@pytest.mark.slow
def test_ctrl_c_leaves_none(tmp_path: Path, database: Database) -> None:
    sleeping = (
        "r2",
        "op.execute('ALTER TABLE thing ADD b int')\nop.execute('SELECT pg_sleep(99)')",
    )
    history = write_history(tmp_path / "history", CREATE, sleeping)
    command = Project(tmp_path, database.url, history).start("check")
    wait_until(lambda: bool(database.fetch(ASLEEP)), "no script sleeps")
    command.send_signal(signal.SIGINT)
    assert "1 of 2 revisions were checked" in Project.finish(command, expect=130).out
    assert database.fetch(SCRATCHES) == []


def test_a_schema_that_only_has_such_a_name_stays(project: Project, database: Database) -> None:
    database.execute(
        f"CREATE SCHEMA {SCRATCH}of_mine; COMMENT ON SCHEMA {SCRATCH}of_mine IS '{MARK}?'"
    )
    with driver_of(project).scratch():
        pass
    assert database.fetch(SCRATCHES) == [(f"{SCRATCH}of_mine",)]


def test_a_scratch_schema_is_no_tenant(project: Project, database: Database) -> None:
    settings = {"source": "schemas", "source_pattern": "%"}
    driver = driver_of(project)
    with driver.scratch() as scratch:
        listed = Fleet.open(project.ini, database_url=project.url, **settings).tenants()
        assert scratch.schema not in {tenant.schema for tenant in listed}
    database.execute("CREATE SCHEMA acme")
    listed = Fleet.open(project.ini, database_url=project.url, **settings).tenants()
    assert [tenant.name for tenant in listed] == ["acme"]
    with pytest.raises(TenantNameError, match="scratch"):
        Fleet.open(project.ini, database_url=project.url).onboard([f"{SCRATCH}a"])

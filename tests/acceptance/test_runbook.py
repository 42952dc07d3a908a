"""The runbook, as an operator follows it: its own SQL, read out of the page, from red to green.

What no test here follows is tried where the report itself is tested: the budget and the gate in
test_waves and test_gate, signals and kills in test_resume, whole-run stops in tests/faults.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
import typer.main

from tenantmig.cli.app import app
from tests.fixtures.command import REPOSITORY, Project
from tests.fixtures.database import Database
from tests.fixtures.history import write_history
from tests.fixtures.holds import stopped
from tests.fixtures.processes import wait_until
from tests.fixtures.rollouts import reading, stands

CREATE = (
    "r1",
    "op.execute('CREATE TABLE thing (n int)')\nop.execute('INSERT INTO thing VALUES (0)')",
)
OUTSIDE = "with op.get_context().autocommit_block():\n    op.execute('{}')"
COUNT = "UPDATE thing SET n = n + 1"
ASLEEP = "SELECT pid FROM pg_stat_activity WHERE wait_event = 'PgSleep'"
RUN_STATES = "SELECT state FROM tenantmig.run WHERE kind = 'upgrade' ORDER BY id"


def runbook_sql(begin: str) -> str:
    """The statement of the runbook that begins so, without its comment."""
    page = (REPOSITORY / "docs" / "guides" / "failures.md").read_text()
    found = page[page.index(begin) :].split(";")[0]
    return " ".join(found.split())


@pytest.fixture
def acme(tmp_path: Path, database: Database) -> Callable[[str], Project]:
    """One tenant at r1, of a history whose r2 is the revision in question."""

    def onboarded(upgrade: str) -> Project:
        history = write_history(tmp_path / "history", CREATE, ("r2", upgrade))
        project = Project(tmp_path, database.url, history)
        project.settings("attempts = 1\n")
        project.run("onboard", "acme", "--to", "r1")
        return project

    return onboarded


def test_every_command_of_the_runbook_exists() -> None:
    page = (REPOSITORY / "docs" / "guides" / "failures.md").read_text()
    lines = {line.strip().partition("#")[0] for line in page.splitlines()}
    commands = {line.split()[1] for line in lines if line.startswith("tenantmig ")}
    assert {"status", "runs", "show", "resume", "rollback", "restore", "stamp"} <= commands
    assert commands <= set(typer.main.get_group(app).commands)


@pytest.mark.slow
@pytest.mark.parametrize("was_run", [True, False])
def test_nobody_can_tell_whether_this_was_run(
    acme: Callable[[str], Project], database: Database, *, was_run: bool
) -> None:
    slow = f"{COUNT} WHERE pg_sleep(300) IS NOT NULL"
    project = acme(OUTSIDE.format(slow))
    driver = project.start("upgrade", "--json")
    wait_until(lambda: len(database.fetch(ASLEEP)) == 1, "the update runs", 60)
    database.execute(f"SELECT pg_terminate_backend(({ASLEEP}))")
    report = project.finish(driver, expect=3).json
    assert report["counts"] == {"in_doubt": 1}
    assert "it is not known whether it ran" in project.run("resume", expect=3).out
    part = database.fetch(runbook_sql("SELECT * FROM tenantmig.part"))
    assert len(part) == 1
    if was_run:
        database.execute(COUNT.replace("thing", "acme.thing"))
        database.execute(runbook_sql("UPDATE tenantmig.part"))
        assert project.run("resume", "--json").json["counts"] == {"upgraded": 1}
    else:
        database.execute(runbook_sql("DELETE FROM tenantmig.part"))
        waker = threading.Thread(target=_wake, args=(database,))
        waker.start()
        assert "canceling statement" in project.run("resume", expect=3).out  # it is run again
        waker.join()
    assert project.run("status", "--json").json["summary"]["in_doubt"] == 0
    assert database.fetch("SELECT n FROM acme.thing") == [(int(was_run),)]


def _wake(database: Database) -> None:
    wait_until(lambda: len(database.fetch(ASLEEP)) == 1, "the update runs", 60)
    database.execute(f"SELECT pg_cancel_backend(({ASLEEP}))")


@pytest.mark.slow
def test_what_would_be_done_twice_is_finished_by_hand(
    acme: Callable[[str], Project], database: Database
) -> None:
    project = acme(f"op.execute('{COUNT}')\n" + OUTSIDE.format("ALTER TABLE missing ADD b int"))
    project.run("upgrade", expect=3)
    assert "would do it twice" in project.run("resume", expect=3).out
    project.run("stamp", "r2", "-t", "acme")
    summary = project.run("status", "--json").json["summary"]
    assert (summary["at_head"], summary["in_doubt"]) == (1, 0)
    assert database.fetch("SELECT n FROM acme.thing") == [(1,)]
    assert database.fetch("SELECT FROM tenantmig.part") == []


@pytest.mark.slow
def test_who_holds_the_lock_is_found(acme: Callable[[str], Project], database: Database) -> None:
    project = acme("op.execute('ALTER TABLE thing ADD b int')")
    project.settings('lock_timeout = "30s"\n')
    with reading(database, "acme.thing"):
        driver = project.start("upgrade", "--json")
        asked = runbook_sql("SELECT pid, pg_blocking_pids(pid)")
        holders: list[int] = []

        def look() -> bool:
            holders[:] = [pid for _, held_by, *_ in database.fetch(asked) for pid in held_by]
            return bool(holders)

        wait_until(look, "nobody waits", 60)
        database.execute("SELECT pg_terminate_backend(%s)", [holders[0]])
        assert project.finish(driver).json["counts"] == {"upgraded": 1}


@pytest.mark.slow
def test_a_statement_that_takes_too_long_gets_more_time(
    acme: Callable[[str], Project], database: Database
) -> None:
    project = acme("op.execute('SELECT pg_sleep(0.8)')")
    assert "57014" in project.run("upgrade", "--statement-timeout", "300ms", expect=3).out
    project.run("resume", "--statement-timeout", "1h")
    assert stands(database, "acme") == {"acme": "r2"}


@pytest.mark.slow
def test_a_driver_on_a_host_that_vanished_is_ended(
    acme: Callable[[str], Project], database: Database
) -> None:
    project = acme("op.execute('SELECT pg_sleep(1)')")
    driver = project.start("upgrade")
    wait_until(lambda: len(database.fetch(ASLEEP)) == 1, "the revision runs", 60)
    with stopped(driver):
        assert "has held the fleet since" in project.refuse("upgrade", expect=4)
        ended = runbook_sql("SELECT pg_terminate_backend(pid)")
        sessions = database.fetch(ended.replace("10.0.0.7", "127.0.0.1"))
        assert len(sessions) >= 2  # the driver's own and its worker's
        wait_until(lambda: not database.fetch(ASLEEP), "the revision has ended", 60)
        assert project.run("runs", "--json").json["runs"][0]["state"] == "interrupted"
        project.run("resume")
    driver.send_signal(signal.SIGTERM)
    project.finish(driver, expect=4)
    assert database.fetch(RUN_STATES) == [("complete",)]
    assert stands(database, "acme") == {"acme": "r2"}


@pytest.mark.slow
def test_a_schema_without_a_version_table_is_stamped(
    acme: Callable[[str], Project], database: Database
) -> None:
    project = acme("op.execute('ALTER TABLE thing ADD b int')")
    database.execute("DROP TABLE acme.alembic_version")
    assert "no version table" in project.run("upgrade", expect=3).out
    project.run("stamp", "r1", "-t", "acme")
    project.run("upgrade", "-t", "acme")
    assert stands(database, "acme") == {"acme": "r2"}

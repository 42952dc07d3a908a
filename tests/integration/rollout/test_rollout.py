"""Rollouts that meet trouble: killed workers, held locks, scripts that misbehave."""

from __future__ import annotations

import os
import signal
import threading
from pathlib import Path

import psycopg
import pytest

from tenantmig import Fleet, Outcome, RunOptions, RunState, Selection
from tenantmig.domain.events import AttemptFailed, Event
from tests.fixtures.command import Project
from tests.fixtures.database import Database
from tests.fixtures.dying import below
from tests.fixtures.history import write_history
from tests.fixtures.oracles import catalog, untouched_mark
from tests.fixtures.processes import wait_until

CREATE = ("r1", "op.execute('CREATE TABLE thing (id int)')", "op.execute('DROP TABLE thing')")
SLOW = ("r2", "op.execute('ALTER TABLE thing ADD size int'); op.execute('SELECT pg_sleep(1.5)')")
SLEEPING = """
    SELECT count(*) FROM pg_stat_activity
     WHERE state = 'active' AND query LIKE '%%pg_sleep%%' AND pid <> pg_backend_pid()
       AND datname = current_database()
"""


@pytest.fixture
def fleet(tmp_path: Path, database: Database) -> Fleet:
    """A fleet whose history is in tmp_path/history, written by the test."""
    project = Project(tmp_path, database.url, tmp_path / "history")
    return Fleet.open(project.ini, database_url=database.url, parallel=3, lock_timeout="300ms")


@pytest.mark.slow
def test_a_killed_worker_costs_one_attempt(tmp_path: Path, database: Database) -> None:
    project = Project(tmp_path, database.url, write_history(tmp_path / "history", CREATE, SLOW))
    names = [f"t{number}" for number in range(9)]
    project.run("onboard", *names, "--to", "r1")
    driver = project.start("upgrade", "--parallel", "3", "--json", "--engine", "alembic")
    wait_until(lambda: database.fetch(SLEEPING) == [(3,)], "three migrations under way", 60)
    os.kill(below(driver.pid, "worker")[0], signal.SIGKILL)
    result = project.finish(driver)
    assert "the worker process died" in result.err  # the fault did fire
    report = result.json
    assert report["counts"] == {"upgraded": 9}
    assert sorted(tenant["attempts"] for tenant in report["tenants"]) == [1] * 8 + [2]
    assert database.fetch("SELECT count(*) FROM pg_class WHERE relname = 'thing'") == [(9,)]


@pytest.mark.slow
def test_a_tenant_that_keeps_meeting_a_lock_is_put_behind_the_others(
    tmp_path: Path, database: Database, fleet: Fleet
) -> None:
    write_history(
        tmp_path / "history", CREATE, ("r2", "op.execute('ALTER TABLE thing ADD size int')")
    )
    fleet.onboard(["a_busy", "b", "c", "d"], "r1")
    holder = database.connect()
    holder.autocommit = False
    holder.execute("SELECT * FROM a_busy.thing")
    events: list[Event] = []

    def on_event(event: Event) -> None:
        events.append(event)
        if isinstance(event, AttemptFailed) and event.is_deferred:
            holder.rollback()

    report = fleet.upgrade(options=RunOptions(parallel=2, on_event=on_event))
    failures = [event for event in events if isinstance(event, AttemptFailed)]
    assert {event.tenant for event in failures} == {"a_busy"}
    assert {event.failure.sqlstate for event in failures} == {"55P03"}
    assert failures[-1].is_deferred
    assert report.counts == {"upgraded": 4}
    by_name = {tenant.tenant: tenant for tenant in report.tenants}
    assert by_name["a_busy"].attempts == len(failures) + 1
    assert by_name["b"].attempts == 1


@pytest.mark.slow
def test_a_lock_that_is_never_given_up_fails_that_tenant_alone(
    tmp_path: Path, database: Database
) -> None:
    history = write_history(
        tmp_path / "history", CREATE, ("r2", "op.execute('ALTER TABLE thing ADD size int')")
    )
    project = Project(tmp_path, database.url, history)
    fleet = Fleet.open(project.ini, database_url=database.url, attempts=2, lock_timeout="100ms")
    fleet.onboard(["busy", "free"], "r1")
    holder = database.connect()
    holder.autocommit = False
    holder.execute("SELECT * FROM busy.thing")
    report = fleet.upgrade()
    by_name = {tenant.tenant: tenant for tenant in report.tenants}
    assert by_name["free"].outcome is Outcome.UPGRADED
    busy = by_name["busy"]
    assert (busy.outcome, busy.sqlstate, busy.to_revision) == (Outcome.FAILED, "55P03", "r1")
    assert busy.attempts == 4  # two, then two more at the end of the run
    holder.rollback()
    assert fleet.upgrade(selection=fleet.failed_in(report.run or 0)).is_complete


@pytest.mark.slow
def test_a_tenant_locked_by_plain_alembic_is_waited_for(tmp_path: Path, database: Database) -> None:
    project = Project(tmp_path, database.url, write_history(tmp_path / "history", CREATE, SLOW))
    fleet = Fleet.open(project.ini, database_url=database.url)
    fleet.onboard(["acme"], "r1")
    alembic = project.start("-x", "tenant=acme", "upgrade", "head", program="alembic")
    wait_until(lambda: database.fetch(SLEEPING) == [(1,)], "alembic is at work", 60)
    report = fleet.upgrade()
    project.finish(alembic)
    assert report.counts == {"already_current": 1}
    assert database.fetch("SELECT size FROM acme.thing") == []


@pytest.mark.slow
@pytest.mark.parametrize(
    "statement",
    ["SET search_path = public", "SET LOCAL search_path = other", "RESET search_path"],
)
def test_a_script_that_leaves_the_tenant_is_rolled_back(
    tmp_path: Path, database: Database, fleet: Fleet, statement: str
) -> None:
    escape = ("r2", f"op.execute('{statement}')\nop.execute('CREATE TABLE stray (id int)')")
    write_history(tmp_path / "history", CREATE, escape)
    fleet.onboard(["acme", "beta"], "r1")
    database.execute("CREATE SCHEMA other")
    with database.connect() as connection:
        before = untouched_mark(connection, exclude_schemas=["tenantmig", "pg_toast"])
        report = fleet.upgrade(selection=Selection(names=("acme",)))
        after = untouched_mark(connection, exclude_schemas=["tenantmig", "pg_toast"])
    assert report.counts == {"failed": 1}
    assert database.fetch("SELECT relname FROM pg_class WHERE relname = 'stray'") == []
    assert before == after
    assert all("r2" in str(tenant.error) for tenant in report.tenants)


@pytest.mark.slow
def test_a_script_that_prints_and_exits_spoils_nothing(tmp_path: Path, database: Database) -> None:
    history = write_history(
        tmp_path / "history",
        ("r1", "print('noise on stdout')\nop.execute('CREATE TABLE thing (id int)')"),
        ("r2", "raise SystemExit('I am out')"),
    )
    project = Project(tmp_path, database.url, history)
    project.run("onboard", "acme", "--to", "r1", "--json")
    report = project.run("upgrade", "--json", expect=3).json
    assert report["tenants"][0]["outcome"] == "failed"
    assert "I am out" in report["tenants"][0]["error"]


def test_what_one_tenant_leaves_on_the_connection_is_gone_for_the_next(
    tmp_path: Path, database: Database, fleet: Fleet
) -> None:
    leave = (
        "r1",
        (
            "op.execute('CREATE TABLE seen AS SELECT to_regclass(\\'pg_temp.mine\\')::text AS temp,"
            " current_setting(\\'work_mem\\') AS work_mem')\n"
            "op.execute('CREATE TEMP TABLE mine (id int)')\n"
            "op.execute(\"SET work_mem = '7MB'\")"
        ),
    )
    write_history(tmp_path / "history", leave)
    fleet.onboard(["a", "b", "c"], options=RunOptions(parallel=1))
    for schema in "abc":
        assert database.fetch(f"SELECT temp, work_mem FROM {schema}.seen") == [(None, "4MB")]


@pytest.mark.slow
def test_a_stopped_run_settles_what_it_began_and_names_the_rest(
    tmp_path: Path, database: Database
) -> None:
    project = Project(tmp_path, database.url, write_history(tmp_path / "history", CREATE, SLOW))
    names = [f"t{number}" for number in range(8)]
    Fleet.open(project.ini, database_url=database.url).onboard(names, "r1")
    fleet = Fleet.open(project.ini, database_url=database.url, deadline="2s")
    with psycopg.connect(database.url, autocommit=True) as connection:
        golden = catalog(connection, "t0")
    report = fleet.upgrade(options=RunOptions(parallel=2))
    assert report.state is RunState.INCOMPLETE
    assert "deadline" in str(report.reason)
    assert {t.outcome for t in report.tenants} <= {
        Outcome.UPGRADED,
        Outcome.INTERRUPTED,
        Outcome.SKIPPED,
    }
    stopped = [t for t in report.tenants if t.outcome is not Outcome.UPGRADED]
    assert stopped
    with psycopg.connect(database.url, autocommit=True) as connection:
        for tenant in stopped:
            assert catalog(connection, tenant.schema) == golden
    assert fleet.run(report.run or 0).counts == report.counts


@pytest.mark.slow
def test_two_threads_of_an_application_onboard_at_once(tmp_path: Path, database: Database) -> None:
    history = write_history(tmp_path / "history", CREATE)
    project = Project(tmp_path, database.url, history)
    reports = []
    with Fleet.open(project.ini, database_url=database.url, parallel=2) as fleet:

        def sign_up(name: str) -> None:
            reports.append(fleet.onboard([name]))

        threads = [threading.Thread(target=sign_up, args=[f"t{n}"]) for n in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(120)
        assert [report.counts for report in reports] == [{"onboarded": 1}] * 6
    assert len(fleet.tenants(Selection(is_all=True))) == 6


def test_a_connection_that_a_script_opens_itself_is_in_the_tenant(
    database: Database, fleet: Fleet, tmp_path: Path
) -> None:
    """JupyterHub's scripts inspect `op.get_bind().engine`, which is another connection."""
    look = (
        "r2",
        (
            "if sa.inspect(op.get_bind().engine).has_table('thing'):\n"
            "    op.execute('CREATE TABLE seen (id int)')"
        ),
    )
    write_history(tmp_path / "history", CREATE, look)
    fleet.onboard(["a", "b"], options=RunOptions(parallel=1))
    assert database.fetch("SELECT count(*) FROM pg_class WHERE relname = 'seen'") == [(2,)]

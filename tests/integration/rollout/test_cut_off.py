"""Runs that are cut off at the worst moments: nothing is claimed that is not so."""

from __future__ import annotations

import os
import signal
import threading
from pathlib import Path

import pytest

from tenantmig import Fleet, Outcome, RunOptions, RunState, Selection, StopSignal, Tenant
from tenantmig.domain.events import AttemptFailed, Event
from tenantmig.tenants.births import begin_onboarding
from tests.fixtures.command import Project
from tests.fixtures.database import Database
from tests.fixtures.history import write_history
from tests.fixtures.processes import wait_until

CREATE = (
    "r1",
    (
        "op.execute('CREATE TABLE thing (id int)')\n"
        "op.execute('CREATE TABLE counter (n int)')\n"
        "op.execute('INSERT INTO counter VALUES (0)')"
    ),
)
COUNT = (
    "with op.get_context().autocommit_block():\n    op.execute('UPDATE counter SET n = n + 1')\n"
)


@pytest.fixture
def history(tmp_path: Path) -> Path:
    return tmp_path / "history"


@pytest.fixture
def fleet(tmp_path: Path, database: Database, history: Path) -> Fleet:
    project = Project(tmp_path, database.url, history)
    return Fleet.open(project.ini, database_url=database.url, lock_timeout="200ms", attempts=2)


@pytest.mark.slow
def test_a_part_that_was_committed_is_not_run_again_after_a_lock_timeout(
    database: Database, fleet: Fleet, history: Path
) -> None:
    write_history(history, CREATE, ("r2", COUNT + "op.execute('ALTER TABLE thing ADD size int')"))
    fleet.onboard(["acme"], "r1")
    holder = database.connect()
    holder.autocommit = False
    holder.execute("SELECT * FROM acme.thing")
    report = fleet.upgrade()
    holder.rollback()
    assert (report.tenants[0].outcome, report.tenants[0].sqlstate) == (Outcome.IN_DOUBT, "55P03")
    assert report.tenants[0].attempts == 4  # two, and two again behind the others
    assert database.fetch("SELECT n FROM acme.counter") == [(1,)]
    assert fleet.status().summary["in_doubt"] == 1
    assert fleet.resume().counts == {"upgraded": 1}
    assert database.fetch("SELECT n FROM acme.counter") == [(1,)]
    assert fleet.status().summary["at_head"] == 1


@pytest.mark.slow
def test_a_part_that_was_committed_is_not_run_again_after_a_kill(
    database: Database, fleet: Fleet, history: Path
) -> None:
    kill = COUNT + "import os, signal\nos.kill(os.getpid(), signal.SIGKILL)"
    write_history(history, CREATE, ("r2", kill))
    fleet.onboard(["acme"], "r1")
    report = fleet.upgrade()
    assert report.tenants[0].outcome is Outcome.IN_DOUBT
    assert database.fetch("SELECT n FROM acme.counter") == [(1,)]


@pytest.mark.slow
def test_a_block_that_is_done_leaves_no_doubt(
    database: Database, fleet: Fleet, history: Path
) -> None:
    write_history(history, CREATE, ("r2", COUNT), ("r3", "op.execute('SELECT 1/0')"))
    fleet.onboard(["acme"], "r1")
    report = fleet.upgrade()
    assert (report.tenants[0].outcome, report.tenants[0].to_revision) == (Outcome.FAILED, "r2")
    assert database.fetch("SELECT * FROM tenantmig.part") == []


@pytest.mark.slow
def test_an_onboarding_with_a_block_begins_anew_from_nothing(
    database: Database, fleet: Fleet, history: Path, tmp_path: Path
) -> None:
    once = tmp_path / "once"
    kill = (
        f"{COUNT}import os, pathlib, signal\nif not pathlib.Path({str(once)!r}).exists():\n"
        f"    pathlib.Path({str(once)!r}).touch()\n    os.kill(os.getpid(), signal.SIGKILL)"
    )
    write_history(history, CREATE, ("r2", kill))
    report = fleet.onboard(["acme"])
    assert (report.counts, report.tenants[0].attempts) == ({"onboarded": 1}, 2)
    assert database.fetch("SELECT n FROM acme.counter") == [(1,)]


@pytest.mark.slow
def test_a_worker_that_always_dies_has_failed_and_is_not_in_doubt(
    database: Database, fleet: Fleet, history: Path
) -> None:
    kill = "op.execute('CREATE TABLE x (id int)')\nimport os\nos.kill(os.getpid(), 9)"
    write_history(history, CREATE, ("r2", kill))
    fleet.onboard(["acme"], "r1")
    report = fleet.upgrade()
    assert (report.tenants[0].outcome, report.tenants[0].to_revision) == (Outcome.FAILED, "r1")
    assert "the worker process died" in str(report.tenants[0].error)


@pytest.mark.slow
def test_an_onboarding_that_fails_at_its_very_end_is_not_reported_done(
    database: Database, fleet: Fleet, history: Path
) -> None:
    write_history(history, CREATE)
    fleet.onboard(["first"])
    database.execute(
        "CREATE FUNCTION tenantmig.refuse() RETURNS trigger LANGUAGE plpgsql AS"
        " $$ BEGIN RAISE 'not today'; END $$"
    )
    database.execute(
        "CREATE TRIGGER refuse BEFORE UPDATE ON tenantmig.tenant"
        " FOR EACH ROW EXECUTE FUNCTION tenantmig.refuse()"
    )
    report = fleet.onboard(["acme"])
    assert report.state is RunState.INCOMPLETE
    assert (report.tenants[0].outcome, report.tenants[0].to_revision) == (Outcome.FAILED, None)
    assert database.fetch("SELECT nspname FROM pg_namespace WHERE nspname = 'acme'") == []
    assert [tenant.name for tenant in fleet.tenants()] == ["first"]
    assert fleet.run(report.run or 0).counts == report.counts


@pytest.mark.slow
def test_a_deferred_onboarding_that_is_stopped_leaves_nothing(
    database: Database, fleet: Fleet, history: Path
) -> None:
    """The tenant meets a lock to the end, is deferred, and the run is stopped then."""
    write_history(history, CREATE, ("r2", "op.execute('LOCK TABLE tenantmig.shared')"))
    fleet.onboard(["first"], "r1")
    database.execute("CREATE TABLE tenantmig.shared (id int)")
    holder = database.connect()
    holder.autocommit = False
    holder.execute("SELECT * FROM tenantmig.shared")
    stop = StopSignal()

    def on_event(event: Event) -> None:
        if isinstance(event, AttemptFailed) and event.is_deferred:
            stop.stop("enough")

    report = fleet.onboard(["acme"], options=RunOptions(on_event=on_event, signal=stop))
    holder.rollback()
    assert not report.is_complete
    assert database.fetch("SELECT nspname FROM pg_namespace WHERE nspname = 'acme'") == []
    assert [tenant.name for tenant in fleet.tenants()] == ["first"]


@pytest.mark.slow
def test_a_half_made_tenant_is_touched_by_no_rollout(
    database: Database, fleet: Fleet, history: Path
) -> None:
    write_history(history, CREATE, ("r2", "op.execute('ALTER TABLE thing ADD size int')"))
    fleet.onboard(["first"], "r1")
    with database.connect() as connection:
        begin_onboarding(connection, "tenantmig", Tenant("acme", "acme"))
    report = fleet.upgrade(selection=Selection(names=("acme",)))
    assert report.counts == {"failed": 1}
    assert "run `tenantmig onboard`" in str(report.tenants[0].error)
    assert fleet.onboard(["acme"]).is_complete


@pytest.mark.slow
def test_a_doubt_outlives_a_run_that_did_not_touch_the_tenant(
    database: Database, fleet: Fleet, history: Path
) -> None:
    write_history(history, CREATE, ("r2", COUNT + "raise SystemExit"))
    fleet.onboard(["acme"], "r1")
    assert fleet.upgrade().counts == {"in_doubt": 1}
    stop = StopSignal()
    stop.interrupt()
    assert fleet.upgrade(options=RunOptions(signal=stop)).counts == {"interrupted": 1}
    assert fleet.status().summary["in_doubt"] == 1


@pytest.mark.slow
def test_ending_one_run_at_once_leaves_another_of_the_same_fleet_alone(
    database: Database, tmp_path: Path, history: Path
) -> None:
    sleep = ("r2", "op.execute('SELECT pg_sleep(3)')")
    project = Project(tmp_path, database.url, write_history(history, CREATE, sleep))
    reports = {}
    with Fleet.open(project.ini, database_url=database.url, parallel=2) as fleet:
        stop = StopSignal()

        def onboard(name: str, options: RunOptions) -> None:
            reports[name] = fleet.onboard([name], options=options)

        threads = [
            threading.Thread(target=onboard, args=["a", RunOptions(signal=stop)]),
            threading.Thread(target=onboard, args=["b", RunOptions()]),
        ]
        for thread in threads:
            thread.start()
        sleeping = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'SELECT pg_sleep%%'"
        wait_until(lambda: database.fetch(f"{sleeping} AND state = 'active'") == [(2,)], "both", 60)
        stop.interrupt()
        stop.interrupt()
        for thread in threads:
            thread.join(60)
    assert not reports["a"].is_complete
    assert reports["b"].counts == {"onboarded": 1}
    assert reports["b"].tenants[0].attempts == 1


@pytest.mark.slow
@pytest.mark.parametrize("to", ["head", "base"])
def test_a_tenant_can_be_born_where_there_is_no_revision(
    database: Database, fleet: Fleet, history: Path, to: str
) -> None:
    write_history(history)
    assert fleet.onboard(["acme"], to).counts == {"onboarded": 1}
    write_history(history, CREATE)
    later = Fleet(fleet.settings)
    assert later.upgrade().counts == {"upgraded": 1}


@pytest.mark.slow
def test_a_label_never_takes_more_than_its_branch(
    database: Database, fleet: Fleet, history: Path
) -> None:
    write_history(history, CREATE)
    script = (history / "versions" / "r1.py").read_text()
    labelled = script.replace("branch_labels = None", "branch_labels = ('la',)")
    (history / "versions" / "r1.py").write_text(labelled)
    fleet.onboard(["acme"])
    for target in ("la@base", "la@-1"):
        with pytest.raises(Exception, match="use a revision id"):
            fleet.downgrade(target, Selection(names=("acme",)))


@pytest.mark.slow
def test_an_interrupted_driver_leaves_a_run_that_says_so(
    tmp_path: Path, database: Database
) -> None:
    sleep = ("r2", "op.execute('SELECT pg_sleep(200)')")
    project = Project(tmp_path, database.url, write_history(tmp_path / "history", CREATE, sleep))
    project.run("onboard", "acme", "--to", "r1")
    driver = project.start("upgrade")
    sleeping = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'SELECT pg_sleep%%'"
    wait_until(lambda: database.fetch(f"{sleeping} AND state = 'active'") == [(1,)], "asleep", 60)
    os.kill(driver.pid, signal.SIGKILL)
    driver.communicate()
    wait_until(
        lambda: project.run("runs", "--json").json["runs"][0]["state"] == "interrupted",
        "the run to be seen as interrupted",
        30,
    )
    wait_until(lambda: database.fetch(f"{sleeping} AND state = 'active'") == [(0,)], "ended", 30)


@pytest.mark.slow
def test_an_onboarding_whose_worker_always_dies_is_tried_no_oftener_than_said(
    database: Database, fleet: Fleet, history: Path, tmp_path: Path
) -> None:
    tries = tmp_path / "tries"
    kill = f"import os\nopen({str(tries)!r}, 'a').write('x')\nos.kill(os.getpid(), 9)"
    write_history(history, CREATE, ("r2", kill))
    report = fleet.onboard(["acme"])
    assert (report.tenants[0].outcome, report.tenants[0].attempts) == (Outcome.FAILED, 2)
    assert tries.read_text() == "xx"
    assert database.fetch("SELECT nspname FROM pg_namespace WHERE nspname = 'acme'") == []

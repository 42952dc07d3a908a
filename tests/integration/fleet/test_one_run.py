"""One fleet, one run: who is refused while a run moves the fleet, and who is never left behind."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tenantmig import RunOptions, RunReport, RunState, Selection, StopSignal
from tenantmig.domain.events import Event, TenantFinished
from tenantmig.errors import FleetBusyError, OlderCodeError
from tests.fixtures.command import INI, Project, untouched
from tests.fixtures.database import Database
from tests.fixtures.history import write_history
from tests.fixtures.processes import wait_until
from tests.fixtures.rollouts import (
    ASLEEP,
    CREATE,
    OpenFleet,
    adding,
    kill_asleep,
    outcomes,
    put_to_sleep,
    stands,
    wait_asleep,
    wake,
)

pytestmark = pytest.mark.usefixtures("three")
EVERYONE = Selection(is_all=True)


@contextmanager
def rolling(three: Project, database: Database, *command: str) -> Iterator[int]:
    """Keep a driver in the middle of a rollout during the block, and give its pid."""
    driver = three.start(*command)
    try:
        wait_asleep(database)
        yield driver.pid
    finally:
        driver.terminate()
        driver.communicate(timeout=60)


def test_every_other_rollout_is_refused_with_who_what_and_since_when(
    three: Project, open_fleet: OpenFleet, database: Database
) -> None:
    fleet = open_fleet()
    fleet.onboard(["a", "b"], "r1")
    fleet.upgrade("r2", Selection(names=("b",)))
    put_to_sleep(database, "a")
    with rolling(three, database, "upgrade", "-t", "a") as pid:
        b = Selection(names=("b",))
        moves: list[Callable[[], RunReport]] = [
            lambda: fleet.upgrade(selection=b),
            lambda: fleet.downgrade("r1", b),
            lambda: fleet.stamp("r1", b),
            lambda: fleet.rollback(2),
            lambda: fleet.resume(3),
        ]
        runs = len(fleet.runs())
        for move in moves:
            # the open transaction keeps readers from a's table
            with untouched(database, besides=["a"]), pytest.raises(FleetBusyError) as busy:
                move()
            for fact in ("Run 3 (upgrade", "r3", "since 20", f"(pid {pid})"):
                assert fact in busy.value.message
        assert len(fleet.runs()) == runs
        assert fleet.runs()[0].state is RunState.RUNNING
        assert "pid" in three.refuse("upgrade", "-t", "b", expect=4)
        assert fleet.status().summary["tenants"] == 2  # readers are not kept out
    wake(database, "a")
    assert fleet.resume().is_complete


def test_tenants_come_and_go_while_a_run_moves_the_fleet(
    three: Project, open_fleet: OpenFleet, database: Database
) -> None:
    fleet = open_fleet()
    fleet.onboard(["a", "b"], "r1")
    put_to_sleep(database, "a")
    with rolling(three, database, "upgrade", "-t", "a"):
        assert fleet.onboard(["c"]).is_complete
        assert fleet.offboard(Selection(names=("c",))).is_complete
        assert fleet.offboard(Selection(names=("b",))).is_complete
    wake(database, "a")
    assert fleet.resume(2).is_complete


@pytest.mark.slow
def test_a_dead_drivers_fleet_is_free_for_a_new_run(
    three: Project, open_fleet: OpenFleet, database: Database
) -> None:
    fleet = open_fleet(parallel=2)
    fleet.onboard(["a", "b"], "r1")
    put_to_sleep(database, "a")
    kill_asleep(three, database, "upgrade", "-t", "a")
    wake(database, "a")
    report = fleet.upgrade()
    assert (report.run, report.counts) == (3, {"upgraded": 2})
    assert stands(database, "a", "b") == {"a": "r3", "b": "r3"}
    dead = fleet.run(2)
    assert (dead.state, dead.reason) == (RunState.INTERRUPTED, "its driver died")
    assert database.fetch(ASLEEP) == []  # nothing goes on in its name
    assert outcomes(fleet.resume(2)) == {"a": "already_current"}


# -- tenants that are born meanwhile ------------------------------------------------------------


def at_the_end_of(name: str, then: object) -> RunOptions:
    """Options of a run that calls `then` once, when this tenant has its outcome."""

    def on_event(event: Event) -> None:
        if isinstance(event, TenantFinished) and event.outcome.tenant == name:
            then()  # type: ignore[operator]

    return RunOptions(on_event=on_event)


def test_a_tenant_onboarded_behind_the_target_meanwhile_is_brought_there(
    open_fleet: OpenFleet, database: Database
) -> None:
    fleet, other = open_fleet(), open_fleet()
    fleet.onboard(["b"], "r1")
    report = fleet.upgrade(options=at_the_end_of("b", lambda: other.onboard(["a"], "r1")))
    assert report.is_complete
    assert outcomes(report) == {"a": "upgraded", "b": "upgraded"}
    assert stands(database, "a", "b") == {"a": "r3", "b": "r3"}
    assert fleet.run(report.run or 0).counts == {"upgraded": 2}


@pytest.mark.slow
def test_a_run_sweeps_until_nobody_is_behind(open_fleet: OpenFleet, database: Database) -> None:
    """Each tenant that arrives is followed by the birth of another."""
    fleet, other = open_fleet(), open_fleet()
    fleet.onboard(["t0"], "r1")
    born = iter(["t1", "t2", "t3"])

    def on_event(event: Event) -> None:
        if isinstance(event, TenantFinished) and (name := next(born, None)):
            other.onboard([name], "r2")

    report = fleet.upgrade(options=RunOptions(on_event=on_event))
    assert outcomes(report) == dict.fromkeys(["t0", "t1", "t2", "t3"], "upgraded")
    assert [tenant.wave for tenant in report.tenants] == [1, 2, 3, 4]


def test_a_tenant_that_belongs_to_no_selection_is_not_swept(
    open_fleet: OpenFleet, database: Database
) -> None:
    fleet, other = open_fleet(), open_fleet()
    fleet.onboard(["b"], "r1")
    selected = Selection(names=("b",))
    options = at_the_end_of("b", lambda: other.onboard(["a"], "r1"))
    assert outcomes(fleet.upgrade("r3", selected, options)) == {"b": "upgraded"}
    assert stands(database, "a") == {"a": "r1"}


def test_a_run_with_nothing_to_do_waits_for_a_birth_that_began_before_it(
    three: Project, open_fleet: OpenFleet, database: Database
) -> None:
    """The onboarding was planned with `--to r1` and holds in its middle while the run begins."""
    slow = ("r1", "op.execute('CREATE TABLE thing (id int)'); op.execute('SELECT pg_sleep(4)')")
    fleet = open_fleet()
    fleet.onboard(["b"])
    write_history(three.script_location, slow, adding("r2", "b"), adding("r3", "c"))
    birth = three.start("onboard", "a", "--to", "r1")
    try:
        wait_asleep(database)
        report = fleet.upgrade()
    finally:
        birth.communicate(timeout=60)
    assert birth.returncode == 0
    assert report.is_complete
    assert outcomes(report) == {"a": "upgraded", "b": "already_current"}
    assert stands(database, "a") == {"a": "r3"}


@pytest.mark.slow
def test_a_run_that_waits_for_a_birth_can_be_stopped(
    three: Project, open_fleet: OpenFleet, database: Database
) -> None:
    slow = ("r1", "op.execute('CREATE TABLE thing (id int)'); op.execute('SELECT pg_sleep(60)')")
    fleet = open_fleet()
    fleet.onboard(["b"])
    write_history(three.script_location, slow, adding("r2", "b"), adding("r3", "c"))
    birth = three.start("onboard", "a", "--to", "r1")
    stop = StopSignal()
    reports: list[RunReport] = []
    try:
        wait_asleep(database)
        run = threading.Thread(
            target=lambda: reports.append(fleet.upgrade(options=RunOptions(signal=stop)))
        )
        run.start()
        wait_until(lambda: len(fleet.runs()) == 3, "the run has begun", 30)
        stop.interrupt()
        run.join(5)
        assert not run.is_alive()
    finally:
        birth.terminate()
        birth.communicate(timeout=60)
        run.join(60)
    assert outcomes(reports[0]) == {"b": "already_current"}


@pytest.mark.slow
def test_a_birth_that_never_ends_is_not_waited_for_once_its_driver_is_dead(
    three: Project, open_fleet: OpenFleet, database: Database
) -> None:
    slow = ("r1", "op.execute('CREATE TABLE thing (id int)'); op.execute('SELECT pg_sleep(300)')")
    fleet = open_fleet()
    fleet.onboard(["b"], "r2")
    write_history(three.script_location, slow, adding("r2", "b"), adding("r3", "c"))
    kill_asleep(three, database, "onboard", "a", "--to", "r1")
    assert fleet.upgrade().counts == {"upgraded": 1}


# -- older code ---------------------------------------------------------------------------------


@pytest.fixture
def older(tmp_path: Path, three: Project) -> str:
    """The ini of an older deployment: the same database, a history that ends with r2."""
    history = write_history(tmp_path / "older", CREATE, adding("r2", "b"))
    (tmp_path / "older.ini").write_text(INI.format(script_location=history, root=tmp_path))
    return "older.ini"


def test_older_code_than_the_fleets_target_onboards_nobody(
    three: Project, older: str, open_fleet: OpenFleet, database: Database
) -> None:
    fleet, deployed_before = open_fleet(), open_fleet(older)
    fleet.onboard(["a"], "r1")
    assert deployed_before.onboard(["b"]).is_complete  # nobody rolls to r3 yet
    fleet.upgrade()
    runs = len(fleet.runs())
    with untouched(database), pytest.raises(OlderCodeError, match="revision r3"):
        deployed_before.onboard(["c"])
    assert len(fleet.runs()) == runs
    assert fleet.onboard(["c"], "r1").is_complete  # newer code may
    with untouched(database):
        command = ("--config", str(three.folder / older), "onboard", "d", "--json")
        error = three.run(*command, expect=2).json["error"]
    assert error["type"] == "OlderCodeError"


@pytest.mark.slow
def test_older_code_is_refused_also_while_the_run_has_only_begun(
    older: str, three: Project, open_fleet: OpenFleet, database: Database
) -> None:
    fleet = open_fleet()
    fleet.onboard(["a"], "r1")
    put_to_sleep(database, "a")
    with rolling(three, database, "upgrade"), pytest.raises(OlderCodeError):
        open_fleet(older).onboard(["b"])


def test_older_code_may_onboard_again_when_the_fleet_was_rolled_back(
    older: str, open_fleet: OpenFleet, database: Database
) -> None:
    fleet = open_fleet()
    fleet.onboard(["a"], "r2")
    upgrade = fleet.upgrade()
    with pytest.raises(OlderCodeError):
        open_fleet(older).onboard(["b"])
    fleet.rollback(upgrade.run or 0)
    assert open_fleet(older).onboard(["b"]).is_complete

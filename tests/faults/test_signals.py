"""The first signal stops and cancels, the second ends at once, a stopped driver is fenced out.

F3, F4, F35. Whatever the moment, the ledger tells the truth and `resume` finishes.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import pytest

from tests.fixtures.command import Project
from tests.fixtures.database import Database
from tests.fixtures.faults import COUNT, R1, TENANTS, TWO
from tests.fixtures.history import write_history
from tests.fixtures.holds import (
    CONCURRENT_R3,
    HELD_R2,
    INDEX,
    builders,
    fleet_of,
    group_of,
    held,
    held_backends,
    old_snapshot,
    stopped,
)
from tests.fixtures.processes import wait_until
from tests.fixtures.promises import Promises, Watch
from tests.fixtures.server import Server

SIGNALS = [signal.SIGINT, signal.SIGTERM]
AT_ONCE = ("--canary", "0")
CANCELLED = "57014 ERROR:  canceling statement due to user request"
# A script that no cancellation reaches: it hangs where no statement runs.
DEAF = (
    "r2",
    (
        f"op.execute('ALTER TABLE thing ADD size int')\n{COUNT}\n"
        "import pathlib, time\n"
        "while pathlib.Path('deaf').exists():\n    time.sleep(0.05)"
    ),
)
RUNNING = "SELECT FROM pg_stat_activity WHERE pid = ANY(%s) AND state = 'active'"
CONTROL = """
    SELECT pid FROM pg_locks JOIN pg_stat_activity USING (pid)
    WHERE locktype = 'advisory' AND mode = 'ShareLock' AND application_name = 'tenantmig'
"""


@pytest.fixture
def fleet(tmp_path: Path, victim_database: Database) -> Project:
    """A fleet at r1; r2 can be held, r3 builds an index concurrently."""
    return fleet_of(tmp_path, victim_database, HELD_R2, CONCURRENT_R3)


def strike(driver: subprocess.Popen[str], number: signal.Signals, times: int) -> None:
    """Send a signal as a terminal does (to the group, SIGINT) or a supervisor (to the driver)."""
    for last in range(times):
        if last:
            time.sleep(0.1)  # two of one kind at the same moment are one
        with suppress(ProcessLookupError):
            if number is signal.SIGINT:
                os.killpg(driver.pid, number)
            else:
                driver.send_signal(number)


def endings(number: signal.Signals, times: int) -> set[int]:
    """How the command may end: a second signal may find it printing its report, and end that."""
    return {130} if times == 1 else {130, -number}


def assert_interrupted(watch: Watch, number: signal.Signals) -> dict[str, int]:
    """The ledger says that the run was interrupted, and by what; return its counts."""
    run = watch.project.run("runs", "--json").json["runs"][0]["run"]
    shown = watch.project.run("show", str(run), "--json").json
    assert shown["state"] == "interrupted"
    assert number.name in shown["reason"]
    assert watch.results[-1].code < 0 or watch.results[-1].json["counts"] == shown["counts"]
    counts: dict[str, int] = shown["counts"]
    return counts


def assert_cancelled(said: str, pids: list[int]) -> None:
    """The server log has each of these statements cancelled."""
    for pid in pids:
        lines = [line for line in said.splitlines() if f"[{pid}] tenantmig run" in line]
        assert any(CANCELLED in line for line in lines), lines


@pytest.mark.parametrize("times", [1, 2])
@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_in_transactional_revisions(
    fleet: Project,
    victim: Server,
    victim_database: Database,
    promises: Promises,
    number: signal.Signals,
    times: int,
) -> None:
    before = len(victim.log_text())
    with promises.watch(
        fleet, victim_database, touched=TENANTS, old="r1", new="r3", converging=["resume"]
    ) as watch:
        with held(victim_database):
            driver = watch.start("upgrade", *AT_ONCE)
            pids = held_backends(victim_database, 2)
            strike(driver, number, times)
            watch.finish(driver, expect=endings(number, times))
            # a second signal may end a worker first; the server notices within a second
            wait_until(lambda: not victim_database.fetch(RUNNING, [pids]), "they go on")
        counts = assert_interrupted(watch, number)
        assert set(counts) <= {"interrupted", "in_doubt" if times == 2 else ""}
        assert set(watch.versions().values()) == {"r1"}
        wait_until(lambda: group_of(driver.pid) == [], "a worker lives on")
    if times == 1:
        assert_cancelled(victim.log_text()[before:], pids)


@pytest.mark.parametrize("times", [1, 2])
@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_in_concurrent_index_builds(
    fleet: Project,
    victim: Server,
    victim_database: Database,
    promises: Promises,
    number: signal.Signals,
    times: int,
) -> None:
    before = len(victim.log_text())
    with promises.watch(
        fleet,
        victim_database,
        touched=TENANTS,
        old="r1",
        new="r3",
        between=["r2"],
        building=[INDEX],
        converging=["resume"],
    ) as watch:
        with old_snapshot(victim_database):
            driver = watch.start("upgrade", *AT_ONCE, "--lock-timeout", "60s")
            pids = builders(victim_database, 2)
            strike(driver, number, times)
            watch.finish(driver, expect=endings(number, times))
            wait_until(lambda: not victim_database.fetch(RUNNING, [pids]), "the builds go on")
        assert set(assert_interrupted(watch, number)) <= {"interrupted", "in_doubt"}
        assert set(watch.versions().values()) == {"r2"}
    if times == 1:
        assert_cancelled(victim.log_text()[before:], pids)


@pytest.mark.parametrize("number", SIGNALS)
def test_the_second_signal_ends_what_no_cancellation_reaches(
    fleet: Project, victim_database: Database, promises: Promises, number: signal.Signals
) -> None:
    """The first waits 15 s for such a script; the deadline of this test is below that."""
    write_history(fleet.script_location, R1, DEAF, CONCURRENT_R3)
    marker = fleet.folder / "deaf"
    idle = (
        "SELECT pid FROM pg_stat_activity WHERE state = 'idle in transaction'"
        " AND application_name LIKE 'tenantmig run%'"
    )
    with promises.watch(
        fleet, victim_database, touched=TENANTS, old="r1", new="r3", converging=["resume"]
    ) as watch:
        marker.touch()
        driver = watch.start("upgrade", *AT_ONCE)
        wait_until(lambda: len(victim_database.fetch(idle)) == 2, "nobody is deaf", 60)
        watch.deadline_s = 12
        strike(driver, number, 1)
        time.sleep(1)  # the first is not to be seen, and a second at the same moment would be one
        strike(driver, number, 1)
        watch.finish(driver, expect=130)
        watch.deadline_s = 90
        marker.unlink()
        assert_interrupted(watch, number)
        assert set(watch.versions().values()) == {"r1"}
        wait_until(lambda: group_of(driver.pid) == [], "a worker lives on")


def test_a_stopped_driver_holds_the_fleet(
    fleet: Project, victim_database: Database, promises: Promises
) -> None:
    """It lives: nobody takes its run over, and it finishes when it goes on."""
    with promises.watch(fleet, victim_database, touched=TENANTS, old="r1", new="r3") as watch:
        with held(victim_database):
            driver = watch.start("upgrade", *AT_ONCE)
            held_backends(victim_database, 2)
            with stopped(driver):
                refused = [watch.run(command, expect=4) for command in ("upgrade", "resume")]
        report = watch.finish(driver, expect=0).json
    began = victim_database.fetch(
        "SELECT to_char(started_at, 'YYYY-MM-DD HH24:MI:SS') FROM tenantmig.run WHERE id = %s",
        [report["run"]],
    )[0][0]
    for result in refused:
        error = result.json["error"]
        assert error["type"] == "FleetBusyError"
        for part in (f"Run {report['run']} ", f"pid {driver.pid}", "since", began[:10]):
            assert part in error["message"]
    assert report["counts"] == {"upgraded": len(TENANTS)}


@pytest.mark.parametrize("is_group", [True, False])
def test_a_stopped_driver_that_lost_its_claim_is_fenced_out(
    fleet: Project, victim_database: Database, promises: Promises, is_group: bool
) -> None:
    """Its workers are stopped with it, or go on alone; either way it overwrites nothing."""
    fleet.settings(f'{TWO}idle_in_transaction_timeout = "2s"\ntenant_lock_timeout = "5s"\n')
    with promises.watch(
        fleet,
        victim_database,
        touched=TENANTS,
        old="r1",
        new="r3",
        between=["r2"],
        deadline_s=120,
        converging=["upgrade"],
    ) as watch:
        with ExitStack() as standstill:
            with held(victim_database):
                first = watch.start("upgrade", *AT_ONCE)
                held_backends(victim_database, 2)
                standstill.enter_context(stopped(first, group=is_group))
                for (pid,) in victim_database.fetch(CONTROL):
                    victim_database.execute("SELECT pg_terminate_backend(%s, 10000)", [pid])
                assert victim_database.fetch(CONTROL) == []
            second = watch.run("resume", expect=0).json
            before = _ledger(victim_database)
        result = watch.finish(first, expect={3, 4})
        assert "took over" in result.json["error"]["message"]
        assert _ledger(victim_database) == before
        assert set(watch.versions().values()) == {"r3"}
    assert second["state"] == "complete"
    for schema, commands in watch.ddl().items():
        assert sum("CREATE INDEX" in command for command in commands) == 1, (schema, commands)


def _ledger(database: Database) -> list[tuple[Any, ...]]:
    tables = ("run", "run_tenant", "part", "doubt", "tenant")
    return [row for t in tables for row in database.fetch(f"SELECT x::text FROM tenantmig.{t} x")]


@pytest.mark.parametrize("closed", [("stderr",), ("stdout",), ("stderr", "stdout")])
def test_whoever_reads_the_log_goes_away(
    fleet: Project,
    victim: Server,
    victim_database: Database,
    promises: Promises,
    closed: tuple[str, ...],
) -> None:
    """F35: every line the command and its scripts print from then on fails with EPIPE."""
    fleet.is_installed = True  # with pipes of our own
    before = len(victim.log_text())
    chatty = ("r2", "print('hello')\nimport sys\nprint('there', file=sys.stderr, flush=True)\n"
              + HELD_R2[1] + "\nprint('bye', flush=True)")  # fmt: skip
    write_history(fleet.script_location, R1, chatty, CONCURRENT_R3)
    with promises.watch(fleet, victim_database, touched=TENANTS, old="r1", new="r3") as watch:
        with held(victim_database):
            driver = watch.start("upgrade", *AT_ONCE)
            # r2 uses sys, so it shares its process with r3, whose index is built one at a time
            pids = held_backends(victim_database)
            for name in closed:
                getattr(driver, name).close()
            # a failed attempt, so that there is something to be told
            victim_database.execute("SELECT pg_terminate_backend(%s)", [pids[0]])
        with driver:
            driver.wait(watch.deadline_s)
            out, err = (
                pipe.read() if pipe and not pipe.closed else ""
                for pipe in (driver.stdout, driver.stderr)
            )
        assert set(watch.versions().values()) == {"r3"}
        assert set(watch.outcomes().values()) == {"upgraded"}
        assert "Traceback" not in err
        assert driver.returncode == 0, (out, err)
        if "stdout" not in closed:
            assert json.loads(out)["counts"] == {"upgraded": len(TENANTS)}
    assert f"[{pids[0]}] tenantmig" in victim.log_text()[before:]  # there was a line to be told

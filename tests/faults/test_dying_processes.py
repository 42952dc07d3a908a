"""A worker, a child of one or the fork server is killed: it costs the attempt that met it, at most.

Here at marked moments in the driver of a Python program; `test_random_kills` does it by chance.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from tenantmig import Fleet, RunReport, Selection
from tenantmig import forkserver as product_forkserver
from tenantmig.engines import workers as product_workers
from tenantmig.forkserver import FORK_SERVER, Forked
from tests.fixtures.database import Database
from tests.fixtures.dying import OWN_R3, below, children_of, counters, processes_of, tenants_at
from tests.fixtures.faults import TENANTS
from tests.fixtures.holds import (
    ASLEEP,
    HELD_R2,
    HOLD,
    MARK,
    fleet_of,
    group_of,
    held,
    held_backends,
    state_of,
)
from tests.fixtures.processes import wait_until

LIMIT_S = 60.0
EVERYONE = Selection(is_all=True)


Kill = Callable[[pytest.MonkeyPatch, list[int]], None]


def _end(pid: int) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
    wait_until(lambda: state_of(pid) in {"", "Z"}, "SIGKILL does not kill")


def _at_the_task(
    patch: pytest.MonkeyPatch, strike: Callable[[Forked], None], send: Callable[[Forked], None]
) -> None:
    """Strike when a worker is to be given its first task, and when it has been given it."""
    actual = product_workers._ask
    first = threading.Lock()

    def ask(worker: Forked, packed: bytes, timeout_s: float) -> bytes | None:
        if not first.acquire(blocking=False):
            return actual(worker, packed, timeout_s)
        strike(worker)
        threading.Timer(0.3, send, [worker]).start()
        return actual(worker, packed, timeout_s)

    patch.setattr(product_workers, "_ask", ask)


def _before_it_gets_the_task(patch: pytest.MonkeyPatch, killed: list[int]) -> None:
    def strike(worker: Forked) -> None:
        _end(worker.pid)
        killed.append(worker.pid)

    _at_the_task(patch, strike, lambda _: None)


def _before_it_takes_the_task(patch: pytest.MonkeyPatch, killed: list[int]) -> None:
    def strike(worker: Forked) -> None:
        os.kill(worker.pid, signal.SIGSTOP)

    def send(worker: Forked) -> None:
        _end(worker.pid)
        killed.append(worker.pid)

    _at_the_task(patch, strike, send)


def _while_it_starts(patch: pytest.MonkeyPatch, killed: list[int]) -> None:
    class Killed(Forked):
        def __init__(self, *arguments: Any) -> None:
            super().__init__(*arguments)
            if not killed:
                killed.append(self.pid)
                self.kill()

    patch.setattr(product_forkserver, "Forked", Killed)


def _the_fork_server_before_all(_: pytest.MonkeyPatch, killed: list[int]) -> None:
    if FORK_SERVER._pid:
        _end(FORK_SERVER._pid)
    killed.append(FORK_SERVER._pid)


def _the_fork_server_when_workers_are_there(patch: pytest.MonkeyPatch, killed: list[int]) -> None:
    def strike(_: Forked) -> None:
        killed.append(FORK_SERVER._pid)
        _end(FORK_SERVER._pid)

    _at_the_task(patch, strike, lambda _: None)


@pytest.fixture
def fleet(tmp_path: Path, victim_database: Database) -> Iterator[Fleet]:
    """A fleet at r1 whose attempts all go through workers, in a program that keeps them."""
    project = fleet_of(tmp_path, victim_database, HELD_R2, OWN_R3)
    with Fleet.open(
        project.ini, database_url=project.url, engine="alembic", parallel=2, canary="0"
    ) as fleet:
        yield fleet


MARKED: tuple[Kill, ...] = (
    _before_it_gets_the_task,
    _before_it_takes_the_task,
    _while_it_starts,
    _the_fork_server_before_all,
    _the_fork_server_when_workers_are_there,
)


def test_a_kill_at_each_marked_moment(
    fleet: Fleet,
    victim_database: Database,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """Once in the child that tenants share, and once in a child of each tenant's own."""
    for kill in MARKED:
        for counted, target in enumerate(("r2", "r3"), 1):
            fleet.close()  # so that workers start, and are idle later
            fleet.__enter__()
            killed: list[int] = []
            with monkeypatch.context() as patch:
                kill(patch, killed)
                report = fleet.upgrade(target)
            assert len(killed) == 1, kill
            _assert_done(report, victim_database, counted)
        assert fleet.downgrade("r1", EVERYONE).is_complete
    assert "Traceback" not in capfd.readouterr().err


def test_a_kill_while_tenants_are_at_work(
    fleet: Fleet, victim_database: Database, capfd: pytest.CaptureFixture[str]
) -> None:
    for moment in ("it works", "its child works", "it answers", "it is idle"):
        reports: list[RunReport] = []
        running = threading.Thread(target=lambda told=reports: told.append(fleet.upgrade("r2")))
        with held(victim_database):
            running.start()
            held_backends(victim_database, 2)
            worker = below(FORK_SERVER._pid, "worker")[0]
            if moment == "it works":
                _end(worker)
            elif moment == "its child works":
                _end(children_of(worker)[0])
            elif moment == "it answers":
                os.kill(worker, signal.SIGSTOP)
        if moment == "it answers":  # its child has committed; nobody hears it
            wait_until(
                lambda: tenants_at(victim_database, "r2") == len(TENANTS), "no commit", LIMIT_S
            )
            _end(worker)
        running.join(LIMIT_S)
        _assert_done(reports[0], victim_database, 1)
        if moment == "it is idle":
            _end(worker)
            report = fleet.upgrade("r3")
            _assert_done(report, victim_database, 2)
            assert sum(tenant.attempts for tenant in report.tenants) == len(TENANTS)
        assert fleet.downgrade("r1", EVERYONE).is_complete
    assert "Traceback" not in capfd.readouterr().err


def _assert_done(report: RunReport, database: Database, counted: int) -> None:
    """All tenants are there, by at most one attempt more; each revision ran once."""
    assert report.counts == {"upgraded": len(TENANTS)}, report
    assert sum(tenant.attempts for tenant in report.tenants) <= len(TENANTS) + 1
    assert counters(database) == {counted}


READERS = {
    "drift": ("drift",),
    "check": ("check",),
    "adopt": ("tenants", "adopt", "by_hand"),
}


@pytest.mark.parametrize(
    ("reader", "kind"),
    [
        ("drift", "child"),
        ("drift", "fork server"),
        ("check", "worker"),
        ("check", "child"),
        ("adopt", "worker"),
    ],
)
def test_a_kill_while_the_history_runs_in_a_scratch_schema(
    tmp_path: Path, victim_database: Database, reader: str, kind: str
) -> None:
    """The moves of the schema are made again in a new one; the command says what it always says."""
    scratches = "SELECT nspname FROM pg_namespace WHERE nspname LIKE 'tenantmig_scratch_%'"
    project = fleet_of(tmp_path, victim_database, HELD_R2, at="r2")
    if reader == "adopt":
        victim_database.execute("CREATE SCHEMA by_hand")
        project.alembic("-x", "tenant=by_hand", "upgrade", "r2")
    with held(victim_database):
        driver = project.start(*READERS[reader])
        held_backends(victim_database)
        _end(processes_of(driver.pid)[kind][0])
    result = project.finish(driver, expect=0)
    assert not [line for line in result.err.splitlines() if "revisions, about" not in line]
    wait_until(lambda: group_of(driver.pid) == [], "a process lives on", LIMIT_S)
    assert victim_database.fetch(scratches) == []


def test_a_move_that_is_made_again_and_fails_is_no_answer(
    tmp_path: Path, victim_database: Database
) -> None:
    """What `check` says of a revision must not come from a schema without those before it."""
    mark = tmp_path / "mark"
    fails = f"if __import__('os').path.exists({str(mark)!r}):\n    raise RuntimeError('again')\n"
    second = ("r2", f"{fails}op.execute('CREATE TABLE more (id int)')", "op.drop_table('more')")
    third = ("r3", HOLD, "pass")
    project = fleet_of(tmp_path, victim_database, second, third, at="r2")
    with held(victim_database):
        driver = project.start("check")
        held_backends(victim_database)
        mark.touch()
        _end(processes_of(driver.pid)["worker"][0])
    result = project.finish(driver, expect=2)
    assert "its scratch schema could not be rebuilt" in result.error


def test_a_scratch_schema_whose_process_is_always_killed(
    tmp_path: Path, victim_database: Database
) -> None:
    """After four times the command ends: a script may be what kills its process."""
    project = fleet_of(tmp_path, victim_database, HELD_R2, at="r2")
    with held(victim_database):
        driver = project.start("drift")
        for _ in range(4):
            held_backends(victim_database)
            _end(processes_of(driver.pid)["worker"][0])
            gone = "the backend of a killed worker lives on"
            wait_until(lambda: not victim_database.fetch(ASLEEP, [MARK]), gone, LIMIT_S)
    result = project.finish(driver, expect=2)
    assert "worker process died (exit code -9) while it was running env.py" in result.error


def test_a_reader_whose_process_always_dies_ends(tmp_path: Path, victim_database: Database) -> None:
    """After four times, with the reason: env.py may be what ends it."""
    project = fleet_of(tmp_path, victim_database, HELD_R2)
    environment = project.script_location / "env.py"
    tries = tmp_path / "tries"
    suicide = f"import os\nprint('x', file=open({str(tries)!r}, 'a'))\nos.kill(os.getpid(), 9)\n"
    environment.write_text(suicide + environment.read_text())
    error = project.refuse("plan", "r2", "--sql")
    assert "worker process died (exit code -9) while it was running env.py" in error
    assert len(tries.read_text().splitlines()) == 4


def test_a_reader_whose_process_is_killed_once_reads_again(
    tmp_path: Path, victim_database: Database
) -> None:
    """What writes SQL or scripts down (`plan --sql`, `lint`) has no schema to make anew."""
    project = fleet_of(tmp_path, victim_database, HELD_R2)
    environment = project.script_location / "env.py"
    mark = tmp_path / "mark"
    suicide = (
        f"import os\nif not os.path.exists({str(mark)!r}):\n"
        f"    open({str(mark)!r}, 'w').close()\n    os.kill(os.getpid(), 9)\n"
    )
    environment.write_text(suicide + environment.read_text())
    for reader in (("plan", "r2", "--sql"), ("lint",)):
        mark.unlink(missing_ok=True)
        result = project.run(*reader, expect=None)
        assert mark.exists(), reader
        assert result.code in {0, 5}, result  # 5: `lint` finds something
        assert "died" not in result.err

"""Worker processes, killed at marked moments: a death ends the call that met it, and no other."""

from __future__ import annotations

import os
import random
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import pytest

from tenantmig import forkserver
from tenantmig.engines.workers import Call, Workers
from tenantmig.errors import TenantmigError, WorkerDiedError, WorkerStartError
from tenantmig.forkserver import FORK_SERVER, Forked
from tests.fixtures import tasks
from tests.fixtures.dying import children_of, parent_of
from tests.fixtures.holds import group_of
from tests.fixtures.processes import wait_until

LIMIT_S = 60.0
KILLED = "exit code -9"


@pytest.fixture
def workers() -> Iterator[Workers]:
    with closing(Workers(2)) as lent:
        yield lent
    server = FORK_SERVER._pid
    wait_until(lambda: children_of(server) == [], "a worker lives on")


def say(workers: Workers, said: object) -> object:
    return workers.call(tasks.echo, said, timeout_s=LIMIT_S)


def begin(workers: Workers, task: Callable[..., Any], *arguments: object) -> Future[Any]:
    """Begin a call in a thread of its own."""
    threads = ThreadPoolExecutor(1)
    begun = threads.submit(workers.call, task, *arguments, timeout_s=LIMIT_S)
    threads.shutdown(wait=False)
    return begun


def begin_hanging(
    workers: Workers, marker: Path, task: Any = tasks.hang
) -> tuple[Future[Any], int]:
    """Begin a call that does not end; return it and the process that makes it."""
    begun = begin(workers, task, str(marker))
    wait_until(lambda: marker.exists() and marker.read_text() != "", "it does not begin", LIMIT_S)
    return begun, int(marker.read_text())


def is_gone(pid: int) -> bool:
    with suppress(FileNotFoundError, ProcessLookupError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    return True


def test_a_worker_serves_one_call_after_the_other(workers: Workers) -> None:
    first = workers.call(tasks.whoami, timeout_s=LIMIT_S)
    assert workers.call(tasks.whoami, timeout_s=LIMIT_S) == first
    assert first != os.getpid()
    with pytest.raises(RuntimeError, match="so it is"):
        workers.call(tasks.raise_error, "so it is", timeout_s=LIMIT_S)
    assert workers.call(tasks.whoami, timeout_s=LIMIT_S) == first


@pytest.mark.parametrize("is_kept", [False, True], ids=["new worker", "kept worker"])
def test_a_worker_has_what_the_driver_has_when_it_is_asked(
    workers: Workers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_kept: bool
) -> None:
    """The fork server, and a worker that is kept, are older than what the application changes."""
    monkeypatch.setenv("TAKEN_AWAY", "later")
    if is_kept:
        workers.call(tasks.whoami, timeout_s=LIMIT_S)
    else:
        FORK_SERVER._running()
    monkeypatch.delenv("TAKEN_AWAY")
    monkeypatch.setenv("TENANTMIG_NEW", "ä=1")
    monkeypatch.setenv("TZ", "Etc/GMT-7")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sys, "argv", ["other", "words"])
    monkeypatch.chdir(tmp_path)
    seen = workers.call(tasks.surroundings, timeout_s=LIMIT_S)
    assert seen == {
        "variables": dict(os.environ),
        "zone": "+07",
        "sys.path": sys.path,
        "argv": ["other", "words"],
        "folder": str(tmp_path),
    }


def test_what_cannot_be_sent_costs_no_worker(workers: Workers) -> None:
    first = workers.call(tasks.whoami, timeout_s=LIMIT_S)
    with pytest.raises(Exception, match="pickle"):
        say(workers, lambda: None)
    with pytest.raises(TenantmigError, match="pickle"):
        workers.call(tasks.unpicklable, timeout_s=LIMIT_S)
    assert workers.call(tasks.whoami, timeout_s=LIMIT_S) == first


def strike(pid: int) -> None:
    """Kill a process, and wait until all its threads have ended: a zombie may still have some."""
    ended = os.pidfd_open(pid)
    try:
        os.kill(pid, signal.SIGKILL)
        assert select.select([ended], [], [], LIMIT_S)[0], "SIGKILL does not kill"
    finally:
        os.close(ended)


def test_a_worker_killed_while_idle_costs_nothing(workers: Workers) -> None:
    pid = workers.call(tasks.whoami, timeout_s=LIMIT_S)
    strike(pid)
    assert say(workers, "again") == "again"


def test_a_worker_killed_between_the_look_at_it_and_the_task_costs_nothing(
    workers: Workers, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = workers.call(tasks.whoami, timeout_s=LIMIT_S)
    strike(first)
    looks = iter([False])
    actual = Forked.has_ended
    monkeypatch.setattr(
        Forked, "has_ended", lambda self, within_s=0.0: next(looks, None) or actual(self, within_s)
    )
    assert say(workers, "again") == "again"


def test_a_worker_killed_before_it_takes_the_task(workers: Workers) -> None:
    pid = workers.call(tasks.whoami, timeout_s=LIMIT_S)
    os.kill(pid, signal.SIGSTOP)
    begun = begin(workers, tasks.echo, "x" * 100)
    time.sleep(0.2)
    os.kill(pid, signal.SIGKILL)
    with pytest.raises(WorkerDiedError, match=KILLED):
        begun.result(LIMIT_S)
    assert say(workers, "again") == "again"


def test_a_worker_killed_with_half_of_a_large_task(workers: Workers) -> None:
    pid = workers.call(tasks.whoami, timeout_s=LIMIT_S)
    os.kill(pid, signal.SIGSTOP)
    begun = begin(workers, tasks.echo, "x" * 10_000_000)
    time.sleep(0.2)
    os.kill(pid, signal.SIGKILL)
    assert len(begun.result(LIMIT_S)) == 10_000_000  # nothing was begun: another made it


@pytest.mark.parametrize("task", [tasks.end_self, tasks.die_while_answering, tasks.killed_child])
def test_a_process_killed_at_work_costs_its_call(workers: Workers, task: Any) -> None:
    with pytest.raises(WorkerDiedError, match=KILLED):
        workers.call(task, timeout_s=LIMIT_S)
    assert say(workers, "again") == "again"


HANGING = [tasks.hang, tasks.hanging_child, tasks.hang_in_child_with_the_interpreter]


@pytest.mark.parametrize("task", HANGING)
def test_a_killed_worker_takes_its_child_with_it_and_nobody_else(
    workers: Workers, tmp_path: Path, task: Any
) -> None:
    begun, pid = begin_hanging(workers, tmp_path / "begun", task)
    worker = pid if task is tasks.hang else parent_of(pid)
    assert say(workers, "beside it") == "beside it"
    os.kill(worker, signal.SIGKILL)
    with pytest.raises(WorkerDiedError, match=KILLED):
        begun.result(LIMIT_S)
    wait_until(lambda: is_gone(pid), "its child lives on")
    assert say(workers, "again") == "again"


@pytest.mark.parametrize("task", HANGING)
def test_a_call_that_takes_too_long_ends(workers: Workers, tmp_path: Path, task: Any) -> None:
    marker = tmp_path / "begun"
    with pytest.raises(TimeoutError):
        workers.call(task, str(marker), timeout_s=1)
    wait_until(lambda: is_gone(int(marker.read_text())), "it lives on")
    assert say(workers, "again") == "again"


def test_a_stopped_worker_meets_the_timeout(workers: Workers) -> None:
    os.kill(workers.call(tasks.whoami, timeout_s=LIMIT_S), signal.SIGSTOP)
    with pytest.raises(TimeoutError):
        workers.call(tasks.echo, "x", timeout_s=1)
    assert say(workers, "again") == "again"


@pytest.mark.parametrize("size", [1, 10_000_000])
def test_a_worker_stopped_in_the_middle_of_a_message_meets_a_timeout(
    workers: Workers, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    """Of its answer, or of a task that does not fit into the pipe."""
    monkeypatch.setattr(forkserver, "STALLED_S", 1)
    if size == 1:
        with pytest.raises(TimeoutError):
            workers.call(tasks.stop_while_answering, timeout_s=LIMIT_S)
    else:
        os.kill(workers.call(tasks.whoami, timeout_s=LIMIT_S), signal.SIGSTOP)
        with pytest.raises(TimeoutError):
            workers.call(tasks.echo, "x" * size, timeout_s=LIMIT_S)
    assert say(workers, "again") == "again"


def test_a_call_that_is_cut_off_leaves_the_others(workers: Workers, tmp_path: Path) -> None:
    call = Call()
    cut, other = tmp_path / "cut", tmp_path / "other"
    with ThreadPoolExecutor(2) as threads:
        one = threads.submit(workers.call, tasks.hang, str(cut), timeout_s=LIMIT_S, call=call)
        two = threads.submit(workers.call, tasks.hang, str(other), timeout_s=LIMIT_S)
        wait_until(lambda: cut.exists() and other.exists(), "they do not begin", LIMIT_S)
        waiting = Call()
        three = threads.submit(workers.call, tasks.whoami, timeout_s=LIMIT_S, call=waiting)
        workers.cut(waiting)
        workers.cut(call)
        with pytest.raises(CancelledError):
            one.result(LIMIT_S)
        with pytest.raises(CancelledError):
            three.result(LIMIT_S)
        assert not two.done()
        workers.stop()
        with pytest.raises(CancelledError):
            two.result(LIMIT_S)
    with pytest.raises(CancelledError):
        say(workers, "too late")


def _killed_at_once(times: int) -> type[Forked]:
    left = iter(range(times))

    class Killed(Forked):
        def __init__(self, *arguments: Any) -> None:
            super().__init__(*arguments)
            if next(left, None) is not None:
                self.kill()
                self.has_ended(LIMIT_S)

    return Killed


def test_workers_killed_while_they_start(workers: Workers, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forkserver, "Forked", _killed_at_once(3))
    assert say(workers, "at last") == "at last"


def test_workers_that_are_always_killed_while_they_start(
    workers: Workers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(forkserver, "Forked", _killed_at_once(10**6))
    with pytest.raises(WorkerStartError, match="killed 4 times"):
        say(workers, "x")
    monkeypatch.undo()
    assert say(workers, "again") == "again"


def test_no_interpreter_for_a_fork_server_is_said(
    workers: Workers, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    say(workers, "there is one")
    os.kill(FORK_SERVER._pid, signal.SIGKILL)
    workers.close()
    monkeypatch.setattr("sys.executable", str(tmp_path / "no such program"))
    with closing(Workers(1)) as more:
        with pytest.raises(WorkerStartError, match="No such file"):
            say(more, "x")
        monkeypatch.undo()
        assert say(more, "again") == "again"


def test_a_dead_fork_server_costs_nothing(workers: Workers, tmp_path: Path) -> None:
    begun, pid = begin_hanging(workers, tmp_path / "begun")
    dead = FORK_SERVER._pid
    strike(dead)
    assert say(workers, "by a new one") == "by a new one"
    assert not begun.done()
    assert dead != FORK_SERVER._pid
    os.kill(pid, signal.SIGKILL)
    with pytest.raises(WorkerDiedError, match="exit code unknown"):
        begun.result(LIMIT_S)


def test_a_fork_server_killed_while_it_is_asked(workers: Workers) -> None:
    say(workers, "there is one")
    with closing(Workers(2)) as more:
        os.kill(FORK_SERVER._pid, signal.SIGSTOP)  # it will not hear the request
        begun = begin(more, tasks.echo, "by a new one")
        time.sleep(0.2)
        os.kill(FORK_SERVER._pid, signal.SIGKILL)
        assert begun.result(LIMIT_S) == "by a new one"


def test_a_fork_server_that_does_not_answer_is_replaced(
    workers: Workers, monkeypatch: pytest.MonkeyPatch
) -> None:
    say(workers, "there is one")
    os.kill(FORK_SERVER._pid, signal.SIGSTOP)
    monkeypatch.setattr(forkserver, "ANSWER_WITHIN_S", 1.0)
    with closing(Workers(1)) as more:
        call = more.call
        monkeypatch.setattr(forkserver, "start_server", _slow_clock(monkeypatch))
        assert call(tasks.echo, "by a new one", timeout_s=LIMIT_S) == "by a new one"


def _slow_clock(monkeypatch: pytest.MonkeyPatch) -> Callable[[], Any]:
    """Give the new server, which must import everything, the time it needs."""
    actual = forkserver.start_server

    def start() -> Any:
        monkeypatch.setattr(forkserver, "ANSWER_WITHIN_S", LIMIT_S)
        return actual()

    return start


def test_a_fork_of_the_driver_has_a_fork_server_of_its_own(workers: Workers) -> None:
    """Else two processes would read each other's answers."""
    say(workers, "there is one")
    used, theirs = FORK_SERVER._requests, FORK_SERVER._owner
    FORK_SERVER._owner = -1  # as it looks in a fork
    try:
        with closing(Workers(1)) as more:
            assert say(more, "x") == "x"
        assert FORK_SERVER._requests is not used
        assert used is not None
        assert used.fileno() == -1
    finally:
        assert theirs == FORK_SERVER._owner


def test_answers_are_never_mixed_up_while_workers_die(workers: Workers) -> None:
    """Many threads over few workers, of which one after the other is killed."""
    is_over = threading.Event()
    dice = random.Random(11)  # noqa: S311  dice

    def kill_some() -> None:
        while not is_over.wait(dice.uniform(0.05, 0.2)):
            if living := children_of(FORK_SERVER._pid):
                with suppress(ProcessLookupError):
                    os.kill(dice.choice(living), signal.SIGKILL)

    def ask(number: int) -> bool:
        try:
            task = tasks.child_of_mine if number % 2 else tasks.echo
            assert workers.call(task, number, timeout_s=LIMIT_S) == number
        except (WorkerDiedError, WorkerStartError):
            return False
        return True

    killer = threading.Thread(target=kill_some)
    killer.start()
    try:
        with ThreadPoolExecutor(8) as threads:
            answered = list(threads.map(ask, range(300)))
    finally:
        is_over.set()
        killer.join()
    assert any(answered)
    # each worker may still be the one that was killed last
    wait_until(lambda: ask(300), "no worker answers any more")


def test_closing_ends_calls_and_processes(tmp_path: Path) -> None:
    workers = Workers(2)
    idle = workers.call(tasks.whoami, timeout_s=LIMIT_S)
    begun, pid = begin_hanging(workers, tmp_path / "begun", tasks.hanging_child)
    workers.close()
    with pytest.raises(CancelledError):
        begun.result(LIMIT_S)
    wait_until(lambda: is_gone(idle) and is_gone(pid), "one lives on")


@pytest.mark.parametrize("task", ["hang", "hold_interpreter", "hang_in_child_with_the_interpreter"])
def test_nothing_outlives_a_killed_driver(tmp_path: Path, task: str) -> None:
    """Whatever it does: its fork server, its worker and the worker's child."""
    marker = tmp_path / "begun"
    code = (
        "from tenantmig.engines.workers import Workers\n"
        f"from tests.fixtures.tasks import {task}\n"
        f"Workers(1).call({task}, {str(marker)!r}, timeout_s=60)"
    )
    driver = subprocess.Popen(
        [sys.executable, "-c", code], cwd=Path(__file__).parents[3], process_group=0
    )
    wait_until(lambda: marker.exists() and marker.read_text() != "", "it does not begin", LIMIT_S)
    driver.kill()
    driver.wait(LIMIT_S)
    wait_until(lambda: group_of(driver.pid) == [], "a process lives on", LIMIT_S)

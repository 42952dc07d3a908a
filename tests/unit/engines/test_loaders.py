"""Loaders: workers that are forks of a process which has loaded more than the libraries."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tenantmig.domain.database_url import DatabaseUrl
from tenantmig.engines.environment import WorkerOptions
from tenantmig.engines.loaders import Libraries, Loader
from tenantmig.engines.loading import Load
from tenantmig.engines.workers import Workers
from tenantmig.forkserver import FORK_SERVER
from tenantmig.postgres.connection import SessionOptions
from tests.fixtures import tasks
from tests.fixtures.dying import below, parent_of, role_of
from tests.fixtures.holds import group_of
from tests.fixtures.processes import wait_until

LIMIT_S = 60.0
INI = "[alembic]\nscript_location = {folder}\nprepend_sys_path = {folder}\npath_separator = os\n"
BUILT = """
from pathlib import Path
from tenantmig.engines.workers import Workers
from tests.fixtures import tasks
from tests.unit.engines.test_loaders import loader_of
Workers(1, loader_of(Path({folder!r}))).call(tasks.{task}, {marker!r}, timeout_s=60)
"""


def loader_of(folder: Path) -> Loader:
    """A loader of a module that notes where it is imported."""
    note = f"import os\nwith open({str(folder / 'told')!r}, 'a') as told:\n    told.write('x')\n"
    (folder / "noted_module.py").write_text(note)
    ini = folder / "alembic.ini"
    ini.write_text(INI.format(folder=folder))
    session = SessionOptions(DatabaseUrl.parse("postgresql://nobody@localhost/nowhere"))
    options = WorkerOptions(ini, session, "tenantmig", "alembic_version")
    load = Load(options, (("noted_module", ()),))
    return Loader(lambda: load, Libraries())


@pytest.fixture
def loader(tmp_path: Path) -> Iterator[Loader]:
    others = set(below(FORK_SERVER._pid, "loader"))  # of fleets that other tests keep
    with closing(loader_of(tmp_path)) as made:
        yield made
    wait_until(lambda: others >= set(below(FORK_SERVER._pid, "loader")), "a loader lives on")


@pytest.fixture
def workers(loader: Loader) -> Iterator[Workers]:
    with closing(Workers(2, loader)) as lent:
        yield lent


def loads(folder: Path) -> int:
    """How often the module was imported."""
    return len((folder / "told").read_text())


def test_workers_come_from_one_process_that_has_loaded(workers: Workers, tmp_path: Path) -> None:
    first = workers.call(tasks.whoami, timeout_s=LIMIT_S)
    os.kill(first, signal.SIGKILL)
    wait_until(lambda: role_of(first) == "", "it lives on")
    second = workers.call(tasks.whoami, timeout_s=LIMIT_S)
    assert role_of(parent_of(second)) == "loader"
    assert loads(tmp_path) == 1
    assert workers.call(tasks.child_of_mine, "x", timeout_s=LIMIT_S) == "x"


def test_a_worker_has_what_the_driver_has_when_it_is_asked(
    workers: Workers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TAKEN_AWAY", "later")
    workers.call(tasks.whoami, timeout_s=LIMIT_S)
    monkeypatch.delenv("TAKEN_AWAY")
    monkeypatch.setenv("TENANTMIG_NEW", "1")
    monkeypatch.setattr(sys, "argv", ["other", "words"])
    monkeypatch.chdir(tmp_path)
    seen = workers.call(tasks.surroundings, timeout_s=LIMIT_S)
    assert seen["variables"] == dict(os.environ)
    assert seen["argv"] == ["other", "words"]
    assert seen["folder"] == str(tmp_path)
    assert seen["sys.path"] == [str(tmp_path), *sys.path]  # as prepend_sys_path asks
    assert loads(tmp_path) == 2


def test_a_dead_loader_costs_nothing(workers: Workers, tmp_path: Path) -> None:
    first = workers.call(tasks.whoami, timeout_s=LIMIT_S)
    dead = parent_of(first)
    os.kill(dead, signal.SIGKILL)
    wait_until(lambda: role_of(dead) == "", "it lives on")
    assert workers.call(tasks.whoami, timeout_s=LIMIT_S) == first  # its worker lives on
    os.kill(first, signal.SIGKILL)
    wait_until(lambda: role_of(first) == "", "it lives on")
    second = workers.call(tasks.whoami, timeout_s=LIMIT_S)
    assert role_of(parent_of(second)) == "loader"
    assert loads(tmp_path) == 2


def test_a_dead_fork_server_does_not_take_the_loader_with_it(
    workers: Workers, tmp_path: Path
) -> None:
    first = workers.call(tasks.whoami, timeout_s=LIMIT_S)
    loader = parent_of(first)
    os.kill(FORK_SERVER._pid, signal.SIGKILL)
    os.kill(first, signal.SIGKILL)
    wait_until(lambda: role_of(first) == "", "it lives on")
    second = workers.call(tasks.whoami, timeout_s=LIMIT_S)
    assert parent_of(second) == loader
    assert loads(tmp_path) == 1


def test_a_loader_that_is_retired_ends_after_its_workers(
    loader: Loader, workers: Workers, tmp_path: Path
) -> None:
    first = workers.call(tasks.whoami, timeout_s=LIMIT_S)
    retired = parent_of(first)
    loader.retire()
    assert workers.call(tasks.whoami, timeout_s=LIMIT_S) == first
    workers.close()
    wait_until(lambda: role_of(retired) == "", "it does not end", LIMIT_S)
    with closing(Workers(1, loader)) as more:
        assert more.call(tasks.echo, "x", timeout_s=LIMIT_S) == "x"
    assert loads(tmp_path) == 2


@pytest.mark.parametrize("task", ["hang", "hold_interpreter", "hang_in_child_with_the_interpreter"])
def test_nothing_outlives_a_killed_driver(tmp_path: Path, task: str) -> None:
    marker = tmp_path / "begun"
    code = BUILT.format(folder=str(tmp_path), task=task, marker=str(marker))
    driver = subprocess.Popen(
        [sys.executable, "-c", code], cwd=Path(__file__).parents[3], process_group=0
    )
    wait_until(lambda: marker.exists() and marker.read_text() != "", "it does not begin", LIMIT_S)
    assert any(role_of(pid) == "loader" for pid in group_of(driver.pid))
    driver.kill()
    driver.wait(LIMIT_S)
    wait_until(lambda: group_of(driver.pid) == [], "a process lives on", LIMIT_S)

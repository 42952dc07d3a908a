"""The gate: a command that is asked between waves whether the run may go on."""

from __future__ import annotations

import json
import os
import signal
from contextlib import suppress
from pathlib import Path

import pytest

from tests.fixtures.command import Project, untouched
from tests.fixtures.database import Database
from tests.fixtures.history import write_history
from tests.fixtures.processes import wait_until
from tests.fixtures.rollouts import CREATE, adding, stands


@pytest.fixture
def project(tmp_path: Path, database: Database) -> Project:
    """Five tenants at r1 of a history r1, r2."""
    history = write_history(tmp_path / "history", CREATE, adding("r2", "b"))
    project = Project(tmp_path, database.url, history)
    project.run("onboard", *"abcde", "--to", "r1")
    return project


def recorder(folder: Path, then: str = "exit 0") -> tuple[str, Path]:
    """A gate that notes what it is told, a line each time, and then answers; and its notes."""
    script, notes = folder / "gate.sh", folder / "notes"
    script.write_text(f'#!/bin/sh\n(cat; echo) >> "{notes}"\n{then}\n')
    script.chmod(0o755)
    return str(script), notes


def told(notes: Path) -> list[dict[str, object]]:
    """What the gate was told, each time."""
    return [json.loads(line) for line in notes.read_text().splitlines()]


@pytest.mark.slow
def test_the_gate_is_asked_between_waves_and_told_the_counts(
    project: Project, tmp_path: Path
) -> None:
    gate, notes = recorder(tmp_path)
    report = project.run("upgrade", "--wave", "2", "--gate", gate, "--json").json
    assert report["counts"] == {"upgraded": 5}
    run = report["run"]
    assert told(notes) == [  # not before the canary, not after the last wave
        {"version": 1, "run": run, "wave": 0, "counts": {"upgraded": 1}},
        {"version": 1, "run": run, "wave": 1, "counts": {"upgraded": 3}},
    ]


@pytest.mark.slow
def test_no_gate_is_asked_in_a_run_of_one_wave(project: Project, tmp_path: Path) -> None:
    gate, notes = recorder(tmp_path, then="exit 1")
    project.run("upgrade", "--canary", "0", "--gate", gate)
    assert not notes.exists()


@pytest.mark.slow
def test_a_gate_that_says_no_stops_the_run(
    project: Project, tmp_path: Path, database: Database
) -> None:
    gate, notes = recorder(tmp_path, then="echo 'no, thanks'; exit 7")
    result = project.run("upgrade", "--gate", gate, "--json", expect=3)
    assert result.json["counts"] == {"upgraded": 1, "skipped": 4}  # nothing of the gate's on stdout
    assert "no, thanks" in result.err
    assert result.json["reason"] == "the gate after wave 0 stopped the run (exit code 7)"
    assert stands(database, *"abcde") == {"a": "r2"} | dict.fromkeys("bcde", "r1")
    assert len(told(notes)) == 1
    assert project.run("resume", "--gate", "true", "--json").json["counts"] == {"upgraded": 5}


@pytest.mark.slow
@pytest.mark.parametrize("gate", ["no-such-program --now", "'unbalanced", "./gate.sh"])
def test_a_gate_that_cannot_be_run_is_refused_first(
    project: Project, database: Database, gate: str
) -> None:
    with untouched(database):
        error = project.refuse("upgrade", "--gate", gate)
    assert "gate" in error
    assert len(project.run("runs", "--json").json["runs"]) == 1


@pytest.mark.slow
def test_a_gate_that_hangs_is_ended(project: Project, tmp_path: Path) -> None:
    project.settings('gate_timeout = "500ms"\n')
    gate, _ = recorder(tmp_path, then=f"echo $$ > {tmp_path / 'pid'}; exec sleep 100")
    report = project.run("upgrade", "--gate", gate, "--json", expect=3).json
    assert report["reason"] == "the gate did not answer within 0.5 s"
    assert report["counts"] == {"upgraded": 1, "skipped": 4}
    assert not Path(f"/proc/{(tmp_path / 'pid').read_text().strip()}").exists()


@pytest.mark.slow
def test_a_gate_that_starts_programs_leaves_none_of_them(project: Project, tmp_path: Path) -> None:
    project.settings('gate_timeout = "500ms"\n')
    pid = tmp_path / "pid"
    gate, _ = recorder(tmp_path, then=f"sleep 100 >/dev/null 2>&1 & echo $! > {pid}; wait")
    project.run("upgrade", "--gate", gate, "--json", expect=3)
    child = int(pid.read_text())
    try:
        wait_until(lambda: not Path(f"/proc/{child}").exists(), "what the gate started lives on", 5)
    finally:
        with suppress(ProcessLookupError):
            os.kill(child, signal.SIGKILL)


@pytest.mark.slow
@pytest.mark.parametrize("how", ["SIGTERM", "SIGINT"])
def test_a_signal_ends_a_run_that_waits_for_its_gate(
    project: Project, tmp_path: Path, how: str
) -> None:
    pid = tmp_path / "pid"
    gate, _ = recorder(tmp_path, then=f"echo $$ > {pid}; exec sleep 100")
    driver = project.start("upgrade", "--gate", gate, "--json")
    wait_until(lambda: pid.exists() and pid.read_text() != "", "the gate is asked", 60)
    driver.send_signal(signal.Signals[how])
    report = project.finish(driver, expect=130).json
    assert report["state"] == "interrupted"
    assert how in report["reason"]
    assert report["counts"] == {"upgraded": 1, "interrupted": 4}
    assert not Path(f"/proc/{pid.read_text().strip()}").exists()


@pytest.mark.slow
def test_a_gate_need_not_read_what_it_is_told(project: Project) -> None:
    assert project.run("upgrade", "--gate", "true", "--json").json["counts"] == {"upgraded": 5}

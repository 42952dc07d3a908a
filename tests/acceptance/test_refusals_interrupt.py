"""Ctrl-C and SIGTERM: the statement is cancelled, the ledger says so, and a rerun finishes."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path

import pytest

from tests.fixtures.command import Project, untouched, with_history
from tests.fixtures.database import Database
from tests.fixtures.processes import wait_until

ASLEEP = """
    SELECT application_name FROM pg_stat_activity
    WHERE datname = current_database() AND state = 'active' AND wait_event = 'PgSleep'
"""


def interrupt(
    project: Project, database: Database, process: subprocess.Popen[str], how: str
) -> str:
    """Interrupt a command once two of its tenants sleep; return what it printed."""
    try:
        wait_until(lambda: len(database.fetch(ASLEEP)) == 2, "no migration sleeps", 60)
        if how == "Ctrl-C":  # a terminal signals the whole foreground group, workers included
            os.killpg(process.pid, signal.SIGINT)
        else:
            process.send_signal(signal.Signals[how])
        out, err = process.communicate(timeout=30)  # far less than what the migrations sleep
    finally:
        process.kill()
    assert process.returncode == 130, out + err
    assert "Traceback" not in err
    assert database.fetch(ASLEEP) == []
    return out


def wake_up(project: Project) -> None:
    """Mend the revision that sleeps."""
    script = project.script_location / "versions" / "aa02_sleeps.py"
    script.write_text(script.read_text().replace("pg_sleep(60)", "pg_sleep(0)"))


@pytest.mark.slow
@pytest.mark.parametrize("how", ["Ctrl-C", "SIGTERM"])
def test_interrupted_upgrade(how: str, tmp_path: Path, database: Database) -> None:
    project = with_history("sleeps", tmp_path, database)
    project.environment["TENANTMIG_ENGINE"] = "alembic"  # no witness for whom the other would wait
    project.is_installed = True
    project.run("onboard", "acme", "beta", "other", "--to", "aa01")
    with untouched(database, besides=("tenantmig",)):
        process = project.start("upgrade", "-p", "2", "--canary", "0")
        interrupt(project, database, process, how)
    runs = project.run("runs", "--json").json["runs"]
    assert runs[0]["kind"] == "upgrade"
    assert runs[0]["state"] == "interrupted"
    assert {"Ctrl-C": "SIGINT"}.get(how, how) in runs[0]["reason"]
    shown = project.run("show", str(runs[0]["run"]), "--json").json
    assert shown["state"] == "interrupted"
    assert shown["counts"] == {"interrupted": 3}
    assert {tenant["to"] for tenant in shown["tenants"]} == {"aa01"}
    wake_up(project)
    assert project.run("upgrade", "--json").json["counts"] == {"upgraded": 3}
    assert project.run("status", "--json").json["summary"]["at_head"] == 3


@pytest.mark.slow
def test_interrupted_onboarding(tmp_path: Path, database: Database) -> None:
    project = with_history("sleeps", tmp_path, database)
    project.environment["TENANTMIG_ENGINE"] = "alembic"  # no witness for whom the other would wait
    project.is_installed = True
    process = project.start("onboard", "acme", "beta", "other", "-p", "2", "--json")
    interrupt(project, database, process, "Ctrl-C")
    schemas = "SELECT FROM pg_namespace WHERE nspname IN ('acme', 'beta', 'other')"
    assert database.fetch(schemas) == []
    assert database.fetch("SELECT FROM tenantmig.tenant") == []
    wake_up(project)
    assert project.run("onboard", "acme", "beta", "other", "--json").json["counts"] == {
        "onboarded": 3
    }

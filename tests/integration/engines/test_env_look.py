"""The look at env.py before a run: what it must find, and what it must not take for a fault."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tenantmig import Fleet, Tenant
from tenantmig.engines import alembic as alembic_engine
from tenantmig.errors import EnvironmentFileError
from tests.fixtures.command import Project
from tests.fixtures.database import Database
from tests.fixtures.history import write_history
from tests.fixtures.in_process import Ask
from tests.fixtures.rollouts import OpenFleet

ASKS = "import socket\nsocket.create_connection(('127.0.0.1', 1), 5)\n"
SWALLOWS = """
import sys, urllib.request
try:
    urllib.request.urlopen("http://127.0.0.1:1")
except Exception:
    sys.exit("no secrets")
"""
GOES_ON = """
import socket, sys
from alembic import context
try:
    socket.create_connection(("127.0.0.1", 1), 5)
except OSError:
    is_served = True  # nobody listens there: that is an answer
except Exception:
    context.run_migrations = lambda: None
"""
WAITS = """
import socket, time
while True:
    try:
        socket.create_connection(("127.0.0.1", 1), 5)
        break
    except Exception:
        time.sleep(0.1)
"""
REFLECTS = "import sqlalchemy\nsqlalchemy.create_engine({url!r}).connect()\n"
THREAD = """
import threading
from alembic import context
def work():
    context.config.attributes["connection"].exec_driver_sql("SELECT 1")
    found.append(1)
found = []
thread = threading.Thread(target=work)
thread.start()
thread.join()
assert found, "the registry is empty"
"""
LOGS = """
import logging.config, os
from pathlib import Path
from alembic import context
logging.config.dictConfig({"version": 1, "root": {"handlers": ["file"]}, "handlers": {
    "file": {"class": "logging.FileHandler", "filename": os.environ["TMPDIR"] + "/alembic.log"}}})
assert os.environ["HOME"]
assert context.get_x_argument(as_dictionary=True)["tenant"]
assert context.get_x_argument(as_dictionary=True).get("data", "no") == "no"
assert not context.is_offline_mode() and not context.config.cmd_opts.autogenerate
import asyncio
async def nothing(): await asyncio.sleep(0)
asyncio.run(nothing())
"""
HEADS = "from alembic import context\ncontext.get_revision_argument()\n"
FITS = {
    "logs": LOGS,
    "asks a service for secrets": ASKS,
    "ends where it gets none": SWALLOWS,
    "does nothing without them": GOES_ON,
    "reflects when models are loaded": REFLECTS,
    "asks in a thread": THREAD,
    "writes a file": "import os\nopen(os.environ['TMPDIR'] + '/notes', 'w').close()\n",
    "asks for the target of two heads": HEADS,
}


def _open(tmp_path: Path, database: Database, before: str) -> Fleet:
    history = write_history(tmp_path / "history", ("r1", "pass"))
    shutil.copy(history / "versions" / "r1.py", history / "versions" / "r2.py")
    other = history / "versions" / "r2.py"
    other.write_text(other.read_text().replace("revision = 'r1'", "revision = 'r2'"))
    env = history / "env.py"
    env.write_text(before.replace("{url!r}", repr(database.url)) + env.read_text())
    Project(tmp_path, database.url, history)
    return Fleet.open(tmp_path / "alembic.ini", database_url=database.url)


@pytest.mark.slow
@pytest.mark.parametrize("before", FITS.values(), ids=FITS)
def test_what_works_in_a_run_is_no_fault(
    tmp_path: Path, database: Database, before: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    fleet = _open(tmp_path, database, before)
    assert fleet._driver.engines.look_at_env([Tenant("acme", "acme")]) is None
    fleet.plan("heads")


def test_a_look_that_takes_too_long_says_nothing(
    tmp_path: Path, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(alembic_engine, "LOOK_WITHIN_S", 2.0)
    fleet = _open(tmp_path, database, WAITS)
    assert fleet.status().env_problem is None
    fleet.plan("heads")


@pytest.mark.slow
@pytest.mark.parametrize("command", [("status",), ("status", "-t", "a")])
def test_status_shows_where_tenants_stand_beside_a_broken_env_py(
    three: Project, open_fleet: OpenFleet, ask: Ask, command: tuple[str, ...]
) -> None:
    open_fleet().onboard(["a"], "r1")
    env = three.folder / "history" / "env.py"
    env.write_text("import no_such_model\n" + env.read_text())
    told = ask(three, *command)
    assert "behind at r1" in told.out or "1 behind" in told.out
    assert "env.py, line 1: ModuleNotFoundError" in " ".join(told.out.split())
    found = ask(three, *command, "--json").json
    assert found["tenants"][0]["revision"] == "r1"
    assert "no_such_model" in found["env_problem"]
    for reader in (("runs",), ("show", "1"), ("show", "a"), ("tenants", "list")):
        ask(three, *reader)
    for run in (("plan",), ("upgrade", "--dry-run"), ("upgrade",), ("check",)):
        assert "no_such_model" in ask(three, *run, expect=2).err


HELPER = "from helper_of_the_project import run\nrun()\n"
RUNS = """
import sqlalchemy
from alembic import context
def run():
    with sqlalchemy.create_engine({url!r}).connect() as connection:
        context.configure(connection=connection)
        with context.begin_transaction():
            context.run_migrations()
"""
NO_MODEL = "import nothing_of_the_kind\n"
UNKNOWN = "from alembic import context\n{}[context.get_x_argument(True)['tenant']]\n"


@pytest.mark.slow
def test_what_is_wrong_is_found(tmp_path: Path, database: Database) -> None:
    fleet = _open(tmp_path, database, "")
    env, ours = tmp_path / "history" / "env.py", (tmp_path / "history" / "env.py").read_text()
    (tmp_path / "alembic.ini").write_text(
        f"[alembic]\nscript_location = {tmp_path}/history\nprepend_sys_path = {tmp_path}\n"
    )
    (tmp_path / "helper_of_the_project.py").write_text(RUNS.format(url=database.url))
    (tmp_path / "models_of_the_project.py").write_text("raise ValueError('no such column')\n")
    own = RUNS.format(url=database.url) + "run()\n"
    for text, said in (
        (HELPER, "opens a connection of its own"),
        (own, "opens a connection of its own"),
        (NO_MODEL + ours, "line 1: ModuleNotFoundError"),
        ("import models_of_the_project\n" + ours, "ValueError: no such column"),
        ("import os\nos._exit(3)\n", "died"),
        (ours + "\ncontext.missing\n", "AttributeError"),
        (UNKNOWN + ours, None),  # of nobody: there is no tenant yet
    ):
        env.write_text(text)
        told = fleet._driver.engines.look_at_env([])
        assert (told is None) if said is None else (told is not None and said in told), told


def test_no_value_of_the_ini_is_told(tmp_path: Path, database: Database) -> None:
    fleet = _open(tmp_path, database, "")
    ini, env = tmp_path / "alembic.ini", tmp_path / "history" / "env.py"
    ini.write_text(ini.read_text() + "sqlalchemy.url = postgresql://app:a%40hunter2@db/x\n")
    asks = "from alembic import context\ncontext.config.get_main_option('sqlalchemy.url')\n"
    env.write_text(asks + env.read_text())
    told = str(fleet.status().env_problem)
    assert "env.py, line 2: InterpolationSyntaxError: `sqlalchemy.url`" in told
    assert "hunter2" not in told
    with pytest.raises(EnvironmentFileError) as caught:
        fleet.lint()
    assert "hunter2" not in str(caught.value)

"""The driver's own work tells no progress of env.py's; a real run names the revisions that run."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.fixtures.command import Project, Result
from tests.fixtures.database import Database
from tests.fixtures.models import with_models, write_models

LOGGING = """
[loggers]
keys = root,alembic,app
[handlers]
keys = console
[formatters]
keys = generic
[logger_root]
level = WARNING
handlers = console
[logger_alembic]
level = INFO
handlers =
qualname = alembic
[logger_app]
level = DEBUG
handlers =
qualname = app
[handler_console]
class = StreamHandler
args = (sys.stderr,)
level = NOTSET
formatter = generic
[formatter_generic]
format = %(levelname)-5.5s [%(name)s] %(message)s
"""
LOGGERS = {
    "fileConfig": "from logging.config import fileConfig\n"
    "fileConfig(context.config.config_file_name)",
    "basicConfig": "import logging\nlogging.basicConfig(level=0, force=True)",
    "own handler": "import logging, sys\nhandler = logging.StreamHandler(sys.stdout)\n"
    "logging.getLogger().handlers[:] = [handler]\nlogging.getLogger().setLevel(1)\n"
    "logging.getLogger('sqlalchemy.engine').setLevel(logging.INFO)",
}
LOG = """
import logging
logging.getLogger('app').debug('told to debug')
logging.getLogger('app').info('told to inform')
logging.getLogger('app').warning('told to warn')
"""
R1 = (
    "r1",
    f"op.execute('CREATE TABLE thing (id int)'){LOG}",
    f"op.execute('DROP TABLE thing'){LOG}",
)
R2 = (
    "r2",
    "import os\nos.environ.get('HOME')\nop.execute('ALTER TABLE thing ADD b int')",
    "op.execute('ALTER TABLE thing DROP b')",
)
MODELS = """
sa.Table("thing", metadata, sa.Column("id", sa.Integer), sa.Column("b", sa.Integer),
         sa.Column("c", sa.Integer))
"""
NEVER = ("Running", "Context impl", "Detected", "Generating static", "told to debug", "told to inf")


def made(folder: Path, database: Database, logging: str) -> Project:
    project = with_models(folder, database, R1, R2)
    write_models(project, MODELS)
    project.ini.write_text(project.ini.read_text() + LOGGING)
    env = project.script_location / "env.py"
    env.write_text(env.read_text().replace("tenant = ", f"{LOGGERS[logging]}\ntenant = ", 1))
    return project


def assert_quiet(result: Result) -> None:
    for words in NEVER:
        assert words not in result.err, result.err
    assert "INFO" not in result.err
    assert "DEBUG" not in result.err


@pytest.mark.slow
@pytest.mark.parametrize("logging", LOGGERS)
def test_check_tells_warnings_alone(tmp_path: Path, database: Database, logging: str) -> None:
    checked = made(tmp_path, database, logging).run("check", expect=5)
    assert_quiet(checked)
    assert "told to warn" in checked.err
    assert "Running" not in checked.out


@pytest.mark.slow
def test_so_does_all_other_work_of_its_own(tmp_path: Path, database: Database) -> None:
    project = made(tmp_path, database, "fileConfig")
    database.execute("CREATE SCHEMA acme; CREATE TABLE acme.thing (id int)")
    adopted = project.run("tenants", "adopt", "acme")
    assert_quiet(adopted)
    assert "adopted at r1" in adopted.out
    drift = project.run("drift")
    assert_quiet(drift)
    assert "told to warn" in drift.err
    drawn = project.run("revision", "-m", "more", "--autogenerate", "--dry-run")
    assert_quiet(drawn)
    assert "add_column" in drawn.out
    assert_quiet(project.run("lint", expect=None))
    shown = project.run("plan", "--sql")
    assert_quiet(shown)
    assert "-- Running upgrade r1 -> r2" in shown.out
    assert "leave_out" not in shown.out


@pytest.mark.slow
def test_a_script_that_fails_there_says_why(tmp_path: Path, database: Database) -> None:
    project = made(tmp_path, database, "fileConfig")
    script = project.script_location / "versions" / "r2.py"
    fails = "import logging; logging.getLogger('app').error('told to fail'); 1 / 0; import os"
    script.write_text(script.read_text().replace("import os", fails, 1))
    for command in (("check",), ("revision", "-m", "more", "--autogenerate", "--dry-run")):
        failed = project.run(*command, expect=2)
        assert_quiet(failed)
        assert "told to fail" in failed.err
        assert "division by zero" in failed.err


@pytest.mark.slow
def test_a_run_names_the_revisions(tmp_path: Path, database: Database) -> None:
    project = made(tmp_path, database, "fileConfig")
    first, second = "Running upgrade  -> r1", "Running upgrade r1 -> r2"
    back = ["Running downgrade r2 -> r1", "Running downgrade r1 -> "]
    for command, told in (
        (("onboard", "acme", "--to", "r1"), [first]),
        (("upgrade",), [second]),
        (("downgrade", "base", "--all", "--yes"), back),
        (("upgrade", "--engine", "alembic"), [first, second]),
    ):
        lines = project.run(*command).err.splitlines()
        running = [line for line in lines if "Running" in line]
        for words in told:
            (line,) = [line for line in running if words in line]
            assert line.startswith("acme: INFO  [alembic.runtime.migration] Running ")
        assert len(running) == len(told), running
        assert ("acme: WARNI [app] told to warn" in lines) is (told != [second])

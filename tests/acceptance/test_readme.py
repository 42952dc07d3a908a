"""README.md shows what the commands print, and says first what a reader asks first."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.fixtures.database import Database
from tests.fixtures.pages import run_page
from tests.fixtures.readme import README, prepare, repairer


@pytest.mark.slow
def test_the_run_of_the_readme_is_real(tmp_path: Path, database: Database) -> None:
    project = prepare(tmp_path, database)
    text = README.read_text(encoding="utf-8")
    assert len(run_page(text, project, repairer(database))) == 4


def test_exit_codes_are_on_the_first_screens() -> None:
    first = README.read_text(encoding="utf-8").splitlines()[:60]
    for said in ("$ tenantmig resume", "    make test", "Not supported today", "| 130 |"):
        assert any(line.startswith(said) for line in first), said

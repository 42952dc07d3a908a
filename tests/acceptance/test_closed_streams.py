"""A command that begins without standard streams, as some supervisors start one."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from tests.fixtures.command import BIN, Project
from tests.fixtures.database import Database
from tests.fixtures.history import write_history
from tests.fixtures.rollouts import CREATE

R2 = ("r2", "print('hello')\nop.execute('ALTER TABLE thing ADD b int')")
NAMES = ["a", "b", "c"]


@pytest.mark.slow
@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&-", "<&- >&- 2>&-"])
def test_a_rollout_needs_no_standard_stream(
    tmp_path: Path, database: Database, closed: str
) -> None:
    """What is opened next would take its number; the script prints, and workers are forked."""
    project = Project(tmp_path, database.url, write_history(tmp_path / "history", CREATE, R2))
    project.run("onboard", *NAMES, "--to", "r1")
    done = subprocess.run(
        ["sh", "-c", f'exec "$@" {closed}', "sh", BIN / "tenantmig", "upgrade"],
        cwd=tmp_path,
        env=os.environ | {"TENANTMIG_DATABASE_URL": database.url},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    versions = [database.fetch(f"SELECT version_num FROM {name}.alembic_version") for name in NAMES]
    assert versions == [[("r2",)]] * len(NAMES)

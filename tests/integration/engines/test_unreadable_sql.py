"""SQL that nests too deeply for the parser is run all the same: through Alembic, for everybody."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.fixtures.command import Project
from tests.fixtures.database import Database
from tests.fixtures.history import write_history, write_revision

ROWS = " UNION ALL ".join(["SELECT 1"] * 150)


@pytest.mark.slow
def test_a_revision_that_cannot_be_read_is_not_replayed(tmp_path: Path, database: Database) -> None:
    create = ("r1", "op.create_table('thing', sa.Column('id', sa.Integer))")
    history = write_history(tmp_path / "history", create)
    project = Project(tmp_path, database.url, history)
    project.run("onboard", "acme", "beta", "gamma", "delta")
    write_revision(history, "r2", "r1", f'op.execute("INSERT INTO thing {ROWS}")')
    report = project.run("upgrade", "--json").json
    assert report["counts"] == {"upgraded": 4}
    assert {tenant["engine"] for tenant in report["tenants"]} == {"alembic"}
    assert "too deeply" in report["obstacles"]["r2"]
    assert database.fetch("SELECT count(*) FROM delta.thing") == [(150,)]

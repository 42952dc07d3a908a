"""What env.py and scripts print: on stderr, marked with the tenant, equal lines once a run."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.fixtures.command import Project
from tests.fixtures.database import Database
from tests.fixtures.history import write_history

R1 = ("r1", "op.execute('CREATE TABLE note (id int)')")
R2 = (
    "r2",
    """import sys
print('the same for all')
print('the same for all')
print('schema', op.get_context().version_table_schema, '[red]')
sys.stderr.write('no end of line')
import os
os.environ.get('HOME')
op.execute('ALTER TABLE note ADD more int')""",
)
R3 = ("r3", "print('before it fails')\nraise ValueError('on purpose')")
NAMES = ("ann", "bob", "cid", "dan")


@pytest.mark.slow
def test_what_scripts_print(tmp_path: Path, database: Database) -> None:
    history = write_history(tmp_path / "history", R1, R2)
    env = history / "env.py"
    env.write_text(env.read_text() + "\nprint('env.py is here')\n")
    project = Project(tmp_path, database.url, history)
    project.run("onboard", *NAMES, "--to", "r1")
    result = project.run("upgrade", "--json", "--canary", "0")
    assert result.json["counts"] == {"upgraded": 4}
    lines = result.err.splitlines()
    for text in ("the same for all", "no end of line", "env.py is here"):
        told = [line for line in lines if text in line]
        assert len(told) == 1, lines
        assert told[0].partition(": ")[0] in NAMES
    for name in NAMES:
        assert f"{name}: schema {name} [red]" in lines
    write_history(tmp_path / "history", R1, R2, R3)
    failed = project.run("upgrade", "--engine", "alembic", "--max-failures", "100%", expect=3)
    assert failed.err.count("before it fails") == 1
    assert failed.out.count("before it fails") == 0

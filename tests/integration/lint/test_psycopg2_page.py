"""docs/guides/psycopg2.md: lint finds each "before"; each "after" runs."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tenantmig.postgres.psycopg2_uses import psycopg2_uses
from tests.fixtures.command import REPOSITORY, Project
from tests.fixtures.database import Database
from tests.fixtures.history import write_history

PAGE = (REPOSITORY / "docs" / "guides" / "psycopg2.md").read_text()
BEFORE, AFTER = (
    re.findall(rf"^{word}:\n\n```python\n(.*?)```", PAGE, re.DOTALL | re.MULTILINE)
    for word in ("Before", "After")
)
FOUND = ["IN :ids", "copy_expert()", "execute_values()", "mogrify()", "except psycopg2.errors"]
MAKE = """op.create_table('note', sa.Column('id', sa.Integer), sa.Column('body', sa.Text))
op.execute("INSERT INTO note VALUES (1, 'a'), (2, 'b'), (3, 'c')")"""
FAILING = {
    "IN :ids": (BEFORE[0], "for IN write `= ANY"),
    "copy": ("import io\n" + BEFORE[1], "copy_expert() belongs to psycopg2"),
    "mogrify": (BEFORE[3], "mogrify() belongs to psycopg2"),
    "none": ("op.get_bind().execute(sa.text('SELECT 1 WHERE :x IS NULL'), {'x': None})", "CAST(:x"),
}


def _uses(folder: Path, body: str) -> list[tuple[int, str]]:
    file = folder / "script.py"
    file.write_text(body)
    psycopg2_uses.cache_clear()
    return [use[:2] for use in psycopg2_uses(str(file))]


def test_each_before_is_found_and_no_after(tmp_path: Path) -> None:
    assert len(BEFORE) == len(AFTER) == len(FOUND)
    for body, what in zip(BEFORE, FOUND, strict=True):
        assert any(found.startswith(what) for _, found in _uses(tmp_path, body)), body
    for body in AFTER:
        assert not _uses(tmp_path, body), body


@pytest.mark.parametrize(
    ("body", "found"),
    [
        ("import psycopg2\ntry:\n    f()\nexcept psycopg2.Error:\n    pass", "psycopg2.Error"),
        (
            "from psycopg2 import errors as e\ntry: f()\nexcept (KeyError, e.UniqueViolation): 1",
            "Uni",
        ),
        ("from psycopg2.errors import UniqueViolation as U\ntry: f()\nexcept U: 1", "UniqueV"),
        ("from psycopg2 import errors\ntry: f()\nexcept errors.lookup('23505'): 1", "lookup"),
        ("import psycopg2.extras as x\nx.execute_batch(c, 's', [])", "execute_batch()"),
        ("from psycopg2.extras import Json\nc.execute('a', [Json({})])", "psycopg2.extras.Json()"),
        ("c.copy_from(f, 't')", "copy_from()"),
        ("S = '''SELECT 1\n FROM t WHERE a NOT IN %s'''\nc.execute(S, [(1,)])", "IN %s"),
        ("c.execute(f'DELETE FROM {t} WHERE a IN %(x)s', {})", "IN %(x)s"),
    ],
)
def test_neighbours_are_found(tmp_path: Path, body: str, found: str) -> None:
    assert any(found in what for _, what in _uses(tmp_path, body))


@pytest.mark.parametrize(
    "body",
    [
        "sa.text('SELECT 1 FROM t WHERE a IN :x').bindparams(sa.bindparam('x', expanding=True))",
        "sa.text('SELECT 1 FROM t WHERE a IN (:x, :y)')",
        "'''Say what is IN :order to be read.'''",
        "shutil.copy_from('a')\n" * 0 + "import psycopg\ntry: f()\nexcept psycopg.Error: 1",
        "table.copy_to_metadata(m)",
    ],
)
def test_what_is_no_use_of_psycopg2(tmp_path: Path, body: str) -> None:
    assert not _uses(tmp_path, body)


def test_each_after_runs(tmp_path: Path, database: Database) -> None:
    scripts = [(f"r{number}", body) for number, body in enumerate(AFTER, 2)]
    history = write_history(tmp_path / "history", ("r1", MAKE), *scripts)
    project = Project(tmp_path, database.url, history)
    project.run("onboard", "acme")
    rows = database.fetch("SELECT id, body FROM acme.note ORDER BY id")
    assert rows == [(2, "b"), (7, "seven"), (8, "eight"), (9, "nine"), (10, "ten")]


def test_an_error_names_the_page_and_what_to_write(tmp_path: Path, database: Database) -> None:
    history = write_history(tmp_path / "history", ("r1", MAKE), ("r2", "pass"))
    project = Project(tmp_path, database.url, history)
    project.run("onboard", "acme", "--to", "r1")
    for body, said in FAILING.values():
        write_history(tmp_path / "history", ("r1", MAKE), ("r2", body))
        told = project.run("upgrade", "--json", expect=3).json["tenants"][0]["error"]
        assert said in told
        assert "docs/guides/psycopg2.md" in told
    project.settings('bind_parameters = "client"\n')
    write_history(tmp_path / "history", ("r1", MAKE), ("r2", BEFORE[0]))
    project.run("upgrade")
    assert database.fetch("SELECT id FROM acme.note") == [(2,)]

"""The pages "Coming from …" are run command by command, each in an empty folder."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from tenantmig.history.adaptation.adapt_env import adapt_env
from tenantmig.history.scaffold import scaffold_files
from tests.fixtures.command import Project
from tests.fixtures.database import Database
from tests.fixtures.history import write_history
from tests.fixtures.pages import DOCS, empty_project, run_page

FOLDER = DOCS / "guides" / "coming-from"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("page", "commands"),
    [("stock-alembic", 11), ("async-template", 15), ("flask-migrate", 8), ("home-made-loops", 9)],
)
def test_a_page_is_run_as_it_stands(
    page: str, commands: int, tmp_path: Path, database: Database
) -> None:
    project = empty_project(tmp_path, database.url)
    text = (FOLDER / f"{page}.md").read_text(encoding="utf-8")
    assert len(run_page(text, project)) >= commands
    assert os.listdir(tmp_path)


SQL = re.compile(r"^```sql\n(.*?)^```$", re.MULTILINE | re.DOTALL)
PYTHON = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def test_the_env_py_that_pages_print_are_what_init_writes() -> None:
    """Whole, so that who cannot be helped by `init --adapt` can copy one."""
    loops, template = (
        PYTHON.findall((FOLDER / f"{page}.md").read_text())
        for page in ("home-made-loops", "async-template")
    )
    ours, taking = (one for one in loops if "TenantEnv(" in one)
    assert ours == scaffold_files()["alembic/env.py"]
    before, after = (one for one in template if "do_run_migrations(connection)" in one)
    assert adapt_env(before.removeprefix("# migrations/env.py\n"), "env.py") == after == taking
    for fit in (ours, taking):
        assert adapt_env(fit, "env.py") == fit


def test_tables_in_public_become_a_tenant(tmp_path: Path, database: Database) -> None:
    page = (FOLDER / "stock-alembic.md").read_text(encoding="utf-8")
    create = "op.create_table('users', sa.Column('id', sa.Integer, primary_key=True))"
    project = Project(tmp_path, database.url, write_history(tmp_path / "history", ("a1", create)))
    database.execute("CREATE TABLE public.users (id serial PRIMARY KEY)")
    database.execute("CREATE TABLE public.alembic_version (version_num varchar(32) PRIMARY KEY)")
    database.execute("INSERT INTO public.alembic_version VALUES ('a1')")
    for statements in SQL.findall(page):
        database.execute(statements)
    assert "    tenantmig tenants adopt acme\n" in page
    assert "acme: adopted at a1" in project.run("tenants", "adopt", "acme").out
    assert project.run("drift").out == "Reference a1: 1 tenant equal, 0 differ\n"

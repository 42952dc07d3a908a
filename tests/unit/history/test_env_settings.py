"""A setting that follows from env.py, and that a settings file has not, is said."""

from __future__ import annotations

from pathlib import Path

import pytest

from tenantmig.history.adaptation.project import adapt_project
from tenantmig.history.scaffold import scaffold_files

PATH = """\
schema = context.get_x_argument(as_dictionary=True).get("schema")


def run_migrations_online():
    with create_engine("postgresql://").connect() as connection:
        connection.exec_driver_sql(f"SET search_path TO {schema}, ext, other")
        context.configure(connection=connection, version_table_schema=schema)
        with context.begin_transaction():
            context.run_migrations()


run_migrations_online()
"""
HEAD = "from alembic import context\nfrom sqlalchemy import create_engine\n\n"


def _notes(folder: Path, settings: str | None) -> list[str]:
    (folder / "alembic").mkdir()
    (folder / "alembic.ini").write_text(scaffold_files()["alembic.ini"])
    (folder / "alembic" / "env.py").write_text(HEAD + PATH)
    if settings is not None:
        (folder / "tenantmig.toml").write_text(settings)
    notes = adapt_project(folder, Path("alembic.ini")).notes
    return [one for one in notes if "search_path" in one]


@pytest.mark.parametrize("settings", ["", 'extension_schemas = ["ext"]', "extension_schemas = 1"])
def test_schemas_behind_the_tenants_that_a_file_has_not_are_said(
    settings: str, tmp_path: Path
) -> None:
    (said,) = _notes(tmp_path, settings)
    assert said.startswith(f"Add to {tmp_path / 'tenantmig.toml'}: ")
    assert 'extension_schemas = ["ext", "other"] (' in said


@pytest.mark.parametrize("settings", [None, 'extension_schemas = ["more", "other", "ext"]'])
def test_schemas_that_a_file_has_are_not(settings: str | None, tmp_path: Path) -> None:
    assert _notes(tmp_path, settings) == []

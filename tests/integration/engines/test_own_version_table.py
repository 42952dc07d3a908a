"""An env.py that passes a version table of another name: settings and env.py must agree."""

from __future__ import annotations

from pathlib import Path

import pytest

from tenantmig.errors import EnvironmentFileError
from tenantmig.history.adaptation.adapt_env import adapt_env
from tests.fixtures.command import Project, untouched
from tests.fixtures.database import Database
from tests.fixtures.history import write_history

R1 = ("r1", "op.execute('CREATE TABLE note (id int)')")
R2 = ("r2", "op.execute('ALTER TABLE note ADD text text')")
OTHER = 'version_table="schema_revision",\n            version_table_schema'
NAMED = "version_table=VERSIONS,\n            version_table_schema"


@pytest.fixture
def project(tmp_path: Path, database: Database) -> Project:
    """A project whose env.py and tenants have another version table than the settings say."""
    project = Project(tmp_path, database.url, write_history(tmp_path / "history", R1, R2))
    project.settings('version_table = "schema_revision"\n')
    env = tmp_path / "history" / "env.py"
    env.write_text(env.read_text().replace("version_table_schema", OTHER))
    project.run("onboard", "acme", "--to", "r1")
    project.settings("lock_timeout = '3s'\n")
    return project


@pytest.mark.slow
def test_every_command_refuses_before_anything_is_touched(
    project: Project, database: Database
) -> None:
    with untouched(database):
        for command in (
            ("plan",),
            ("upgrade",),
            ("upgrade", "-t", "acme"),
            ("stamp", "r1", "--all"),
            ("stamp", "r1", "-t", "acme"),
        ):
            told = project.run(*command, expect=2).err
            assert "version_table='alembic_version' (or set `version_table`)" in told
        said = project.run("init", "--adapt", expect=None)
        assert 'tenantmig.toml: version_table = "schema_revision"' in said.out + said.err
        assert "Nothing to change" not in said.out + said.err
    project.settings('version_table = "schema_revision"\n')
    assert "Nothing to change" in project.run("init", "--adapt").out
    project.run("upgrade")
    assert database.fetch("SELECT version_num FROM acme.schema_revision") == [("r2",)]


def test_plain_alembic_rolls_the_first_revision_back(project: Project, database: Database) -> None:
    with untouched(database):
        failed = project.alembic("-x", "tenant=acme", "upgrade", "head", expect=None)
        assert failed.code != 0
        told = "env.py passes version_table='schema_revision', but the setting `version_table` is"
        assert told in failed.out
    project.settings('version_table = "schema_revision"\n')
    project.alembic("-x", "tenant=acme", "upgrade", "head")
    assert database.fetch("SELECT version_num FROM acme.schema_revision") == [("r2",)]


@pytest.mark.slow
def test_a_name_of_the_module_is_found(project: Project) -> None:
    env = project.folder / "history" / "env.py"
    text = env.read_text().replace(OTHER, NAMED)
    env.write_text(text.replace("target_metadata =", 'VERSIONS = "of_a_name"\ntarget_metadata ='))
    (project.folder / "tenantmig.toml").unlink()
    project.run("init", "--adapt")
    assert 'version_table = "of_a_name"' in (project.folder / "tenantmig.toml").read_text()


@pytest.mark.parametrize("value", ['f"version_{tenant.schema}"', '"version_" + tenant.name'])
def test_one_name_for_all_tenants_is_asked_for(project: Project, value: str) -> None:
    text = (project.folder / "history" / "env.py").read_text()
    varies = text.replace('version_table="schema_revision"', f"version_table={value}")
    with pytest.raises(
        EnvironmentFileError, match=r"line \d+: env.py passes a different version table"
    ):
        adapt_env(varies, "env.py")

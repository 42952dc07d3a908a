"""Refused settings, flags and URLs: file, key and reason are named; no database is touched."""

from __future__ import annotations

import json

import pytest

from tests.fixtures.command import Project, untouched
from tests.fixtures.database import Database

UNREADABLE = {
    "bad TOML": ("parallel = = 4\n", ("tenantmig.toml", "line 1")),
    "unknown key": ("paralel = 4\n", ("tenantmig.toml", "`paralel`", "no such setting")),
    "bad number": ("parallel = 0\n", ("tenantmig.toml", "`parallel`", "greater than 0")),
    "bad duration": ('lock_timeout = "soon"\n', ("tenantmig.toml", "`lock_timeout`", "like 500ms")),
    "bad choice": ('source = "ldap"\n', ("tenantmig.toml", "`source`", "'registry'")),
    "incomplete source": ('source = "query"\n', ("'query'", "`source_query`", "not set")),
}


@pytest.mark.parametrize("case", UNREADABLE)
def test_unreadable_settings(case: str, project: Project, database: Database) -> None:
    text, named = UNREADABLE[case]
    project.settings(text)
    with untouched(database):
        error = project.refuse("upgrade")
        for word in named:
            assert word in error


def test_settings_from_elsewhere(project: Project, database: Database) -> None:
    pyproject = project.folder / "pyproject.toml"
    with untouched(database):
        pyproject.write_text("[tool.tenantmig]\nattempts = -1\n")
        error = project.refuse("upgrade")
        assert str(pyproject) in error
        assert "`attempts`" in error
        pyproject.unlink()
        project.environment = {"TENANTMIG_PARALLEL": "many"}
        error = project.refuse("upgrade")
        assert "TENANTMIG_PARALLEL" in error
        assert "integer" in error
        project.environment = {}
        error = project.refuse("upgrade", "--lock-timeout", "soon")
        assert "--lock-timeout" in error
        assert "like 500ms" in error


def test_pyproject_whose_section_is_no_table(project: Project, database: Database) -> None:
    pyproject = project.folder / "pyproject.toml"
    pyproject.write_text("[tool]\ntenantmig = 3\n")
    with untouched(database):
        error = project.refuse("upgrade")
        assert str(pyproject) in error
        assert "tool.tenantmig" in error


def test_ini_that_is_missing_or_malformed(project: Project, database: Database) -> None:
    with untouched(database):
        error = project.refuse("--config", "nowhere.ini", "upgrade")
        assert "nowhere.ini" in error
        assert "tenantmig init" in error
        project.ini.write_text("script_location = alembic\n")
        error = project.refuse("upgrade")
        assert "alembic.ini" in error
        assert "line 1 is before the first section" in error
        project.ini.write_text("[alembic]\nscript_location = nowhere\n")
        error = project.refuse("upgrade")
        assert "nowhere" in error


@pytest.mark.slow
def test_wrong_words_on_the_command_line(project: Project, database: Database) -> None:
    with untouched(database):
        assert "--nonsense" in project.refuse("upgrade", "--nonsense")
        assert "nonsense" in project.refuse("nonsense")
        assert "REV" in project.refuse("downgrade")
        assert "NAME" in project.refuse("offboard", "--yes")
        assert "--parallel" in project.refuse("upgrade", "--parallel", "0")
        assert "write auto, or" in project.refuse("onboard", "acme", "-p", "many")
        error = project.refuse("show", "x")
        assert 'There is no tenant "x", and no run included one of this name' in error
        assert "tenantmig runs" in error
        result = project.run("upgrade", "--json", "--nonsense", expect=2)
        assert not result.err
        assert "--nonsense" in json.loads(result.out)["error"]["message"]


def test_password_in_the_query_string(project: Project, database: Database) -> None:
    project.url = f"{database.url}?application_name=x&password=s3cr3t-word"
    with untouched(database):
        error = project.refuse("upgrade")
        assert "'password'" in error
        assert "PGPASSWORD" in error
        assert "s3cr3t" not in error


def test_urls_that_cannot_be_used(project: Project, database: Database) -> None:
    urls = {
        "mysql://ada:s3cr3t@localhost/shop": "postgresql://user@host",
        "ada:s3cr3t@localhost": "postgresql://user@host",
        "postgresql://ada:s3cr3t@localhost:port/shop": "postgresql://user@host",
    }
    with untouched(database):
        for url, advice in urls.items():
            project.url = url
            error = project.refuse("status")
            assert advice in error
            assert "s3cr3t" not in error


@pytest.mark.slow
def test_refusals_as_json(project: Project, database: Database) -> None:
    commands = {
        ("upgrade", "9999"): "UnknownRevisionError",
        ("upgrade", "-t", "nobody"): "UnknownTenantError",
        ("onboard", "public"): "TenantNameError",
        ("downgrade", "0001"): "SelectionError",
        ("show", "1"): "UnknownRunError",
        ("status", "--label", "word"): "SelectionError",
    }
    with untouched(database):
        for command, kind in commands.items():
            result = project.run(*command, "--json", expect=2)
            assert not result.err
            error = json.loads(result.out)
            assert list(error) == ["version", "error"]
            assert sorted(error["error"]) == ["message", "type"]
            assert error["error"]["type"] == kind


def test_init_never_overwrites(project: Project) -> None:
    before = {path: path.read_bytes() for path in project.folder.rglob("*") if path.is_file()}
    error = project.refuse("init", ".")
    assert "already has an Alembic environment; nothing was written" in error
    assert "nothing was written" in error
    after = {path: path.read_bytes() for path in project.folder.rglob("*") if path.is_file()}
    assert after == before
    assert not (project.folder / "alembic").exists()

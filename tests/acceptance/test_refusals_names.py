"""Refused names and duplicates: one line, exit code 2, and nothing was touched."""

from __future__ import annotations

import pytest

from tests.fixtures.command import Project, untouched
from tests.fixtures.database import Database

TOO_LONG = "é" * 32  # 32 characters, 64 bytes
MALFORMED = {
    "": "it is empty",
    TOO_LONG: "64 bytes long, and PostgreSQL keeps only 63",
    'ac"me': "begin with a lower-case letter",
    "ac'me": "begin with a lower-case letter",
    "acme; DROP SCHEMA public": "begin with a lower-case letter",
    "pg_x": "names that begin with pg_",
    "public": "cannot be a tenant's",
    "tenantmig": "cannot be a tenant's",
}


@pytest.mark.parametrize(("name", "reason"), MALFORMED.items(), ids=ascii)
def test_malformed_name(name: str, reason: str, project: Project, database: Database) -> None:
    with untouched(database):
        error = project.refuse("onboard", "acme", name)
        assert f'"{name}"' in error
        assert reason in error


def test_malformed_schema(project: Project, database: Database) -> None:
    with untouched(database):
        for schema in ("public", "tenantmig", 'ac"me'):
            error = project.refuse("onboard", "acme", "--schema", schema)
            assert f'The tenant schema "{schema}"' in error


def test_malformed_line_of_a_file(project: Project, database: Database) -> None:
    file = project.folder / "tenants.csv"
    with untouched(database):
        file.write_bytes(b"beta\nac\0me\n")
        error = project.refuse("onboard", "--from-file", str(file))
        assert "'ac\\x00me'" in error
        assert "NUL" in error
        file.write_bytes(b"beta\nacme,schema,more\n")
        error = project.refuse("onboard", "--from-file", str(file))
        assert f"{file}, line 2" in error
        assert "write name or name,schema" in error


@pytest.mark.slow
def test_unknown_tenant(project: Project, database: Database) -> None:
    project.run("onboard", "acme")
    file = project.folder / "tenants.csv"
    file.write_text("acme\nnobody\n")
    commands = [
        ("upgrade", "-t", "acme", "-t", "nobody"),
        ("upgrade", "--from-file", str(file)),
        ("upgrade", "--skip", "nobody"),
        ("downgrade", "-1", "-t", "acme", "-t", "nobody"),
        ("offboard", "acme", "nobody", "--yes"),
        ("stamp", "0001", "-t", "nobody"),
        ("tenants", "suspend", "acme", "nobody"),
    ]
    with untouched(database):
        for command in commands:
            error = project.refuse(*command)
            assert '"nobody"' in error
            assert "tenantmig tenants list" in error
        assert '"nob*"' in project.refuse("downgrade", "-1", "-t", "nob*")


@pytest.mark.slow
def test_file_that_names_nobody(project: Project, database: Database) -> None:
    project.run("onboard", "acme", "--to", "0012")
    file = project.folder / "tenants.csv"
    file.write_text("# nobody today\n")
    with untouched(database):
        for command in (("upgrade",), ("downgrade", "-1"), ("onboard",)):
            error = project.refuse(*command, "--from-file", str(file))
            expected = "at least one tenant" if command == ("onboard",) else "names no tenant"
            assert expected in error
        assert '""' in project.refuse("upgrade", "-t", "")


@pytest.mark.slow
def test_duplicate_onboarding(project: Project, database: Database) -> None:
    project.run("onboard", "acme")
    database.execute("CREATE SCHEMA archive")
    commands = {
        ("new", "acme"): 'The tenant "acme" already exists',
        ("new", "archive"): 'The schema "archive" already exists',
        ("new", "new"): 'The name "new" is given twice',
        ("new", "--schema", "acme"): 'The schema "acme" already exists',
        ("new", "--schema", "archive"): "choose another schema with --schema",
    }
    with untouched(database):
        for names, reason in commands.items():
            error = project.refuse("onboard", *names)
            assert reason in error
            assert "nothing was touched" in error

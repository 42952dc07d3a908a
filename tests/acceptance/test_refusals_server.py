"""Servers that cannot be reached or not be migrated safely: one line, without the password."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

import pytest
from psycopg import sql

from tests.fixtures.command import Project, untouched
from tests.fixtures.database import Database, fresh_database
from tests.fixtures.pooler import Pooler
from tests.fixtures.processes import free_port
from tests.fixtures.server import SCRAM, TRUST, Server

PASSWORD = "wr0ng/p@ss%word"  # noqa: S105  nobody's


@pytest.fixture(scope="module")
def own_server() -> Iterator[Server]:
    """A server whose pg_hba.conf may be changed, and which may have a standby."""
    with Server(18) as server:
        yield server


@contextmanager
def asking_for_passwords(server: Server) -> Iterator[None]:
    """Have a server ask for passwords; nobody has one."""
    server.set_hba(SCRAM)
    try:
        yield
    finally:
        server.set_hba(TRUST)


def test_unreachable_server(project: Project) -> None:
    port = free_port()
    project.url = f"postgresql://ada:{quote(PASSWORD, safe='')}@127.0.0.1:{port}/shop"
    for command in (("onboard", "acme"), ("upgrade",), ("status",), ("runs",)):
        error = project.refuse(*command)
        assert f"Cannot connect to postgresql://ada:***@127.0.0.1:{port}/shop" in error
        assert "refused" in error
        _no_password(error)


def test_missing_database(project: Project, database: Database) -> None:
    project.url = database.server.url(f"{database.name}_lost")
    with untouched(database):
        for command in (("onboard", "acme"), ("upgrade",)):
            error = project.refuse(*command)
            assert f'"{database.name}_lost" does not exist' in error


def test_wrong_password(tmp_path: Path, own_server: Server) -> None:
    with fresh_database(own_server) as database:
        project = Project(tmp_path, database.url)
        with untouched(database), asking_for_passwords(own_server):
            project.url = own_server.url(database.name, "postgres", PASSWORD)
            for command in (("onboard", "acme"), ("upgrade",), ("upgrade", "--json")):
                result = project.run(*command, expect=2)
                text = result.out + result.err
                assert len(text.splitlines()) == 1
                assert "postgres:***@" in text
                assert "authentication failed" in text
                _no_password(text)
            project.url = own_server.url(database.name, "postgres")
            project.environment = {"PGPASSWORD": PASSWORD}
            error = project.refuse("upgrade")
            assert "authentication failed" in error
            _no_password(error)


def _no_password(text: str) -> None:
    for spelling in (PASSWORD, quote(PASSWORD), quote(PASSWORD, safe=""), "wr0ng"):
        assert spelling not in text


@pytest.mark.slow
def test_pooler_in_transaction_mode(
    project: Project, database: Database, pgbouncer: Callable[..., Pooler]
) -> None:
    project.run("onboard", "acme", "--to", "0012")
    direct, project.url = project.url, pgbouncer(database.server).url(database.name)
    with untouched(database):
        for command in (("upgrade",), ("onboard", "beta"), ("offboard", "acme", "--yes")):
            error = project.refuse(*command)
            assert "pooler" in error
            assert project.url in error
            assert "direct" in error
    project.url = direct
    project.run("upgrade")


@pytest.mark.slow
def test_standby(tmp_path: Path, own_server: Server) -> None:
    with fresh_database(own_server) as database:
        project = Project(tmp_path, database.url)
        project.run("onboard", "acme", "--to", "0012")
        with own_server.standby() as standby:
            project.url = standby.url(database.name)
            with untouched(database):
                for command in (("upgrade",), ("onboard", "beta"), ("downgrade", "-1", "--all")):
                    error = project.refuse(*command)
                    assert "is a read-only standby" in error
                    assert project.url in error
                    assert "primary's URL" in error


@pytest.mark.slow
def test_no_privilege_to_create_a_schema(project: Project, database: Database) -> None:
    role = f"clerk_of_{database.name}"
    create = sql.SQL("CREATE ROLE {} LOGIN PASSWORD {}")
    database.execute(create.format(sql.Identifier(role), sql.Literal(PASSWORD)).as_string())
    try:
        project.url = database.server.url(database.name, role, PASSWORD)
        with untouched(database):
            error = project.refuse("onboard", "acme")
            assert f'"{role}" may not create schemas' in error
            assert f'GRANT CREATE ON DATABASE "{database.name}" TO "{role}"' in error
            error = project.refuse("upgrade", "--allow-empty")
            assert '"tenantmig" cannot be created' in error
            assert "Grant CREATE" in error
            _no_password(error)
        database.execute(f'GRANT CREATE ON DATABASE "{database.name}" TO "{role}"')
        project.run("onboard", "acme")
    finally:
        database.execute(f'DROP OWNED BY "{role}" CASCADE; DROP ROLE "{role}"')

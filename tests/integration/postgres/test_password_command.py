"""A password that a command prints: run at every connect, so that one that ends early is enough."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from tests.fixtures.command import Project
from tests.fixtures.faults import R1, R2
from tests.fixtures.history import write_history
from tests.fixtures.server import SCRAM, Server

TURN = """
import sys, psycopg
from pathlib import Path
token, conninfo = Path(sys.argv[1]), sys.argv[2]
new = "Zq-token-%d-qZ" % (int(token.read_text().split("-")[2]) + 1)
with psycopg.connect(conninfo, autocommit=True) as connection:
    connection.execute(f"ALTER ROLE app PASSWORD '{new}'")
token.write_text(new)
"""


@pytest.fixture
def asking(tmp_path: Path) -> Iterator[Project]:
    """A server that asks for passwords, and a project whose token has another value each wave."""
    token, turn, calls = (tmp_path / name for name in ("token", "turn.py", "calls"))
    token.write_text("Zq-token-0-qZ")
    turn.write_text(TURN)
    with Server() as server:
        server.execute_admin("CREATE ROLE app SUPERUSER LOGIN PASSWORD 'Zq-token-0-qZ'")
        server.set_hba(SCRAM)
        admin = server._admin_conninfo("postgres")
        history = write_history(tmp_path / "history", R1, R2)
        project = Project(tmp_path, server.url("postgres", user="app"), history)
        project.settings(
            "recycle_after = 1\nwave = 1\n"
            f"gate = '''{sys.executable} {turn} {token} \"{admin}\"'''\n"
            f"password_command = '''sh -c \"echo x >> {calls}; cat {token}\"'''\n"
        )
        yield project


@pytest.mark.slow
def test_each_connect_takes_the_newest_password(asking: Project) -> None:
    calls, token = asking.folder / "calls", asking.folder / "token"
    said = asking.run("onboard", "acme", "globex", "initech", "--to", "base", "--parallel", "1")
    asked = len(calls.read_text())
    before = token.read_text()
    result = asking.run("upgrade", "--parallel", "1", "--engine", "alembic", "--json")
    assert result.json["counts"] == {"upgraded": 3}
    assert token.read_text() != before, "the gate turned no token"
    assert len(calls.read_text()) > asked + 2 * 3
    backup = asking.folder / "dumps"
    backup.mkdir()
    down = ("downgrade", "-1", "--all", "--yes", "--backup", str(backup), "--parallel", "1")
    assert asking.run(*down, "--json").json["counts"] == {"downgraded": 3}
    asking.alembic("-x", "tenant=acme", "upgrade", "head")
    shown = asking.run("show", "2", "--json").out
    assert "Zq-token" not in said.out + said.err + result.out + result.err + shown
    asking.environment = {"TENANTMIG_PASSWORD_COMMAND": "sh -c 'echo Zq-wrong-qZ'"}
    error = asking.refuse("status")
    assert "password authentication failed" in error
    assert "Zq" not in error
    asking.environment = {"TENANTMIG_PASSWORD_COMMAND": "sh -c 'echo Zq-wrong-qZ; exit 4'"}
    assert "The password_command ended with exit code 4" in asking.refuse("upgrade")
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(asking.url, password="Zq-token-0-qZ")

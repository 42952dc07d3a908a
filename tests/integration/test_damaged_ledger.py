"""What is wrong in one tenant or in one row of the ledger is the problem of that one alone."""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from tenantmig.cli.app import app
from tenantmig.cli.exits import run as run_command
from tests.faults.corruption import damage
from tests.fixtures.command import Project
from tests.fixtures.database import Database, fresh_database
from tests.fixtures.history import write_history
from tests.fixtures.hostile import assert_harmless
from tests.fixtures.rollouts import CREATE, adding, mend, poison, stands
from tests.fixtures.server import AnyServer

CASES = int(os.environ.get("CORRUPTIONS", "24"))
SEED = int(os.environ.get("CORRUPTION_SEED", "11"))
TENANTS = ("acme", "beta", "ceta", "delta")
SETTINGS = (
    'canary = "0"\nmax_failures = "100%"\nparallel = 2\nattempts = 1\nreconnect_timeout = "1s"\n'
    'tenant_lock_timeout = "1s"\nattempt_timeout = "30s"\n'
)
LEFT_OPEN = """
    INSERT INTO tenantmig.doubt (run, tenant, sqlstate, error, lost_xid)
    VALUES (2, 'delta', '08006', 'lost', '5');
    INSERT INTO tenantmig.part (schema, revision, direction, position, statement, is_done)
    VALUES ('ceta', 'r3', 'upgrade', 1, 'SELECT 1', true);
"""
READERS = (
    ("status",), ("status", "--json"), ("plan",), ("runs",), ("runs", "--json"), ("show", "2"),
    ("show", "2", "--json"), ("tenants", "list"), ("upgrade", "--dry-run"),
    ("resume", "--dry-run"), ("resume", "2", "--dry-run", "--json"), ("rollback", "2", "--dry-run"),
)  # fmt: skip
WRITERS = (
    ("upgrade",), ("upgrade", "--json"), ("resume",), ("resume", "2", "--json"),
    ("rollback", "2", "--yes"), ("drift",), ("onboard", "late"), ("stamp", "r2", "--all"),
    ("downgrade", "r1", "--all", "--yes"), ("offboard", "acme", "--yes"),
    ("tenants", "suspend", "acme"), ("tenants", "label", "acme", "--label", "a=b"),
)  # fmt: skip


@pytest.fixture(scope="module")
def template(
    server: AnyServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Database, Path]]:
    """Four tenants, a run that brought them in and one that failed for the last of them."""
    folder = tmp_path_factory.mktemp("damaged")
    history = write_history(folder / "history", CREATE, adding("r2", "b"), adding("r3", "c"))
    with fresh_database(server) as database:
        project = Project(folder, database.url, history)
        project.settings(SETTINGS)
        project.run("onboard", *TENANTS, "--to", "r1")
        poison(database, "delta")
        project.run("upgrade", "r2", expect=3)
        mend(database, "delta")
        yield database, history


@pytest.fixture
def fleet(
    template: tuple[Database, Path], tmp_path: Path, server: AnyServer
) -> Iterator[tuple[Project, Database]]:
    """A copy of that fleet."""
    source, history = template
    with fresh_database(server, source.name) as database:
        project = Project(tmp_path, database.url, history)
        project.settings(SETTINGS)
        yield project, database


def see(project: Project, command: tuple[str, ...], capture: pytest.CaptureFixture[str]) -> int:
    """Run a reader in this process; it must end in words."""
    capture.readouterr()
    code = run_command(app, ("--config", str(project.ini), *command))
    out, err = capture.readouterr()
    _assert_told(command, code, out, err)
    return code


def _assert_told(command: tuple[str, ...], code: int, out: str, err: str) -> None:
    assert code in {0, 2, 3, 4, 5}, (command, code, out, err)
    assert "Traceback" not in out + err, (command, err)
    assert_harmless(out)
    assert_harmless(err)
    if code == 2 and "--json" not in command:
        assert len(err.strip().splitlines()) >= 1, command


@pytest.mark.parametrize("part", range(4))
def test_damage_at_random_is_told_in_words(
    part: int,
    template: tuple[Database, Path],
    tmp_path: Path,
    server: AnyServer,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    source, history = template
    for case in range(part, CASES, 4):
        rng = random.Random(f"{SEED}:{case}")  # noqa: S311  not cryptography
        with fresh_database(server, source.name) as database:
            project = Project(tmp_path, database.url, history)
            project.settings(SETTINGS)
            monkeypatch.setenv("TENANTMIG_DATABASE_URL", database.url)
            if rng.random() < 0.5:
                database.execute(LEFT_OPEN)
            done = damage(database, rng, TENANTS)
            try:
                for reader in READERS:
                    see(project, reader, capsys)
                writer = rng.choice(WRITERS)
                result = project.run(*writer, expect=None)
                _assert_told(writer, result.code, result.out, result.err)
            except BaseException as error:
                error.add_note(f"case {SEED}:{case}, damaged by {done}")
                raise

"""What takes something away is done only when somebody says so: on a terminal, or with --yes."""

from __future__ import annotations

import os
import pty
import subprocess
from collections.abc import Sequence

import pytest

from tenantmig.cli.confirmation import confirm
from tenantmig.domain.plan import Plan, RunKind
from tenantmig.errors import SelectionError
from tests.fixtures.command import BIN, Project, untouched
from tests.fixtures.database import Database
from tests.fixtures.history import write_history
from tests.fixtures.rollouts import kill_asleep, put_to_sleep, stands, wake


@pytest.fixture
def moved(three: Project) -> Project:
    """Run 2 brought `a` and `b` from r1 to r3."""
    three.run("onboard", "a", "b", "--to", "r1")
    three.run("upgrade")
    return three


def on_a_terminal(project: Project, answer: str, *arguments: str) -> tuple[int, str]:
    """Run a command whose stdin is a terminal, at which somebody answers."""
    ours, theirs = pty.openpty()
    try:
        os.write(ours, f"{answer}\n".encode())
        done = subprocess.run(
            [BIN / "tenantmig", *arguments],
            cwd=project.folder,
            env=project._environment(),
            stdin=theirs,
            capture_output=True,
            text=True,
            check=False,
        )
    finally:
        os.close(ours)
        os.close(theirs)
    return done.returncode, done.stdout + done.stderr


TAKING: dict[str, Sequence[str]] = {
    "downgrade of one": ("downgrade", "base", "-t", "a"),
    "downgrade of all": ("downgrade", "-1", "--all", "--backup", "dumps"),
    "downgrade of nobody": ("downgrade", "r3", "--all"),
    "downgrade of the shared lineage": ("downgrade", "base", "--lineage", "shared"),
    "rollback": ("rollback", "2", "--skip-irreversible"),
    "offboard": ("offboard", "a", "b"),
    "restore": ("restore", "a", "a.dump"),
}


@pytest.mark.slow
def test_without_a_terminal_it_needs_yes(moved: Project, database: Database) -> None:
    shared = write_history(moved.folder / "shared", ("s1", "pass", "pass"))
    with moved.ini.open("a") as ini:
        ini.write(f"\n[shared]\nscript_location = {shared}\n")
    with untouched(database):
        for command in TAKING.values():
            error = moved.refuse(*command)
            assert "--yes" in error, command
            told = moved.run(*command, "--json", expect=2)
            assert "--yes" in told.json["error"]["message"], command
            if command[0] != "restore":  # there is no such file
                assert "--yes" not in moved.run(*command, "--dry-run").out
    assert not (moved.folder / "dumps").exists()
    error = moved.refuse("downgrade", "base", "-t", "a")
    assert "1 tenant would change" in error
    assert "stdin is not a terminal" in error
    moved.run("downgrade", "base", "-t", "a", "--yes")
    assert stands(database, "a", "b") == {"a": None, "b": "r3"}


@pytest.mark.slow
def test_what_takes_nothing_away_needs_no_yes(moved: Project, database: Database) -> None:
    moved.run("stamp", "r2", "--all")
    moved.run("stamp", "r3", "--all")
    moved.run("upgrade")
    assert stands(database, "a", "b") == {"a": "r3", "b": "r3"}


@pytest.mark.slow
def test_what_was_refused_for_a_better_reason_says_that(moved: Project) -> None:
    for command in (("downgrade", "r9", "--all"), ("downgrade", "r1"), ("rollback", "9")):
        assert "--yes" not in moved.refuse(*command)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["downgrade", "rollback", "offboard"])
def test_to_resume_such_a_run_needs_yes_again(
    moved: Project, database: Database, kind: str
) -> None:
    command = {
        "downgrade": ("downgrade", "r1", "--all", "--canary", "a"),
        "rollback": ("rollback", "2", "--canary", "a"),
        "offboard": ("offboard", "a", "b"),
    }[kind]
    if kind == "offboard":
        database.execute("CREATE VIEW b.seen AS SELECT 1; CREATE SCHEMA other")
        database.execute("CREATE VIEW other.seen AS SELECT * FROM b.thing")
        moved.run(*command, "--yes", expect=3)
        database.execute("DROP SCHEMA other CASCADE")
    else:
        put_to_sleep(database, "b")
        kill_asleep(moved, database, *command, "-p", "1", "--yes")
        wake(database, "b")
    with untouched(database):
        for words in (("resume",), ("resume", "3")) if kind != "offboard" else (("resume", "3"),):
            error = moved.refuse(*words)
            assert f"resume of run 3 ({kind})" in error
            assert "--yes" in error
        assert "error" in moved.run("resume", "3", "--json", expect=2).json
        moved.run("resume", "3", "--dry-run")
    report = moved.run("resume", "3", "--yes", "--json").json
    assert report["state"] == "complete"


@pytest.mark.slow
def test_to_resume_an_upgrade_needs_no_yes(three: Project, database: Database) -> None:
    three.run("onboard", "a", "b", "--to", "r1")
    put_to_sleep(database, "b")
    kill_asleep(three, database, "upgrade", "--canary", "a", "-p", "1")
    wake(database, "b")
    assert three.run("resume", "--json").json["counts"] == {"upgraded": 2}


def test_a_closed_stdin_is_no_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """The interpreter has None then."""
    monkeypatch.setattr("sys.stdin", None)
    with pytest.raises(SelectionError, match="not a terminal"):
        confirm(Plan(RunKind.DOWNGRADE, "base"), "downgrade", json=False)


@pytest.mark.slow
def test_a_terminal_is_asked(moved: Project, database: Database) -> None:
    with untouched(database):
        code, said = on_a_terminal(moved, "n", "downgrade", "r2", "-t", "a")
        assert (code, "Do it?" in said) == (130, True)
        assert "1 tenant to change" in said
        code, said = on_a_terminal(moved, "y", "downgrade", "r2", "-t", "a", "--json")
        assert (code, "--json does not ask" in said) == (2, True)
    code, said = on_a_terminal(moved, "y", "downgrade", "r2", "-t", "a")
    assert code == 0, said
    assert stands(database, "a", "b") == {"a": "r2", "b": "r3"}

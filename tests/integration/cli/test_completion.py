"""Completion in a real bash: what it offers, that foreign names stay names, and its silence."""

from __future__ import annotations

import os
import shlex
import socket
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from tenantmig.cli.completion.install import Shell, completion_script
from tests.fixtures.command import Project
from tests.fixtures.database import Database

UNHURRIED = """
import sys
import tenantmig.cli.completion.names as names
names.LIMIT_S = 600
from tenantmig.cli import main
sys.argv = ["tenantmig"]
main()
"""
COMPLETE = """
COMP_WORDS=("$@")
COMP_CWORD=$(($# - 1))
_tenantmig tenantmig
for one in "${COMPREPLY[@]}"; do
    eval "set -- $one"
    printf '%s\\n' "$#" "$1"
done
"""
HOSTILE = (
    "O'Brien & Söhne",
    'x"; touch owned; $(touch owned) `touch owned` \\$(touch owned) * ~ #!',
    "$HOME {a,b} | > owned",
)
LEFT_OUT = ("--yes", "two\nlines", "esc\x1b[2J", "tab\tbed", "::error::x")


@pytest.fixture
def unhurried(tmp_path: Path) -> Path:
    """A folder for PATH with a `tenantmig` that takes its time, on however slow a machine."""
    program = tmp_path / "bin" / "tenantmig"
    program.parent.mkdir()
    line = shlex.join([sys.executable, "-c", UNHURRIED])
    program.write_text(f"#!/bin/sh\nexec {line}\n")
    program.chmod(0o755)
    return program.parent


def complete(project: Project, programs: Path, *words: str) -> list[str]:
    """Press Tab after these words, and return what bash makes of each word that is offered."""
    done = subprocess.run(
        ["bash", "--norc", "-c", completion_script(Shell.BASH) + COMPLETE, "bash", *words],
        cwd=project.folder,
        env=os.environ
        | {"TENANTMIG_DATABASE_URL": project.url, "LC_ALL": "C.UTF-8"}
        | {"PATH": f"{programs}{os.pathsep}{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert not done.stderr
    lines = done.stdout.splitlines()
    assert set(lines[::2]) <= {"1"}, lines
    return lines[1::2]


@pytest.mark.slow
def test_it_completes_commands_options_tenants_and_revisions(
    project: Project, database: Database, unhurried: Path
) -> None:
    project.run("onboard", "one", "other", "two", "--to", "0001")
    for typed, expected in (
        (("up",), ["upgrade"]),
        (("tenants", "sus"), ["suspend"]),
        (("upgrade", "--lock"), ["--lock-timeout"]),
        (("lint", "--format", "s"), ["sarif"]),
        (("upgrade", "001"), ["0010", "0011", "0012", "0013", "0014", "0015"]),
        (("onboard", "three", "--to", "he"), ["head"]),
        (("upgrade", "head", "-t", "o"), ["one", "other"]),
        (("status", "--tenant", ""), ["one", "other", "two"]),
        (("offboard", "one", "t"), ["two"]),
        (("status", "--tenant", "x"), []),
        (("--version", "stat"), ["status"]),
    ):
        assert complete(project, unhurried, "tenantmig", *typed) == expected, typed


@pytest.mark.slow
def test_a_name_of_a_tenant_stays_one_word_and_runs_nothing(
    project: Project, database: Database, unhurried: Path
) -> None:
    project.run("onboard", "one", "--to", "0001")
    for number, name in enumerate((*HOSTILE, *LEFT_OUT)):
        database.execute(
            "INSERT INTO tenantmig.tenant (name, schema, state, labels)"
            " VALUES (%s, %s, 'active', '{}')",
            [name, f"s{number}"],
        )
    before = sorted(os.listdir(project.folder))
    offered = complete(project, unhurried, "tenantmig", "tenants", "suspend", "")
    assert sorted(offered) == sorted(("one", *HOSTILE))
    assert complete(project, unhurried, "tenantmig", "status", "-t", "O\\'Br") == [HOSTILE[0]]
    assert sorted(os.listdir(project.folder)) == before


@pytest.mark.slow
def test_the_source_may_be_another(project: Project, unhurried: Path) -> None:
    (project.folder / "tenants.py").write_text("def listed():\n    return ['acme', 'umbrella']\n")
    project.settings('source = "callable"\nsource_callable = "tenants:listed"\n')
    assert complete(project, unhurried, "tenantmig", "status", "-t", "a") == ["acme"]


def ask(folder: Path, words: Sequence[str], **environment: str) -> None:
    """Ask the installed command for tenants, and make sure that it says nothing at all."""
    done = subprocess.run(
        [Path(sys.executable).parent / "tenantmig"],
        cwd=folder,
        env=os.environ
        | {"_TENANTMIG_COMPLETE": "complete_bash", "COMP_CWORD": str(len(words) + 1)}
        | {"COMP_WORDS": "\n".join(["tenantmig", *words])}
        | environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=600,
        check=True,
    )
    assert not done.stdout.strip()
    assert not done.stderr


TENANT = ("status", "-t")


@pytest.mark.slow
@pytest.mark.parametrize(
    "environment",
    [
        {"TENANTMIG_DATABASE_URL": "postgresql://127.0.0.1:1/x"},
        {"TENANTMIG_DATABASE_URL": "no URL"},
        {"TENANTMIG_SOURCE": "nowhere"},
        {"TENANTMIG_NO_SUCH": "setting"},
        {"COMP_CWORD": "many"},
        {"COMP_WORDS": "tenantmig 'status"},
        {"_TENANTMIG_COMPLETE": "complete_tcsh"},
        {"_TENANTMIG_COMPLETE": "nonsense"},
    ],
    ids=str,
)
def test_a_failure_is_silent(project: Project, environment: dict[str, str]) -> None:
    ask(project.folder, TENANT, **environment)


@pytest.mark.slow
def test_a_broken_ini_is_silent(project: Project) -> None:
    project.ini.write_text("[alembic\n")
    ask(project.folder, TENANT)
    ask(project.folder, ["upgrade"])


def test_a_server_that_does_not_answer_is_given_up(project: Project) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"postgresql://127.0.0.1:{silent.getsockname()[1]}/x"
        ask(project.folder, TENANT, TENANTMIG_DATABASE_URL=url, TENANTMIG_CONNECT_TIMEOUT="1h")


def test_no_password_is_asked_for(project: Project) -> None:
    asked = project.folder / "asked"
    command = shlex.join(["sh", "-c", f"touch {asked}; sleep 3600"])
    ask(project.folder, TENANT, TENANTMIG_PASSWORD_COMMAND=command)
    assert not asked.exists()

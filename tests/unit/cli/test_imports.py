"""Help, version and the completion of what is known import no library for the database."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

HEAVY = ("alembic", "sqlalchemy", "psycopg", "pydantic", "postgast")
CODE = """
import atexit, json, sys
from tenantmig.cli import main
atexit.register(lambda: print("\\nmodules", json.dumps(sorted(sys.modules))))
sys.argv = ["tenantmig", *sys.argv[1:]]
main()
"""
COMMANDS = ["", "onboard", "tenants", "tenants adopt", "upgrade", "status", "check", "lint"]


def modules(folder: Path, *arguments: str, **environment: str) -> tuple[str, set[str]]:
    """Run the command in a new interpreter; what it prints, and what it has imported."""
    done = subprocess.run(
        [sys.executable, "-c", CODE, *arguments],
        cwd=folder,
        env=os.environ | environment,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    out, _, listed = done.stdout.rpartition("\nmodules ")
    return out, set(json.loads(listed))


@pytest.mark.parametrize("command", COMMANDS)
def test_help_imports_no_library(tmp_path: Path, command: str) -> None:
    out, imported = modules(tmp_path, *command.split(), "--help")
    assert out.startswith("Usage: tenantmig")
    assert not imported & set(HEAVY)


def test_version_imports_no_library(tmp_path: Path) -> None:
    assert not modules(tmp_path, "--version")[1] & set(HEAVY)


@pytest.mark.parametrize(
    ("typed", "completed"),
    [("tenantmig up", "upgrade"), ("tenantmig tenants sus", "suspend"),
     ("tenantmig upgrade --lock", "--lock-timeout"), ("tenantmig lint --format sa", "sarif")],
)  # fmt: skip
def test_completing_what_is_known_imports_no_library(
    tmp_path: Path, typed: str, completed: str
) -> None:
    words = {"COMP_WORDS": typed, "COMP_CWORD": str(len(typed.split()) - 1)}
    out, imported = modules(tmp_path, **words, _TENANTMIG_COMPLETE="complete_bash")
    assert out.split() == [completed]
    assert not imported & set(HEAVY)

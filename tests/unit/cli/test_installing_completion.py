"""`--install-completion` and `--show-completion`, for the shell that runs them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tenantmig.cli.completion.install import (
    Shell,
    completion_script,
    current_shell,
    install_completion,
)
from tenantmig.errors import SettingsError

BIN = Path(sys.executable).parent


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("XDG_DATA_HOME", "XDG_CONFIG_HOME", "ZDOTDIR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path


@pytest.mark.parametrize("shell", Shell)
def test_installing_twice_adds_no_second_line(home: Path, shell: Shell) -> None:
    (home / ".bashrc").write_text("alias ll='ls -l'")
    written = install_completion(shell, home)
    assert written[0].read_text() == completion_script(shell)
    before = {path: path.read_text() for path in home.rglob("*") if path.is_file()}
    assert install_completion(shell, home) == written[:1]
    assert {path: path.read_text() for path in home.rglob("*") if path.is_file()} == before
    assert (home / ".bashrc").read_text().startswith("alias ll='ls -l'")


def test_bash_installs_its_own_and_has_it_from_then_on(home: Path) -> None:
    def bash(*arguments: str, code: str) -> str:
        path = f"{BIN}{os.pathsep}{os.environ['PATH']}"
        command = ["bash", *arguments, "-c", f"{code}; true"]  # in a process below bash
        return subprocess.run(
            command, env=os.environ | {"PATH": path}, capture_output=True, text=True, check=True
        ).stdout

    assert bash(code="tenantmig --show-completion") == completion_script(Shell.BASH)
    assert "Open a new terminal" in bash(code="tenantmig --install-completion")
    assert "_tenantmig" in bash(
        "--rcfile", str(home / ".bashrc"), "-i", code="complete -p tenantmig"
    )


def test_another_shell_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shellingham.detect_shell", lambda: ("tcsh", "/bin/tcsh"))
    with pytest.raises(SettingsError, match=r"no completion for the shell tcsh"):
        current_shell()

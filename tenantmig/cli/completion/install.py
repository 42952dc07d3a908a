"""Completion for a user's shell: the script, and the files that load it."""

from __future__ import annotations

import os
import shlex
from enum import StrEnum
from pathlib import Path

from tenantmig.errors import SettingsError


class Shell(StrEnum):
    """The shells that have a script beside this module."""

    BASH = "bash"
    ZSH = "zsh"
    FISH = "fish"


def current_shell() -> Shell:
    """Return the shell that runs this command, else the user's login shell.

    Raises:
        SettingsError: it is another one.
    """
    import shellingham  # type: ignore[import-untyped]

    try:
        name = str(shellingham.detect_shell()[0])
    except shellingham.ShellDetectionFailure:
        name = Path(os.environ.get("SHELL", "")).name
    try:
        return Shell(name)
    except ValueError:
        raise SettingsError(
            f"There is no completion for the shell {name or '(unknown)'}; run this command in"
            " bash, zsh or fish."
        ) from None


def completion_script(shell: Shell) -> str:
    """Return the script that a shell reads."""
    return Path(__file__).with_name(f"tenantmig.{shell}").read_text()


def install_completion(shell: Shell, home: Path) -> list[Path]:
    """Write the script and what loads it; return the files that were changed.

    Idempotent: yes.
    """
    data = Path(os.environ.get("XDG_DATA_HOME") or home / ".local" / "share")
    config = Path(os.environ.get("XDG_CONFIG_HOME") or home / ".config")
    match shell:
        case Shell.FISH:
            script = config / "fish" / "completions" / "tenantmig.fish"
            loading: dict[Path, str] = {}
        case Shell.ZSH:
            script = home / ".zfunc" / "_tenantmig"
            zshrc = Path(os.environ.get("ZDOTDIR") or home) / ".zshrc"
            loading = {zshrc: "fpath+=(~/.zfunc); autoload -Uz compinit; compinit"}
        case Shell.BASH:
            script = data / "bash-completion" / "completions" / "tenantmig"
            loading = {home / ".bashrc": f"source {shlex.quote(str(script))}"}
    script.parent.mkdir(parents=True, exist_ok=True)
    script.write_text(completion_script(shell))
    return [script, *(path for path, line in loading.items() if _add_line(path, line))]


def _add_line(path: Path, line: str) -> bool:
    """Add a line at the end of a file, unless it is there."""
    text = path.read_text() if path.exists() else ""
    if line in text.splitlines():
        return False
    gap = "\n" if text and not text.endswith("\n") else ""
    path.write_text(f"{text}{gap}{line}\n")
    return True

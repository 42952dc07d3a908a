"""The guides: every command that they show is one that the command line accepts."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import typer.main

from tenantmig.cli.app import app
from tests.fixtures.command import REPOSITORY

GUIDES = sorted((REPOSITORY / "docs" / "guides").glob("*.md"))
BLOCK = re.compile(r"^ *```(?:sh|console)\n(.*?)^ *```$", re.MULTILINE | re.DOTALL)
CONTAINER = re.compile(r'args: (\[".*?"\])')
ENDS = {"|", "<", ">", "&&", "2>", "||"}


def shown(page: Path) -> list[list[str]]:
    """The arguments of each `tenantmig` that a page runs, and of each container's."""
    text = page.read_text(encoding="utf-8")
    found: list[list[str]] = [json.loads(args) for args in CONTAINER.findall(text)]
    for block in BLOCK.findall(text):
        for line in block.replace("\\\n", " ").splitlines():
            command = line.strip().removeprefix("$ ")
            if command.startswith("tenantmig "):
                words = shlex.split(command, comments=True)
                end = next((i for i, word in enumerate(words) if word in ENDS), len(words))
                found.append(words[1:end])
    return found


@pytest.fixture(scope="module")
def root() -> Any:
    """The command line, built once: that takes a second."""
    return typer.main.get_group(app)


@pytest.mark.parametrize("page", GUIDES, ids=[page.stem for page in GUIDES])
def test_every_command_of_a_guide_is_accepted(page: Path, root: Any) -> None:
    for arguments in shown(page):
        names, command = list(arguments), root
        while hasattr(command, "commands"):
            command = command.commands[names.pop(0)]
        command.make_context(arguments[0], names)  # raises for an option that there is not


def test_the_guides_show_commands() -> None:
    assert sum(len(shown(page)) for page in GUIDES) > 50

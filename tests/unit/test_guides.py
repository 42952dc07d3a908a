"""The guides: the command line accepts their commands, and the runbook quotes real messages."""

from __future__ import annotations

import ast
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


SEEN = re.compile(r"^You see: (.*)$", re.MULTILINE)
QUOTED = re.compile(r'"([^"]+)"')


def messages() -> str:
    """Every text of the package, with a gap where a value is put in."""
    texts = []
    for module in sorted((REPOSITORY / "tenantmig").rglob("*.py")):
        for node in ast.walk(ast.parse(module.read_text())):
            if isinstance(node, ast.JoinedStr):
                parts = [one.value if isinstance(one, ast.Constant) else "…" for one in node.values]
                texts.append("".join(map(str, parts)))
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                texts.append(node.value)
    return "\n".join(texts)


def test_the_runbook_quotes_messages_that_there_are() -> None:
    page = (REPOSITORY / "docs" / "guides" / "failures.md").read_text(encoding="utf-8")
    quoted = [words for line in SEEN.findall(page) for words in QUOTED.findall(line)]
    assert len(quoted) > 15
    known = messages()
    for words in quoted:
        for part in re.sub(r"\d+", "…", words).split("…"):
            assert part.strip() in known, words

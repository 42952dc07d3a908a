"""The guides: the command line accepts their commands, and the runbook quotes real messages."""

from __future__ import annotations

import ast
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer.main
import yaml  # type: ignore[import-untyped]  # the site's tool brings it, without types

from tenantmig.cli.app import app
from tenantmig.domain.written_values import parse_duration
from tests.fixtures.command import REPOSITORY

GUIDES = sorted((REPOSITORY / "docs" / "guides").glob("*.md"))
BLOCK = re.compile(r"^ *```(?:sh|console)\n(.*?)^ *```$", re.MULTILINE | re.DOTALL)
YAML = re.compile(r"^```yaml\n(.*?)^```$", re.MULTILINE | re.DOTALL)
ENDS = {"|", "<", ">", "&&", "2>", "||"}


def shown(page: Path) -> list[list[str]]:
    """The arguments of each `tenantmig` that a page runs, and of each container's and job's."""
    text = page.read_text(encoding="utf-8")
    said = [said for document in documents(page) for said in values(document)]
    found: list[list[str]] = [args for key, args in said if key == "args"]
    lines = [run for key, run in said if key == "run"]
    for block in BLOCK.findall(text):
        lines += [line.strip().removeprefix("$ ") for line in block.splitlines()]
    for command in lines:
        if command.startswith("tenantmig "):
            words = shlex.split(command, comments=True)
            end = next((i for i, word in enumerate(words) if word in ENDS), len(words))
            found.append(words[1:end])
    return found


def documents(page: Path) -> list[Any]:
    """The YAML of a page."""
    return [yaml.safe_load(block) for block in YAML.findall(page.read_text(encoding="utf-8"))]


def values(document: Any) -> Iterator[tuple[str, Any]]:
    """Each key of a document, at any depth, with its value."""
    pairs = document.items() if isinstance(document, dict) else ()
    yield from pairs
    for inner in document.values() if pairs else document if isinstance(document, list) else ():
        yield from values(inner)


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


def test_the_job_of_kubernetes_ends_before_it_is_ended() -> None:
    """What the page says of the manifest holds in the manifest."""
    job, secret, *_ = documents(REPOSITORY / "docs" / "guides" / "kubernetes.md")
    spec = job["spec"]["template"]["spec"]
    (container,) = spec["containers"]
    arguments = container["args"]
    deadline = parse_duration(arguments[arguments.index("--deadline") + 1])
    assert deadline < job["spec"]["activeDeadlineSeconds"]
    assert job["spec"]["backoffLimit"] == 0
    assert spec["restartPolicy"] == "Never"
    (volume,) = (one["secret"] for one in spec["volumes"] if "secret" in one)
    assert volume["secretName"] == secret["metadata"]["name"]
    (file,) = secret["stringData"]
    variables = {one["name"]: one["value"] for one in container["env"]}
    assert variables["PGSERVICEFILE"].endswith(f"/{file}")
    assert f"[{variables['PGSERVICE']}]" in secret["stringData"][file]


def test_the_guides_show_commands() -> None:
    assert sum(len(shown(page)) for page in GUIDES) > 50


SEEN = re.compile(r"^You see: (.*)$", re.MULTILINE)
BOLD = re.compile(r'\*\*("[^"]+")\*\*')
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
    lines = [*SEEN.findall(page), *BOLD.findall(page)]
    quoted = [words for line in lines for words in QUOTED.findall(line)]
    assert len(quoted) > 15
    known = messages()
    for words in quoted:
        for part in re.sub(r"\d+", "…", words).split("…"):
            assert part.strip() in known, words

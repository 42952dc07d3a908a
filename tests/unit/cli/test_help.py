"""What `--help` says: each command's whole first sentence, and a help text for every option."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from typing import Any

import pytest
from typer.main import get_command

from tenantmig.cli.app import app
from tenantmig.cli.exits import OK, run

ROOT: Any = get_command(app)
GROUPS: dict[tuple[str, ...], Any] = {(): ROOT, ("tenants",): ROOT.commands["tenants"]}


def commands() -> Iterator[Any]:
    for words, group in GROUPS.items():
        for name, command in group.commands.items():
            yield pytest.param(command, id=" ".join((*words, name)))


@pytest.mark.parametrize("words", list(GROUPS), ids=["tenantmig", "tenants"])
def test_the_first_sentence_of_each_command_is_whole_at_80_columns(
    words: tuple[str, ...], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    assert run(app, [*words, "--help"]) == OK
    out = capsys.readouterr().out
    assert max(map(len, out.splitlines())) <= 80
    shown = " ".join(out.split())
    for name, command in GROUPS[words].commands.items():
        paragraph = " ".join(inspect.cleandoc(command.help).partition("\n\n")[0].split())
        sentence = paragraph.partition(". ")[0].rstrip(".") + "."
        assert f" {name} {sentence} " in f"{shown} "


@pytest.mark.parametrize("command", list(commands()))
def test_each_argument_and_option_has_a_help_text(command: Any) -> None:
    assert command.help
    assert not [parameter.name for parameter in command.params if not parameter.help]

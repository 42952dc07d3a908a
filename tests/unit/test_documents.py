"""The generated parts of the documents are up to date, and their checks find what is broken."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command

from tenantmig.cli.app import app
from tools.markdown import DOCS, anchors, links, slug_of
from tools.reference.blocks import filled, table
from tools.reference.pages import GENERATED, written
from tools.reference.settings import enumerations


@pytest.mark.parametrize(
    ("heading", "slug"),
    [
        ("The database", "the-database"),
        ("`-x key=value` & `a_b`: c, (d)", "-x-keyvalue--a_b-c-d"),
        ("Coming from [Alembic](x.md) …", "coming-from-alembic-"),
    ],
)
def test_a_heading_has_the_anchor_that_a_git_host_gives_it(heading: str, slug: str) -> None:
    assert slug_of(heading) == slug


def test_links_and_headings_in_code_are_none(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(
        "# One\n```sh\n# Two\n[a](b.md)\n```\n`[c](d.md)` [e](f.md#g\n"
        '"h") [i](https://j.org/)\n<!-- [k](l.md) -->\n## One\n<a id="m"></a>\n'
    )
    assert [(link.line, link.target, link.anchor) for link in links(page)] == [(6, "f.md#g", "g")]
    assert anchors(page) == {"one", "one-1", "m"}


@pytest.mark.parametrize("name", GENERATED)
def test_the_generated_parts_of_a_page_are_up_to_date(name: str) -> None:
    page, text = written(name)
    assert page.read_text() == text, "run: make reference"


def test_every_option_of_every_command_stands_in_its_part_of_the_reference() -> None:
    parts = GENERATED["commands.md"]()

    def missing(command: Any, words: str) -> list[str]:
        if hasattr(command, "commands"):
            inner = command.commands.items()
            return [each for name, one in inner for each in missing(one, f"{words} {name}")]
        told = parts[words]
        for group in ("selection", "rollout options", "waves"):
            told += parts[group] if f"[{group}]" in told else ""
        return [
            f"{words} {flag}"
            for one in command.params
            for flag in one.opts
            if flag.startswith("-") and flag not in told
        ]

    assert missing(get_command(app), "tenantmig") == []


def test_every_word_that_a_setting_takes_is_explained() -> None:
    rows = (
        (DOCS / "reference" / "settings.md").read_text().split("## Settings with fixed values")[1]
    )
    told: dict[str, list[str]] = {}
    name = ""
    for line in rows.split("\n## ")[0].splitlines():
        cells = [cell.strip().strip("`") for cell in line.split("|")]
        if len(cells) == 5 and cells[1] not in {"setting", "---"}:
            name = cells[1] or name
            told.setdefault(name, []).append(cells[2])
    assert told == {name: list(words) for name, words in enumerations().items()}


def test_a_page_must_have_every_block_once() -> None:
    page = "a\n<!-- generated: x -->\nold\n<!-- end -->\nb\n"
    new = "a\n<!-- generated: x -->\n\nnew\n\n<!-- end -->\nb\n"
    assert filled(page, {"x": "new\n"}) == new
    for text, blocks in [(page, {"x": "", "y": ""}), (page, {}), (page + page, {"x": ""})]:
        with pytest.raises(ValueError, match="blocks of the page"):
            filled(text, blocks)


def test_a_table_leaves_out_what_no_row_fills() -> None:
    assert table(("a", "b", "c"), [("1", "", "x\ny")]) == "| a | c |\n| --- | --- |\n| 1 | x y |\n"
    assert table(("a", "b"), [("1", "")]) == ""

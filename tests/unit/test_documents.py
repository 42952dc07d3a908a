"""The checks of the documents find what is broken."""

from __future__ import annotations

from pathlib import Path

import pytest

from tools.markdown import anchors, links, slug_of


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

"""Markdown pages of the repository: their links and their headings, as a Git host shows them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

REPOSITORY = Path(__file__).parents[1]
DOCS = REPOSITORY / "docs"
FENCE = re.compile(r"^(`{3,}|~{3,}).*?^\1[`~]*$", re.MULTILINE | re.DOTALL)
INLINE = re.compile(r"(`+)(?!`).+?(?<!`)\1(?!`)", re.DOTALL)
COMMENT = re.compile(r"<!--.*?-->", re.DOTALL)
LINK = re.compile(r"\]\((?P<target>[^()\s]+)(?:\s+\"[^\"]*\")?\)")
HEADING = re.compile(r"^#{1,6} +(.+?) *#*$", re.MULTILINE)
ANCHOR = re.compile(r"<a (?:id|name)=\"([^\"]+)\"")
EXTERNAL = re.compile(r"[a-z][a-z0-9+.-]*:", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Link:
    """A link of a page, to a path of the repository or to an anchor of the page itself."""

    page: Path
    line: int
    start: int
    target: str

    @property
    def path(self) -> Path:
        """The file or folder that it leads to, whether it exists or not."""
        name = self.target.partition("#")[0]
        return (self.page.parent / name).resolve() if name else self.page

    @property
    def anchor(self) -> str:
        """The part after `#`; empty if there is none."""
        return self.target.partition("#")[2]


def landing(path: Path) -> Path | None:
    """Return the file that a link to a path shows: of a folder its README, or `__init__.py`."""
    if not path.is_dir():
        return path
    found = (path / name for name in ("README.md", "index.md", "__init__.py"))
    return next((one for one in found if one.is_file()), None)


def links(page: Path) -> Iterator[Link]:
    """Yield the links of a page, without those in code and without those to other sites."""
    text = page.read_text(encoding="utf-8")
    for found in LINK.finditer(_without(text, FENCE, INLINE, COMMENT)):
        target = found["target"]
        if not EXTERNAL.match(target):
            line = text.count("\n", 0, found.start()) + 1
            yield Link(page, line, found.start("target"), target)


def anchors(page: Path) -> set[str]:
    """Return the anchors that a page's headings and `<a id>` make; of another file, none."""
    if page.suffix != ".md":
        return set()
    text = _without(page.read_text(encoding="utf-8"), FENCE, COMMENT)
    made = set(ANCHOR.findall(text))
    for heading in HEADING.findall(text):
        slug = slug_of(heading)
        number = 1
        while (slug if number == 1 else f"{slug}-{number - 1}") in made:
            number += 1
        made.add(slug if number == 1 else f"{slug}-{number - 1}")
    return made


def slug_of(heading: str) -> str:
    """Return the anchor of a heading: lower case, no punctuation, a hyphen for each space."""
    text = re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", heading)
    return re.sub(r"[^\w\- ]", "", text.lower()).replace(" ", "-")


def _without(text: str, *patterns: re.Pattern[str]) -> str:
    """Return the text with blanks for what matches; places and lines stay what they are."""
    for pattern in patterns:
        text = pattern.sub(lambda found: re.sub(r"[^\n]", " ", found[0]), text)
    return text

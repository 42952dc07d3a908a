"""Generated parts of a page: what stands between two comments. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

BLOCK = re.compile(r"(<!-- generated: (?P<name>[^>]+) -->\n).*?(<!-- end -->\n)", re.DOTALL)


def filled(text: str, blocks: Mapping[str, str]) -> str:
    """Return the text of a page with its blocks as they should be.

    Raises:
        ValueError: the page lacks a block, or has one that nothing generates.
    """
    there = [found["name"] for found in BLOCK.finditer(text)]
    if sorted(there) != sorted(blocks):
        lacking = ", ".join(sorted({*blocks} - {*there}))
        unknown = ", ".join(name for name in there if name not in blocks or there.count(name) > 1)
        raise ValueError(f"blocks of the page: lacking {lacking or '-'}; wrong {unknown or '-'}")
    return BLOCK.sub(
        lambda found: f"{found[1]}\n{blocks[found['name']].strip()}\n\n{found[3]}", text
    )


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a table without the columns that no row fills; empty if only one is left."""
    kept = [place for place in range(len(head)) if any(row[place] for row in rows)]
    if len(kept) < 2:
        return ""
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"{_row([line[place] for place in kept])}\n" for line in lines)


def code(text: str) -> str:
    """Return a text as code for a table's cell: there a `|` in backticks would end the cell."""
    return f"<code>{text.replace('|', '&#124;')}</code>" if "|" in text else f"`{text}`"


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(' '.join(cell.split()) for cell in cells)} |"

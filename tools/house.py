"""Draws the rooms of the package and what each imports: `make picture` writes docs/house.svg.

Floors come from the import contract in pyproject.toml, arrows from the imports in the code. An
arrow that follows from two others is left out. With `--check`, says whether the file is up to date.
"""

from __future__ import annotations

import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from xml.sax.saxutils import escape

import grimp

REPOSITORY = Path(__file__).parents[1]
PICTURE = REPOSITORY / "docs" / "house.svg"
PACKAGE = "tenantmig"
WIDTH, HEIGHT = 130, 34
"""Of a room, in pixels."""
GAP_X, GAP_Y, MARGIN = 60, 30, 20
STYLE = """
text { font: 14px sans-serif; text-anchor: middle; fill: #1f2937 }
rect { fill: #eef2ff; stroke: #4f46e5; rx: 6px }
path { fill: none; stroke: #6b7280; stroke-width: 1.3; marker-end: url(#head) }
svg { background: #ffffff }
"""


def floors() -> list[list[str]]:
    """Return the rooms of each floor, the highest floor first."""
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())
    contracts = project["tool"]["importlinter"]["contracts"]
    (contract,) = (each for each in contracts if each["type"] == "layers")
    return [layer.replace(":", "|").split(" | ") for layer in contract["layers"]]


def imports() -> dict[str, set[str]]:
    """Return the rooms that each room imports."""
    graph = grimp.build_graph(PACKAGE)
    rooms: dict[str, set[str]] = {room: set() for floor in floors() for room in floor}
    for module in graph.modules - {PACKAGE}:
        for imported in graph.find_modules_directly_imported_by(module) - {PACKAGE}:
            above, below = module.split(".")[1], imported.split(".")[1]
            if above != below:
                rooms[above].add(below)
    return rooms


def climbing() -> list[tuple[str, str]]:
    """Return the imports that do not go down."""
    height = {room: -floor for floor, rooms in enumerate(floors()) for room in rooms}
    return [
        (room, other)
        for room, others in imports().items()
        for other in sorted(others)
        if height[other] >= height[room]
    ]


def arrows() -> list[tuple[str, str]]:
    """Return the imports that do not follow from others."""
    direct = imports()

    def reached(room: str) -> set[str]:
        return direct[room].union(*map(reached, direct[room]))

    return sorted(
        (room, other)
        for room, others in direct.items()
        for other in others
        if not any(other in reached(between) for between in others - {other})
    )


def picture() -> str:
    """Return the picture as SVG."""
    rows = floors()
    width = max(map(len, rows)) * (WIDTH + GAP_X) - GAP_X + 2 * MARGIN
    height = len(rows) * (HEIGHT + GAP_Y) - GAP_Y + 2 * MARGIN
    at: dict[str, tuple[int, int]] = {}
    for number, row in enumerate(rows):
        taken = len(row) * (WIDTH + GAP_X) - GAP_X
        for place, room in enumerate(row):
            left = (width - taken) // 2 + place * (WIDTH + GAP_X)
            at[room] = left, MARGIN + number * (HEIGHT + GAP_Y)
    parts = [*_lines(at), *_boxes(at)]
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img">\n'
        "<title>The rooms of tenantmig and what each imports</title>\n"
        f"<style>{STYLE}</style>\n"
        '<defs><marker id="head" markerWidth="8" markerHeight="8" refX="7" refY="4" orient="auto">'
        '<path d="M0,0 L8,4 L0,8 z" style="fill:#6b7280;stroke:none;marker-end:none"/></marker>'
        "</defs>\n" + "\n".join(parts) + "\n</svg>\n"
    )


def _boxes(at: dict[str, tuple[int, int]]) -> Iterator[str]:
    for room, (x, y) in at.items():
        name = f"{room}/" if (REPOSITORY / PACKAGE / room).is_dir() else f"{room}.py"
        middle = x + WIDTH // 2
        yield f'<rect x="{x}" y="{y}" width="{WIDTH}" height="{HEIGHT}"/>'
        yield f'<text x="{middle}" y="{y + 22}">{escape(name)}</text>'


def _lines(at: dict[str, tuple[int, int]]) -> Iterator[str]:
    """Yield a curve for each arrow; those over several floors bend around the rooms between."""
    ends = arrows()
    for number, (room, other) in enumerate(ends):
        (x, y), (to_x, to_y) = at[room], at[other]
        x, to_x, y = x + WIDTH // 2, to_x + WIDTH // 2, y + HEIGHT
        floors_between = (to_y - y) // (HEIGHT + GAP_Y)
        bend = (WIDTH // 2 + 24 + 7 * number % 60) * (1 if number % 2 else -1)
        bend = bend if floors_between and x == to_x else 0
        yield (
            f'<path d="M{x + bend // 4},{y} C{x + bend * 2},{y + (to_y - y) // 3}'
            f' {to_x + bend * 2},{to_y - (to_y - y) // 3} {to_x + bend // 4},{to_y}"/>'
        )


def main(arguments: list[str]) -> int:
    """Write the picture, or check it; return the exit code."""
    if climbs := climbing():
        print("these imports climb:", *(f"{room} -> {other}" for room, other in climbs))
        return 1
    drawn = picture()
    if "--check" not in arguments:
        PICTURE.write_text(drawn)
    elif PICTURE.read_text() != drawn:
        print(f"{PICTURE.relative_to(REPOSITORY)} is out of date; run: make picture")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

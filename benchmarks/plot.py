"""The tenants/s of contenders as bars on a logarithmic scale, in SVG."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from html import escape

from benchmarks.measurement import Contender
from benchmarks.operation import Operation

LABEL, PLOT, BAR, GAP, TOP, END = 330, 500, 16, 6, 46, 60
COLOURS = {"floor": "#9a9a9a", "tenantmig": "#1f6fb4"}
OTHERS = "#d9822b"
STYLE = "text{font:13px sans-serif;fill:#222}line{stroke:#ddd}"


def svg(operations: Sequence[Operation]) -> str:
    """A drawing, one group of bars below the other."""
    parts: list[str] = []
    y = 0
    for operation in operations:
        group = list(_group(operation, y))
        parts += group
        y += _height(operation)
    width = LABEL + PLOT + END
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {y}" width="{width}">'
    background = f'<rect width="{width}" height="{y}" fill="#fff"/>'
    return "\n".join([head, f"<style>{STYLE}</style>", background, *parts, "</svg>"]) + "\n"


def _height(operation: Operation) -> int:
    return TOP + len(operation.contenders) * (BAR + GAP) + 30


def _group(operation: Operation, y: int) -> Iterator[str]:
    rates = [contender.rate for contender in operation.contenders]
    low, high = math.floor(math.log10(min(rates))), math.ceil(math.log10(max(rates)))
    high = max(high, low + 1)
    bottom = y + _height(operation) - 24
    yield _text(8, y + 22, f"{operation.title}: tenants/s, whole commands (log scale)", "start")
    for power in range(low, high + 1):
        x = LABEL + PLOT * (power - low) / (high - low)
        yield f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{y + TOP - 8}" y2="{bottom - 10}"/>'
        yield _text(x, bottom + 4, f"{10.0**power:g}", "middle")
    ordered = sorted(operation.contenders, key=lambda contender: -contender.rate)
    for place, contender in enumerate(ordered):
        length = PLOT * (math.log10(contender.rate) - low) / (high - low)
        yield from _bar(contender, y + TOP + place * (BAR + GAP), length)


def _bar(contender: Contender, y: float, length: float) -> Iterator[str]:
    kind = contender.name.replace(":", " ").split()[0]
    colour = COLOURS.get(kind, OTHERS)
    name = f"{contender.name} ({contender.sample:,})"
    yield _text(LABEL - 8, y + BAR - 4, name, "end")
    yield f'<rect x="{LABEL}" y="{y}" width="{max(length, 1):.1f}" height="{BAR}" fill="{colour}"/>'
    yield _text(LABEL + length + 6, y + BAR - 4, f"{contender.rate:.3g}", "start")


def _text(x: float, y: float, words: str, anchor: str) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(words)}</text>'

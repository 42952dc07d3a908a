"""What was measured, as a table: for a terminal and, with --write, for docs/why/performance.md."""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks.measurement import Contender
from benchmarks.operation import Operation

HEADINGS = (
    "contender",
    "tenants",
    "seconds",
    "tenants/s",
    "of the floor",
    "times the loop",
    "client CPU ms/tenant",
    "server CPU ms/tenant",
)
Table = Sequence[Sequence[str]]


def rows(operation: Operation) -> Table:
    """A line for each contender, fastest first."""
    ordered = sorted(operation.contenders, key=lambda contender: -contender.rate)
    return [_row(contender, operation) for contender in ordered]


def _row(contender: Contender, operation: Operation) -> Sequence[str]:
    floor, loop = operation.floor, operation.loop
    return (
        contender.name,
        f"{contender.sample:,}",
        f"{contender.median():.2f}",
        f"{contender.rate:.1f}",
        f"{contender.times(floor):.3f}" if floor else "",
        f"{contender.times(loop):.1f}" if loop else "",
        f"{contender.median('client_ms') / contender.sample:.2f}",
        f"{contender.median('server_ms') / contender.sample:.2f}",
    )


def text(table: Table) -> str:
    """The table, aligned."""
    lines = [HEADINGS, *table]
    widths = [max(len(line[i]) for line in lines) for i in range(len(HEADINGS))]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if i == 0 else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(line, widths, strict=True))
        )
        for line in lines
    )


def markdown(table: Table) -> str:
    """The table, for a page."""
    rule = ("---", *["--:"] * (len(HEADINGS) - 1))
    return "\n".join(f"| {' | '.join(line)} |" for line in (HEADINGS, rule, *table))

"""What was measured, as a table: for a terminal and, with --write, for docs/performance.md."""

from __future__ import annotations

import statistics
from collections.abc import Sequence

from benchmarks.contenders import Contender

HEADINGS = (
    "contender",
    "tenants",
    "seconds",
    "tenants/s",
    "times the loop",
    "client CPU ms/tenant",
    "server CPU ms/tenant",
)


def row(contender: Contender, loop: Contender) -> tuple[str, ...]:
    """One line of the table; `loop` is what the ratio is taken to."""
    measured = contender.measured
    return (
        contender.name,
        str(contender.sample),
        f"{measured.median():.2f}",
        f"{rate(contender):.1f}",
        f"{ratio(contender, loop):.1f}",
        f"{measured.median('client_ms') / contender.sample:.1f}",
        f"{measured.median('server_ms') / contender.sample:.1f}",
    )


def rate(contender: Contender) -> float:
    """Tenants a second, whole commands with their start-up."""
    return contender.sample / contender.measured.median()


def ratio(contender: Contender, loop: Contender) -> float:
    """The median over the rounds of how much faster than the loop in the same round."""
    pairs = zip(contender.measured.seconds, loop.measured.seconds, strict=True)
    return statistics.median(
        (contender.sample / own) / (loop.sample / other) for own, other in pairs
    )


def steady_rate(contender: Contender, parallel: int) -> float:
    """Tenants a second once the workers run, from the durations in the command's own report."""
    return parallel / statistics.median(contender.measured.tenant_seconds)


def text(rows: Sequence[Sequence[str]]) -> str:
    """The table, aligned."""
    lines = [HEADINGS, *rows]
    widths = [max(len(line[i]) for line in lines) for i in range(len(HEADINGS))]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if i == 0 else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(line, widths, strict=True))
        )
        for line in lines
    )


def markdown(rows: Sequence[Sequence[str]]) -> str:
    """The table, for a page."""
    rule = ("---", *["--:"] * (len(HEADINGS) - 1))
    return "\n".join(f"| {' | '.join(line)} |" for line in (HEADINGS, rule, *rows))

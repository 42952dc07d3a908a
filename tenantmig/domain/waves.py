"""Waves: in which order tenants are rolled, and how many may fail. Pure.

Wave 0 is the canary; its failure stops the run. Between waves a gate may be asked.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

from tenantmig.domain.plan import Path
from tenantmig.domain.tenant import Tenant

T = TypeVar("T")
BUDGET = re.compile(r"(\d+(?:\.\d+)?)\s*(%?)")


@dataclass(frozen=True, slots=True)
class FailureBudget:
    """How many tenants may fail before a run begins no more: a number, or a share of its tenants.

    A share allows at least one. Tenants that were only locked do not count.
    """

    amount: float = 5.0
    is_share: bool = True

    @classmethod
    def parse(cls, text: str) -> FailureBudget:
        """Read "3" or "5%".

        Raises:
            ValueError: it is neither.
        """
        found = BUDGET.fullmatch(text.strip())
        is_share = bool(found and found[2])
        if not found or (float(found[1]) > 100 if is_share else "." in found[1]):
            raise ValueError("write a number of tenants like 3, or a percentage like 5%")
        return cls(float(found[1]), bool(found[2]))

    def allows(self, failed: int, tenants: int) -> bool:
        """True while a run over so many tenants may go on after so many failed."""
        if not self.is_share:
            return failed <= self.amount
        return failed <= max(1.0, tenants * self.amount / 100)

    def __str__(self) -> str:
        return f"{self.amount:g}{'%' if self.is_share else ''}"


@dataclass(frozen=True, slots=True)
class Canary:
    """Who goes first: `count` tenants, or those named."""

    count: int = 1
    names: tuple[str, ...] = ()

    @classmethod
    def parse(cls, text: str) -> Canary:
        """Read "2" or "acme,globex"; "0" is none.

        Raises:
            ValueError: it is empty.
        """
        words = tuple(word.strip() for word in text.split(",") if word.strip())
        if not words:
            raise ValueError("write how many tenants go first, or their names separated by commas")
        if len(words) == 1 and words[0].isdecimal():
            return cls(int(words[0]))
        return cls(0, words)

    def __str__(self) -> str:
        return ",".join(self.names) or str(self.count)


@dataclass(frozen=True, slots=True)
class WavePolicy:
    """How a run goes over its tenants. `size` is that of every wave after the canary."""

    canary: Canary = Canary(0)
    size: int | None = None
    budget: FailureBudget | None = None


def first_to_go(pending: Sequence[tuple[Tenant, Path]]) -> list[tuple[Tenant, Path]]:
    """Order tenants so that the first run the most revisions: the longest work begins first."""
    return sorted(pending, key=lambda work: -len(work[1].revisions))


def chunks(works: Sequence[T], size: int | None) -> Iterator[list[T]]:
    """Cut works into waves of `size`; all at once without one."""
    step = size or len(works) or 1
    for start in range(0, len(works), step):
        yield list(works[start : start + step])

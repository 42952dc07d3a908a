"""An operation: its contenders, and what their figures say towards the aims."""

from __future__ import annotations

import argparse
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.contenders import tenantmig
from benchmarks.fleet import Fleet, Templates
from benchmarks.measurement import Contender, Work, fastest, marginal_rate, measure

Options = argparse.Namespace


@dataclass(frozen=True)
class Aim:
    """A figure, and what it should be: `seen` at least `bound`, or at most."""

    what: str
    seen: float
    bound: float
    is_at_most: bool = False

    @property
    def is_met(self) -> bool:
        """True when it is as it should be."""
        return self.seen <= self.bound if self.is_at_most else self.seen >= self.bound

    def __str__(self) -> str:
        side = "at most" if self.is_at_most else "at least"
        verdict = "met" if self.is_met else "MISSED"
        return f"{self.what}: {self.seen:.4g} (aim: {side} {self.bound:g}): {verdict}"


class Operation(ABC):
    """Contenders that are measured in turns, and compared with each other only."""

    title: str
    about: str
    contenders: Sequence[Contender]
    floors: Sequence[Contender] = ()
    loop: Contender | None = None

    def run(self, templates: Templates, rounds: int) -> None:
        """Measure them all."""
        measure(templates, self.contenders, rounds)

    @property
    def floor(self) -> Contender | None:
        """The fastest means of the floor at the full number of tenants."""
        return fastest(self.floors) if self.floors else None

    @abstractmethod
    def aims(self) -> list[Aim]:
        """What was aimed at, and what was seen."""

    def remarks(self) -> list[str]:
        """What else the figures say."""
        return []


def upgrade(options: Options, sample: int, fleet: Fleet, *flags: str) -> Contender:
    """`tenantmig upgrade` over a whole fleet."""
    given = [*flags, *(["--parallel", str(options.parallel)] if options.parallel else [])]
    return Contender(
        " ".join(["tenantmig upgrade", *flags]), tenantmig("upgrade", *given), sample, fleet
    )


def reading(name: str, work: Work, fleet: Fleet, sample: int | None = None) -> Contender:
    """A contender that changes nothing."""
    sample = fleet.size if sample is None else sample
    return Contender(name, work, sample, fleet, is_fresh=False)


def marginal(what: str, large: Contender, small: Contender) -> str:
    """The rate and the processor time of the further tenants, in words."""
    more = large.sample - small.sample
    client = (large.median("client_ms") - small.median("client_ms")) / more
    server = (large.median("server_ms") - small.median("server_ms")) / more
    rate = marginal_rate(large, small)
    return (
        f"{what}: {rate:.0f} tenants/s for each tenant after the first {small.sample}"
        f" ({1000 / rate:.2f} ms; {client:.1f} ms of client CPU, {server:.1f} of server CPU)."
    )

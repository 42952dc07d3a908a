"""An operation: its contenders, and what their figures say towards the aims."""

from __future__ import annotations

import argparse
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.contenders import tenantmig
from benchmarks.fleet import Fleet, Templates
from benchmarks.measurement import Contender, Measure, Work, fastest, measure

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


@dataclass(frozen=True)
class Marginal:
    """What each further tenant takes: in the difference of two fleets start-up cancels out."""

    large: Contender
    small: Contender

    @property
    def ms(self) -> float:
        """Milliseconds a tenant; not positive if the difference is lost in the noise."""
        return 1000 * self._each("seconds")

    def _each(self, measure: Measure) -> float:
        more = self.large.sample - self.small.sample
        return (self.large.median(measure) - self.small.median(measure)) / more

    def in_that_of(self, other: Marginal) -> str:
        """This rate as a part of another one, in words."""
        is_known = self.ms > 0 < other.ms
        part = f"{other.ms / self.ms:.2f}" if is_known else "lost in the noise"
        return f"{self.large.name}: marginal rate divided by that of {other.large.name}: {part}."

    def __str__(self) -> str:
        rate = f"{1000 / self.ms:.0f} tenants/s" if self.ms > 0 else "lost in the noise"
        client, server = self._each("client_ms"), self._each("server_ms")
        return (
            f"{self.large.name}, marginal ({self.small.sample:,} to {self.large.sample:,} tenants):"
            f" {rate}, {self.ms:.2f} ms a tenant; CPU {client:.2f} ms client, {server:.2f} server."
        )


def memory(small: Contender, large: Contender) -> str:
    """The memory of the driver with two fleets."""
    return (
        f"{large.name}: memory of the driver, {small.peak_mb:.0f} MB with {small.sample:,} tenants,"
        f" {large.peak_mb:.0f} MB with {large.sample:,}."
    )


def linear(small: Contender, large: Contender) -> list[Aim]:
    """That a larger fleet is done at the rate of a smaller one."""
    of = f"{large.name}: tenants/s with {large.sample:,} in those with {small.sample:,}"
    return [Aim(of, large.times(small), 0.8)]

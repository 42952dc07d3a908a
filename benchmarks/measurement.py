"""Measuring: contenders, each on a fresh copy of its fleet, in rounds that turn."""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from benchmarks.command import children_cpu_ms
from benchmarks.fleet import Fleet, Templates, tenant_names
from benchmarks.history import HEAD
from benchmarks.relay import Relay
from benchmarks.verification import wrong_tenants

Measure = Literal["seconds", "client_ms", "server_ms"]
LAST_BACKENDS_S = 0.3


@dataclass(frozen=True)
class Stage:
    """What a contender is given: a database, and the tenants to bring to head."""

    templates: Templates
    url: str
    tenants: Sequence[str]
    fleet: Fleet

    @property
    def folder(self) -> Path:
        """A place for files, removed in the end."""
        return self.templates.folder


Timed = Callable[[], float | None]  # returns the driver's peak memory in MB, if it was watched
Work = Callable[[Stage], Timed]  # what is done before it returns is not timed


@dataclass(frozen=True)
class Sample:
    """One run."""

    seconds: float
    client_ms: float
    server_ms: float
    peak_mb: float | None


@dataclass
class Contender:
    """A way to bring the first `sample` tenants of a fleet to head, and what it took so far."""

    name: str
    work: Work
    sample: int
    fleet: Fleet
    relay: Relay | None = None
    is_fresh: bool = True  # False: it changes nothing, so the copy can be used again
    samples: list[Sample] = field(default_factory=list)

    def run(self, templates: Templates, database: str) -> Sample:
        """Run once in that database; refuse a result that is not what it should be."""
        near = templates.server.url(database)
        url = self.relay.url(near) if self.relay else near
        tenants = tenant_names(self.sample)
        work = self.work(Stage(templates, url, tenants, self.fleet))
        client, server, began = children_cpu_ms(), templates.server.cpu_ms(), time.perf_counter()
        peak_mb = work()
        seconds = time.perf_counter() - began
        time.sleep(LAST_BACKENDS_S)  # until the last backends and orphans have ended
        client, server = children_cpu_ms() - client, templates.server.cpu_ms() - server
        expected = dict.fromkeys(tenant_names(self.fleet.size), self.fleet.revision)
        if self.is_fresh:
            expected |= dict.fromkeys(tenants, HEAD)
        references = templates.references(self.fleet.history)
        if wrong := wrong_tenants(near, self.fleet.keeper, expected, references):
            raise SystemExit(f"{self.name}: {len(wrong)} tenants are not as they should be")
        return Sample(seconds, client, server, peak_mb)

    def median(self, measure: Measure = "seconds") -> float:
        """The median over the rounds."""
        figures: list[float] = [getattr(sample, measure) for sample in self.samples]
        return statistics.median(figures)

    @property
    def rate(self) -> float:
        """Tenants a second, whole commands with their start-up."""
        return self.sample / self.median()

    @property
    def peak_mb(self) -> float:
        """The largest memory of the driver in any round."""
        return max(sample.peak_mb or 0.0 for sample in self.samples)

    def times(self, other: Contender) -> float:
        """How many times faster than another: the median of the ratios within each round."""
        pairs = zip(self.samples, other.samples, strict=True)
        return statistics.median(
            (self.sample / own.seconds) / (other.sample / theirs.seconds) for own, theirs in pairs
        )


def fastest(contenders: Sequence[Contender]) -> Contender:
    """The one with the most tenants a second."""
    return max(contenders, key=lambda contender: contender.rate)


def measure(templates: Templates, contenders: Sequence[Contender], rounds: int) -> None:
    """Run each contender once a round, in an order that turns from round to round."""
    for contender in contenders:  # before the first is timed
        templates.of(contender.fleet)
    shared: dict[Fleet, str] = {}
    for number in range(rounds):
        shift = number * max(1, len(contenders) // rounds) % len(contenders)
        for contender in [*contenders[shift:], *contenders[:shift]]:
            database = shared.get(contender.fleet)
            if contender.is_fresh or database is None:
                database = templates.server.create(templates.of(contender.fleet))
            if not contender.is_fresh:
                shared[contender.fleet] = database
            sample = contender.run(templates, database)
            contender.samples.append(sample)
            print(
                f"round {number + 1}: {contender.name}: {contender.sample} tenants"
                f" in {sample.seconds:.2f} s, {contender.sample / sample.seconds:.1f}/s",
                file=sys.stderr,
            )

"""Drift of a fleet that has none: what it costs to look at every object of every tenant."""

from __future__ import annotations

from benchmarks import contenders as by
from benchmarks.fleet import Fleet
from benchmarks.history import HEAD
from benchmarks.operation import Aim, Marginal, Operation, Options, memory, reading


class Drift(Operation):
    """`tenantmig drift` of two fleets; a tenant that differs would fail the command."""

    title = "Drift"
    about = (
        "All tenants are at head, as a dump and a restore left them. The history is run in a"
        " scratch schema, and each tenant is compared with that."
    )

    def __init__(self, options: Options) -> None:
        self.small, self.large = (
            reading("tenantmig drift", by.tenantmig("drift"), Fleet(size, HEAD))
            for size in (options.few, options.drift)
        )
        self.marginal = Marginal(self.large, self.small)
        self.contenders = [self.small, self.large]

    def aims(self) -> list[Aim]:
        what = (
            f"tenantmig drift of {self.large.sample:,} tenants: time for each further tenant, in ms"
        )
        return [Aim(what, self.marginal.ms, 10, is_at_most=True)]

    def remarks(self) -> list[str]:
        return [str(self.marginal), memory(self.small, self.large)]

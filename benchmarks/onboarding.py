"""Onboarding: new tenants from nothing to head."""

from __future__ import annotations

from benchmarks import contenders as by
from benchmarks.fleet import Fleet
from benchmarks.floor import Floor
from benchmarks.measurement import Contender, fastest
from benchmarks.operation import Aim, Marginal, Operation, Options, memory

WORKERS = 4


class Onboard(Operation):
    """All 15 revisions, one of which builds an index concurrently."""

    title = "Onboard to head"

    def __init__(self, options: Options, floor: Floor) -> None:
        empty, django = Fleet(0), Fleet(0, keeper="django")
        full, few, sample = options.tenants, options.few, max(2, options.sample // 2)
        self.about = (
            "Each new tenant gets a schema and all 15 revisions. The slow contenders had fewer"
            " tenants."
        )
        flags = ("--parallel", str(options.parallel)) if options.parallel else ()
        self.floors = floor.contenders(full, empty)
        self.floor_few = floor.contender(few, empty)
        self.own, self.own_few = (
            Contender("tenantmig onboard", by.tenantmig("onboard", *flags), size, empty)
            for size in (full, few)
        )
        engine = by.tenantmig("onboard", "--engine", "alembic", *flags)
        self.loop = Contender("loop: CREATE SCHEMA, alembic", by.commands(), sample, empty)
        self.contenders = [
            *self.floors,
            self.floor_few,
            self.own,
            self.own_few,
            Contender("tenantmig onboard --engine alembic", engine, few, empty),
            self.loop,
            Contender(f"pool of {WORKERS}, env.py", by.process_pool(WORKERS), few, empty),
            Contender("django-tenants, standard", by.django_onboard("standard"), few, django),
            Contender(
                f"django-tenants, multiprocessing, {WORKERS}",
                by.django_onboard("multiprocessing", WORKERS),
                few,
                django,
            ),
        ]

    def aims(self) -> list[Aim]:
        of = f"tenantmig onboard of {self.own.sample} tenants, speed of the whole command"
        return [
            Aim(f"{of} divided by that of the floor", self.own.times(fastest(self.floors)), 0.85)
        ]

    def remarks(self) -> list[str]:
        twin = next(c for c in self.floors if c.name == self.floor_few.name)
        own, floor = Marginal(self.own, self.own_few), Marginal(twin, self.floor_few)
        return [
            str(own),
            str(floor),
            own.in_that_of(floor),
            memory(self.own_few, self.own),
        ]

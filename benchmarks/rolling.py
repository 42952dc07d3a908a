"""Rolling three revisions: near, far away, after a long history, and to large fleets."""

from __future__ import annotations

from benchmarks import contenders as by
from benchmarks.fleet import Fleet
from benchmarks.floor import Floor
from benchmarks.history import COOKBOOK, OWN, History
from benchmarks.measurement import Contender, fastest
from benchmarks.operation import Aim, Marginal, Operation, Options, linear, memory, upgrade
from benchmarks.relay import Relay

WORKERS = (2, 4)


class Roll(Operation):
    """All contenders, on the fleet that the aims are for."""

    title = "Roll 3 revisions"

    def __init__(self, options: Options, floor: Floor) -> None:
        fleet, few = Fleet(options.tenants), Fleet(options.few)
        full, sample = options.tenants, options.sample
        self.about = (
            f"From 0012 to 0015: a view, a column with a default, a check constraint."
            f" The loops ran over {sample} tenants in each round; their tenants/s are of those"
            f" {sample}."
        )
        self.floors = floor.contenders(full, fleet)
        self.floor_few = floor.contender(few.size, few)
        self.replay = upgrade(options, full, fleet)
        self.replay_few = upgrade(options, few.size, few)
        self.engine = upgrade(options, full, fleet, "--engine", "alembic")
        self.loop = Contender("loop of alembic commands", by.commands(), sample, few)
        self.loops = [
            Contender("same, 4 at once", by.commands(4), sample, few),
            Contender("loop, cookbook's env.py", by.commands(1, COOKBOOK), sample, few),
        ]
        self.pools = [
            Contender(f"pool of {count}, {env}", by.process_pool(count, config), full, fleet)
            for count in WORKERS
            for env, config in (("env.py", None), ("cookbook's env.py", COOKBOOK))
        ]
        self.djangos = _djangos(full)
        self.contenders = [
            *self.floors, self.floor_few, self.replay, self.replay_few, self.engine,
            self.loop, *self.loops, *self.pools, *self.djangos,
        ]  # fmt: skip

    def aims(self) -> list[Aim]:
        replay, loop, pool, django = self.replay, self.loop, self.pools, self.djangos
        assert self.floor is not None
        assert loop is not None
        of = f"tenantmig upgrade of {replay.sample} tenants, speed of the whole command"
        return [
            Aim(f"{of} divided by that of the floor", replay.times(self.floor), 0.85),
            Aim(f"{of} divided by that of the loop", replay.times(loop), 80),
            Aim(f"{of} divided by that of django-tenants' best", replay.times(fastest(django)), 6),
            Aim(f"{of} divided by that of the best process pool", replay.times(fastest(pool)), 4),
        ]

    def remarks(self) -> list[str]:
        twin = next(c for c in self.floors if c.name == self.floor_few.name)
        own, floor = Marginal(self.replay, self.replay_few), Marginal(twin, self.floor_few)
        cookbook = self.replay.times(self.loops[1])
        return [
            str(own),
            str(floor),
            own.in_that_of(floor),
            f"tenantmig upgrade, tenants/s divided by the cookbook loop's: {cookbook:.0f}.",
            f"The best process pool: {fastest(self.pools).name}.",
            f"The best of django-tenants: {fastest(self.djangos).name}.",
            memory(self.replay_few, self.replay),
            f"{self.engine.name}: memory of the driver, {self.engine.peak_mb:.0f} MB.",
        ]


class FarRoll(Operation):
    """The same over a slow line."""

    def __init__(self, options: Options, floor: Floor, relay: Relay, trip_ms: float) -> None:
        fleet = Fleet(options.far)
        self.title = f"Roll 3 revisions, {trip_ms:.1f} ms away"
        self.about = (
            "Through a relay that holds each byte back for 1 ms, either way; a statement that does"
            f" nothing takes {trip_ms:.2f} ms."
        )
        self.floors = floor.contenders(fleet.size, fleet)
        self.replay = upgrade(options, fleet.size, fleet)
        self.replay.relay = relay
        self.loop = Contender(
            "loop of alembic commands", by.commands(), max(2, options.sample // 2), fleet, relay
        )
        self.contenders = [*self.floors, self.replay, self.loop]

    def aims(self) -> list[Aim]:
        return []


class LongHistory(Operation):
    """The same three revisions after few and after many."""

    def __init__(self, options: Options, floor: Floor, history: History) -> None:
        self.title = f"Roll 3 revisions after a history of {history.length}"
        self.about = (
            f"{history.length - OWN.length} generated revisions, then this repository's"
            f" {OWN.length}: the last three are the same, the tenants hold more tables."
        )
        sizes = (options.tenants, options.few)
        self.floors = [floor.contender(sizes[0], Fleet(sizes[0], history=history))]
        self.pairs = {
            kind.length: [upgrade(options, size, Fleet(size, history=kind)) for size in sizes]
            for kind in (OWN, history)
        }
        for length, pair in self.pairs.items():
            for contender in pair:
                contender.name += f", {length} revisions"
        few = floor.contender(sizes[1], Fleet(sizes[1], history=history))
        self.floor_few = few
        self.contenders = [*self.floors, few, *(c for pair in self.pairs.values() for c in pair)]

    def aims(self) -> list[Aim]:
        return []

    def remarks(self) -> list[str]:
        pairs = [*self.pairs.values(), (self.floors[0], self.floor_few)]
        return [str(Marginal(large, small)) for large, small in pairs]


class StatefulRoll(Operation):
    """What it costs that no process serves two tenants."""

    title = "A revision that is not pure"
    about = (
        "The same three revisions, but the last one keeps a list in its module. So each tenant has"
        " a process of its own for it. It is compared with the unchanged history by the same"
        " engine, where tenants share processes."
    )

    def __init__(self, options: Options, stateful: History) -> None:
        sizes = (options.few, max(2, options.few // 5))
        ways = ((OWN, "pure"), (stateful, "not pure"))
        self.pairs = [
            [
                upgrade(options, size, Fleet(size, history=history), "--engine", "alembic")
                for size in sizes
            ]
            for history, _ in ways
        ]
        for pair, (_, way) in zip(self.pairs, ways, strict=True):
            for contender in pair:
                contender.name += f", {way}"
        self.contenders = [contender for pair in self.pairs for contender in pair]

    def aims(self) -> list[Aim]:
        return []

    def remarks(self) -> list[str]:
        shared, alone = (Marginal(*pair) for pair in self.pairs)
        dearer = f"{alone.ms - shared.ms:.0f} ms for each tenant"
        return [str(shared), str(alone), f"A process of its own costs {dearer}."]


class LargeRoll(Operation):
    """Whether a fleet ten times as large takes ten times as long."""

    title = "Roll 3 revisions to large fleets"
    about = "The same. One fleet is ten times as large as the other."

    def __init__(self, options: Options, floor: Floor) -> None:
        fleets = [Fleet(size) for size in sorted(options.large_fleets)]
        self.small, self.large = (upgrade(options, fleet.size, fleet) for fleet in fleets)
        self.few = upgrade(options, options.few, Fleet(options.few))  # what memory is compared to
        floors = [floor.contender(fleet.size, fleet) for fleet in fleets]
        self.floors = floors[1:]
        self.contenders = [self.few, self.small, self.large, *floors]

    def aims(self) -> list[Aim]:
        return [*linear(self.small, self.large), self._memory()]

    def _memory(self) -> Aim:
        more = self.large.peak_mb - self.few.peak_mb
        what = f"memory of the driver with {self.large.sample:,} tenants minus that with"
        return Aim(f"{what} {self.few.sample:,}, in MB", more, 60, is_at_most=True)

    def remarks(self) -> list[str]:
        return [
            memory(self.few, self.large),
            str(Marginal(self.large, self.small)),
            str(Marginal(self.floors[0], self.contenders[-2])),
        ]


def _djangos(size: int) -> list[Contender]:
    fleet = Fleet(size, keeper="django")
    name = "django-tenants, multiprocessing"
    return [
        Contender("django-tenants, standard", by.django_upgrade("standard"), size, fleet),
        *(
            Contender(f"{name}, {count}", by.django_upgrade("multiprocessing", count), size, fleet)
            for count in WORKERS
        ),
    ]

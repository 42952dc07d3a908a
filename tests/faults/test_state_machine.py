"""A fleet led by chance: any order of commands, kills and restarts keeps the promises.

Hypothesis chooses the rules. The model knows where each tenant stands, or after a kill where it may
stand; after each rule the oracles look at the database. A failing example prints its steps; once
its cause is mended it is kept as a test at the end of this file.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import invariant, precondition, rule, run_state_machine_as_test
from psycopg import sql

from tenantmig import Fleet, Selection, TenantState
from tests.faults.fleet_model import KINDS, Standing, write_kinds
from tests.faults.led_fleet import FIRST, LedFleet, Run, World
from tests.fixtures.database import fresh_database
from tests.fixtures.server import Server, StopMode

NAMES = (*FIRST, "beta", "gamma")
LONGEST = 6  # revisions
LAST_STATEMENT = 60  # at which a kill or restart strikes at the latest
DONE = ["upgraded", "downgraded", "onboarded", "already_current"]
LATEST = """
    SELECT DISTINCT ON (schema) schema, coalesce(to_revision, 'base'), run, outcome
    FROM tenantmig.run_tenant WHERE outcome IS NULL OR outcome = ANY(%s)
    ORDER BY schema, updated_at DESC
"""
Subset = st.sets(st.sampled_from(NAMES), min_size=1, max_size=3)
Fraction = st.floats(0, 1)
Way = st.sampled_from(["upgrade", "upgrade", "downgrade"])
K = st.integers(-8, -1) | st.integers(1, LAST_STATEMENT)  # below 0: of a COMMIT, see Strike


def exactly(*names: str) -> Selection:
    return Selection(names=names, has_wildcards=False)


class FleetMachine(LedFleet):
    """The rules, and what must hold after each."""

    @precondition(lambda self: self.head < LONGEST)
    @rule(kind=st.sampled_from(sorted(KINDS)))
    def add_revision(self, kind: str) -> None:
        self.kinds += (kind,)
        write_kinds(self.folder / "history", self.kinds)

    @precondition(lambda self: len(self.tenants) < len(NAMES))
    @rule(where=Fraction)
    def onboard(self, where: float) -> None:
        name, to = self._unborn(where)
        with self.changing([name]):
            self.forget_runs([name])
            assert self.fleet().onboard([name], f"r{to}").is_complete
            self.tenants[name] = Standing(to)

    def _unborn(self, where: float) -> tuple[str, int]:
        name = next(name for name in NAMES if name not in self.tenants)
        return name, 1 + round(where * (self.head - 1))

    @precondition(lambda self: self.tenants)
    @rule(names=Subset, where=Fraction, way=Way)
    def roll(self, names: set[str], where: float, way: str) -> None:
        goals = self.goals(names, where, way)
        self.move(lambda: self._run(way, goals)(self.fleet()), way, goals)

    @staticmethod
    def _run(way: str, goals: dict[str, int]) -> Run:
        call = Fleet.upgrade if way == "upgrade" else Fleet.downgrade
        target = f"r{next(iter(goals.values()))}"
        return lambda fleet: call(fleet, target, exactly(*goals))

    @precondition(lambda self: any(t.is_active for t in self.tenants.values()))
    @rule()
    def upgrade_everyone(self) -> None:
        goals = {name: self.head for name, t in self.tenants.items() if t.is_active}
        self.move(lambda: self.fleet().upgrade(), "upgrade", goals)

    @precondition(lambda self: self.undoable)
    @rule()
    def roll_back(self) -> None:
        assert self.undoable is not None
        run, goals = self.undoable
        self.move(lambda: self.fleet().rollback(run), self._way(goals), goals)

    def _way(self, goals: dict[str, int]) -> str:
        """Which way leads to these goals."""
        is_up = any(self.tenants[name].at < goal for name, goal in goals.items())
        return "upgrade" if is_up else "downgrade"

    @precondition(lambda self: len(self.tenants) > 1)
    @rule(names=Subset)
    def offboard(self, names: set[str]) -> None:
        found = self.alive(names)[:2]
        with self.changing(found):
            self.forget_runs(found)
            assert self.fleet().offboard(exactly(*found)).is_complete
            for name in found:
                del self.tenants[name]

    @precondition(lambda self: self.tenants)
    @rule(names=Subset, is_active=st.booleans())
    def suspend_or_activate(self, names: set[str], is_active: bool) -> None:
        found = self.alive(names)
        state = TenantState.ACTIVE if is_active else TenantState.SUSPENDED
        with self.changing(()):
            self.fleet().set_state(exactly(*found), state)
        for name in found:
            self.tenants[name].is_active = is_active

    @precondition(lambda self: self.tenants)
    @rule(name=st.sampled_from(NAMES))
    def drift(self, name: str) -> None:
        """Somebody makes a table by hand."""
        found = self.alive([name])[0]
        table = sql.SQL("CREATE TABLE IF NOT EXISTS {} (id int)")
        self.database.execute(table.format(sql.Identifier(found, "drift")).as_string())
        self.tenants[found].is_drifted = True

    # -- faults -------------------------------------------------------------------------------

    @precondition(lambda self: self.tenants)
    @rule(names=Subset, where=Fraction, way=Way, k=K, mode=st.sampled_from(["fast", "immediate"]))
    def restart_server(
        self, names: set[str], where: float, way: str, k: int, mode: StopMode
    ) -> None:
        """The server restarts at the k-th statement of a run, which rides through."""
        goals = self.goals(names, where, way)
        self.move(lambda: self.ride_through(self._run(way, goals), k, mode), way, goals)

    @precondition(lambda self: self.tenants)
    @rule(names=Subset, where=Fraction, way=Way, k=K, arrives=st.booleans())
    def kill(self, names: set[str], where: float, way: str, k: int, arrives: bool) -> None:
        """A run is killed with all its processes before its k-th statement, or just after."""
        goals = self.goals(names, where, way)
        selected = [word for name in goals for word in ("-t", name)]
        target = f"r{next(iter(goals.values()))}"
        self.kill_run([way, target, *selected, "--yes"], way, goals, k, arrives=arrives)

    @precondition(lambda self: self.undoable)
    @rule(k=K, arrives=st.booleans())
    def kill_rollback(self, k: int, arrives: bool) -> None:
        assert self.undoable is not None
        run, goals = self.undoable
        arguments = ["rollback", str(run), "--yes"]
        self.kill_run(arguments, self._way(goals), goals, k, arrives=arrives)

    @precondition(lambda self: self.cut_off and self.cut_off.way != "offboard")
    @rule(k=K, arrives=st.booleans())
    def kill_resumption(self, k: int, arrives: bool) -> None:
        assert self.cut_off is not None
        arguments = ["resume", str(self.cut_off.run), "--yes"]
        self.kill_run(arguments, self.cut_off.way, self.cut_off.goals, k, arrives=arrives)

    @precondition(lambda self: len(self.tenants) < len(NAMES))
    @rule(where=Fraction, k=K, arrives=st.booleans())
    def kill_onboarding(self, where: float, k: int, arrives: bool) -> None:
        """What is left of it, the next `onboard` replaces."""
        name, to = self._unborn(where)
        with self.changing([name]):
            self.forget_runs([name])
            self.run_killed(["onboard", name, "--to", f"r{to}"], k, arrives=arrives)
            if self.registered(name) != "active":
                assert self.fleet().onboard([name], f"r{to}").is_complete
            self.tenants[name] = Standing(to)

    @precondition(lambda self: len(self.tenants) > 1)
    @rule(names=Subset, k=K, arrives=st.booleans())
    def kill_offboarding(self, names: set[str], k: int, arrives: bool) -> None:
        """Each tenant is there or gone."""
        found = self.alive(names)[:2]
        before = self.last_run()[0]
        with self.changing(found):
            self.forget_runs(found)
            self.run_killed(["offboard", *found, "--yes"], k, arrives=arrives)
            for name in found:
                if self.registered(name) is None:
                    del self.tenants[name]
        self.note_cut_off(before, "offboard", dict.fromkeys(found, 0), None)

    @precondition(lambda self: self.cut_off)
    @rule()
    def resume(self) -> None:
        assert self.cut_off is not None
        run, goals = self.cut_off.run, self.cut_off.goals
        if self.cut_off.way != "offboard":
            self.move(lambda: self.fleet().resume(run), self.cut_off.way, goals)
            self.undoable = None  # its tenants came from where the killed driver found them
            return
        with self.changing(goals):
            self.forget_runs(goals)
            assert self.fleet().resume(run).is_complete
            for name in goals:
                self.tenants.pop(name, None)

    # -- what holds after each rule -----------------------------------------------------------

    @invariant()
    def nothing_is_left(self) -> None:
        building = tuple(sql.Identifier(name).as_string().strip('"') for name in self.parts())
        left = [
            line
            for line in self.database.leftovers(wait_s=15)
            if not (line.startswith("INVALID index") and any(name in line for name in building))
        ]
        assert not left, left

    @invariant()
    def the_ledger_is_true(self) -> None:
        for schema, revision, run, outcome in self.database.fetch(LATEST, [DONE]):
            if schema in self.tenants:
                stands = f"r{self.tenants[schema].at}"
                assert revision == stands, f"{schema}: run {run} says {outcome} at {revision}"

    @invariant()
    def the_status_is_true(self) -> None:
        said = {row.tenant.name: row.revision for row in self.fleet().status().tenants}
        active = {name: t for name, t in self.tenants.items() if t.is_active}
        assert said == {name: f"r{standing.at}" for name, standing in active.items()}


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with (
        Server(18) as server,
        fresh_database(server) as scratch,
        fresh_database(server) as template,
    ):
        yield World(server, scratch, template, tmp_path_factory.mktemp("template"))


def lead(world: World, examples: int, steps: int) -> None:
    """Lead fleets by chance. Nothing is shrunk: a step costs a second, and its own steps say it."""

    class Led(FleetMachine):
        def __init__(self) -> None:
            super().__init__(world)

    run_state_machine_as_test(
        Led,
        settings=settings(
            max_examples=examples,
            stateful_step_count=steps,
            derandomize=False,
            database=None,
            deadline=None,
            print_blob=True,
            phases=[Phase.explicit, Phase.generate],
            suppress_health_check=list(HealthCheck),
        ),
    )


@pytest.mark.timeout(3600)
def test_a_fleet_led_by_chance_keeps_the_promises(world: World) -> None:
    lead(world, examples=5, steps=12)
    assert world.strikes.total() > 0


@pytest.mark.full
@pytest.mark.parametrize("share", range(3))
def test_many_fleets_led_by_chance_keep_the_promises(world: World, share: int) -> None:
    lead(world, examples=8, steps=20)
    assert len(world.strikes) > 1, (share, world.strikes)

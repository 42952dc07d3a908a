"""A fleet led by chance: any order of commands, kills and restarts keeps the promises.

Hypothesis chooses the rules. The model knows where each tenant stands, or after a kill where it may
stand; after each rule the oracles look at the database. A failing example prints its steps; once
its cause is mended it is kept as a test at the end of this file.
"""

from __future__ import annotations

import os
import signal
import subprocess
import tempfile
import threading
import uuid
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import psycopg
import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from psycopg import sql

from tenantmig import Fleet, RunReport, Selection, TenantmigError, TenantState
from tests.faults.fleet_model import KINDS, GoldenFleet, Kinds, Standing, differences, write_kinds
from tests.fixtures.command import Project
from tests.fixtures.database import Database, fresh_database
from tests.fixtures.oracles import shared_mark, untouched_mark
from tests.fixtures.proxy import Connection, Fate, Proxy
from tests.fixtures.server import Server

FIRST = ("acme", 'q"uo.te d', "é" * 31 + "x")
NAMES = (*FIRST, "beta", "gamma")
BYSTANDER = "bystander"
LONGEST = 6  # revisions
LAST_STATEMENT = 60  # at which a kill or restart strikes at the latest
DONE = ["upgraded", "downgraded", "onboarded", "already_current"]
SETTINGS = 'names = "wide"\nparallel = 2\n'
LATEST = """
    SELECT DISTINCT ON (schema) schema, coalesce(to_revision, 'base'), run, outcome
    FROM tenantmig.run_tenant WHERE outcome IS NULL OR outcome = ANY(%s)
    ORDER BY schema, updated_at DESC
"""
LAST_RUN = "SELECT id, state FROM tenantmig.run ORDER BY id DESC LIMIT 1"
Subset = st.sets(st.sampled_from(NAMES), min_size=1, max_size=3)
Fraction = st.floats(0, 1)


class World:
    """The server of the module, a template of a small fleet, and the goldens."""

    def __init__(self, server: Server, scratch: Database, template: Database, folder: Path):
        self.server = server
        self.strikes: Counter[str] = Counter()  # faults that fired in the middle of a run
        self.goldens = GoldenFleet(scratch)
        self.template = template.name
        project = Project(folder, template.url, write_kinds(folder / "history", ()))
        project.settings(SETTINGS)
        fleet = Fleet.open(project.ini, database_url=template.url)
        assert fleet.onboard([*FIRST, BYSTANDER]).is_complete
        fleet.set_state(Selection(names=(BYSTANDER,)), TenantState.SUSPENDED)

    @contextmanager
    def database(self) -> Iterator[Database]:
        """A copy of the template."""
        name = f"test_{uuid.uuid4().hex}"
        self.server.execute_admin(f"CREATE DATABASE {name} TEMPLATE {self.template}")
        # Without it a crash sets the copy's sequences back: a page written by the copy is newer
        # than the last checkpoint, so nextval() trusts values that it logged in the template only.
        self.server.execute_admin("CHECKPOINT")
        try:
            database = Database(self.server, name)
            yield database
            database.close_connections()
        finally:
            self.server.execute_admin(f"DROP DATABASE {name} WITH (FORCE)")


class FleetMachine(RuleBasedStateMachine):
    """The rules, and what must hold after each."""

    def __init__(self, world: World) -> None:
        super().__init__()
        self.world = world
        self._opened = world.database()
        self.database = self._opened.__enter__()
        self._folder = tempfile.TemporaryDirectory()
        self.folder = Path(self._folder.name)
        self.kinds: Kinds = ()
        self.tenants = {name: Standing(1) for name in FIRST}
        self.undoable: tuple[int, dict[str, int]] | None = None
        self.cut_off: tuple[int, dict[str, int | None]] | None = None
        self.project = Project(self.folder, self.database.url, self.folder / "history")
        self.project.settings(SETTINGS)
        write_kinds(self.folder / "history", ())

    def teardown(self) -> None:
        self._opened.__exit__(None, None, None)
        self._folder.cleanup()

    # -- what the rules are made of -----------------------------------------------------------

    @property
    def head(self) -> int:
        return 1 + len(self.kinds)

    def fleet(self, url: str | None = None) -> Fleet:
        return Fleet.open(self.project.ini, database_url=url or self.database.url)

    def alive(self, names: Collection[str]) -> list[str]:
        """Those of the names that are tenants; if none is, all tenants."""
        return sorted(self.tenants.keys() & names) or sorted(self.tenants)

    @contextmanager
    def changing(self, names: Collection[str]) -> Iterator[None]:
        """Let a block change these tenants and nothing else; then look at them."""
        before = self._marks(names)
        yield
        assert self._marks(names) == before, f"something besides {names} changed"
        for name in names:
            self._look_at(name)

    def _marks(self, names: Collection[str]) -> tuple[str, str]:
        excluded = [*names, "tenantmig", "pg_toast"]
        with psycopg.connect(self.database.url, autocommit=True) as connection:
            return untouched_mark(connection, excluded), shared_mark(connection)

    def _look_at(self, name: str) -> None:
        there = self.database.fetch("SELECT FROM pg_namespace WHERE nspname = %s::text", [name])
        known = self.database.fetch("SELECT state FROM tenantmig.tenant WHERE name = %s", [name])
        standing = self.tenants.get(name)
        if standing is None:
            assert (there, known) == ([], []), f"{name} should be gone"
            return
        assert known == [("active" if standing.is_active else "suspended",)]
        assert self.version(name) == standing.at, f"{name} is not where it should be"
        golden = self.world.goldens.at(self.kinds[: standing.at - 1])
        found = differences(
            self.database,
            name,
            golden,
            has_parts=name in self.parts(),
            is_drifted=standing.is_drifted,
        )
        assert not found, f"{name} at r{standing.at}: {found}"

    def version(self, name: str) -> int:
        table = sql.SQL("SELECT version_num FROM {}").format(
            sql.Identifier(name, "alembic_version")
        )
        rows = self.database.fetch(table.as_string())
        assert len(rows) == 1, f"{name} is at {rows}"
        return int(rows[0][0].removeprefix("r"))

    def parts(self) -> dict[str, str]:
        """The tenants in which a revision is half done, and its direction."""
        return dict(self.database.fetch("SELECT DISTINCT schema, direction FROM tenantmig.part"))

    def read_back(self, goals: dict[str, int]) -> None:
        """Learn where tenants are that were on their way to a revision."""
        for name, goal in goals.items():
            standing, found = self.tenants[name], self.version(name)
            low, high = sorted((standing.at, goal))
            assert low <= found <= high, f"{name} is at r{found}, not in r{low} to r{high}"
            standing.at = found

    def move(self, run: Callable[[], RunReport], direction: str, goals: dict[str, int]) -> None:
        """Make a run that leads tenants to their goals; a half done revision may be in the way."""
        parts = self.parts()
        is_blocked = any(parts.get(name, direction) != direction for name in goals)
        before = {name: self.tenants[name].at for name in goals}
        with self.changing(goals):
            report = run()
            self.forget_runs(goals)
            if is_blocked:
                self.read_back(goals)
            else:
                assert report.is_complete, report
                for name, goal in goals.items():
                    self.tenants[name].at = goal
        moved = {name: at for name, at in before.items() if self.tenants[name].at != at}
        if moved and report.run is not None:
            self.undoable = report.run, moved

    def forget_runs(self, names: Collection[str]) -> None:
        """A run whose tenants were moved since is neither resumed nor undone here."""
        if self.undoable and self.undoable[1].keys() & set(names):
            self.undoable = None
        if self.cut_off and self.cut_off[1].keys() & set(names):
            self.cut_off = None

    def command(
        self, names: Collection[str], where: float, way: str
    ) -> tuple[dict[str, int], str, Callable[[Fleet], RunReport]]:
        """Choose the target of a run up or down, and say how to make it."""
        found = self.alive(names)
        stand = [self.tenants[name].at for name in found]
        low, high = (max(stand), self.head) if way == "upgrade" else (1, min(stand))
        target = low + round(where * (high - low))
        selection = Selection(names=tuple(found), has_wildcards=False)
        call = Fleet.upgrade if way == "upgrade" else Fleet.downgrade
        goals = dict.fromkeys(found, target)
        return goals, f"r{target}", lambda fleet: call(fleet, f"r{target}", selection)

    # -- rules --------------------------------------------------------------------------------

    @precondition(lambda self: self.head < LONGEST)
    @rule(kind=st.sampled_from(sorted(KINDS)))
    def add_revision(self, kind: str) -> None:
        self.kinds += (kind,)
        write_kinds(self.folder / "history", self.kinds)

    @precondition(lambda self: len(self.tenants) < len(NAMES))
    @rule(where=Fraction)
    def onboard(self, where: float) -> None:
        name = next(name for name in NAMES if name not in self.tenants)
        to = 1 + round(where * (self.head - 1))
        with self.changing([name]):
            self.forget_runs([name])
            assert self.fleet().onboard([name], f"r{to}").is_complete
            self.tenants[name] = Standing(to)

    @precondition(lambda self: self.tenants)
    @rule(names=Subset, where=Fraction, way=st.sampled_from(["upgrade", "upgrade", "downgrade"]))
    def roll(self, names: set[str], where: float, way: str) -> None:
        goals, _, run = self.command(names, where, way)
        self.move(lambda: run(self.fleet()), way, goals)

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
        is_up = any(self.tenants[name].at < goal for name, goal in goals.items())
        way = "upgrade" if is_up else "downgrade"
        self.move(lambda: self.fleet().rollback(run), way, goals)

    @precondition(lambda self: len(self.tenants) > 1)
    @rule(names=Subset)
    def offboard(self, names: set[str]) -> None:
        found = self.alive(names)[:2]
        with self.changing(found):
            self.forget_runs(found)
            selection = Selection(names=tuple(found), has_wildcards=False)
            assert self.fleet().offboard(selection).is_complete
            for name in found:
                del self.tenants[name]

    @precondition(lambda self: self.tenants)
    @rule(names=Subset, is_active=st.booleans())
    def suspend_or_activate(self, names: set[str], is_active: bool) -> None:
        found = self.alive(names)
        state = TenantState.ACTIVE if is_active else TenantState.SUSPENDED
        with self.changing(()):
            self.fleet().set_state(Selection(names=tuple(found), has_wildcards=False), state)
        for name in found:
            self.tenants[name].is_active = is_active

    @precondition(lambda self: self.tenants)
    @rule(name=st.sampled_from(NAMES))
    def drift(self, name: str) -> None:
        """Somebody makes a table by hand."""
        for found in self.alive([name])[:1]:
            table = sql.SQL("CREATE TABLE IF NOT EXISTS {} (id int)")
            self.database.execute(table.format(sql.Identifier(found, "drift")).as_string())
            self.tenants[found].is_drifted = True

    # -- faults -------------------------------------------------------------------------------

    @precondition(lambda self: self.tenants)
    @rule(
        names=Subset,
        where=Fraction,
        way=st.sampled_from(["upgrade", "downgrade"]),
        k=st.integers(1, LAST_STATEMENT),
        mode=st.sampled_from(["fast", "immediate"]),
    )
    def restart_server(self, names: set[str], where: float, way: str, k: int, mode: str) -> None:
        """The server restarts at the k-th statement of a run, which rides through."""
        goals, _, run = self.command(names, where, way)
        restarting = threading.Lock()

        def strike(ordinal: int, _: str, __: Connection) -> None:
            if ordinal == k:
                with restarting:
                    self.world.server.restart(mode)  # type: ignore[arg-type]

        with Proxy(self.world.server) as proxy:
            proxy.on_statement(strike)
            fleet = self.fleet(proxy.url(self.database.name))

            def insist() -> RunReport:
                with suppress(TenantmigError, psycopg.OperationalError):  # while it planned
                    return run(fleet)
                with restarting:
                    return run(self.fleet())

            self.move(insist, way, goals)
            self.world.strikes[mode] += proxy.statements >= k

    @precondition(lambda self: self.tenants)
    @rule(
        names=Subset,
        where=Fraction,
        way=st.sampled_from(["upgrade", "downgrade"]),
        k=st.integers(1, LAST_STATEMENT),
        arrives=st.booleans(),
    )
    def kill(self, names: set[str], where: float, way: str, k: int, arrives: bool) -> None:
        """A run is killed with all its processes before its k-th statement, or just after."""
        goals, target, _ = self.command(names, where, way)
        selected = [word for name in goals for word in ("-t", name)]
        parts, before = self.parts(), self._last_run()
        with self.changing(goals):
            code = self._run_killed([way, target, *selected, "--yes"], k, arrives=arrives)
            self.forget_runs(goals)
            if code == 0:
                assert all(parts.get(name, way) == way for name in goals)
            assert code in {0, 3, -signal.SIGKILL}
            self.world.strikes["kill"] += code < 0
            self.read_back(goals)
        run, state = self._last_run()
        if run > before[0] and state != "complete":
            self.cut_off = run, {**goals}

    def _last_run(self) -> tuple[int, str]:
        run, state = self.database.fetch(LAST_RUN)[0]
        return run, state

    def _run_killed(self, arguments: Sequence[str], k: int, *, arrives: bool) -> int:
        """Run a command and kill its processes at its k-th statement; return the exit code."""
        drivers: list[subprocess.Popen[str]] = []

        def strike(ordinal: int, _: str, __: Connection) -> Fate | None:
            if ordinal < k:
                return None
            with suppress(ProcessLookupError):
                os.killpg(drivers[0].pid, signal.SIGKILL)
            return Fate.FORWARD if arrives and ordinal == k else Fate.CUT

        with Proxy(self.world.server) as proxy:
            proxy.on_statement(strike)
            self.project.url = proxy.url(self.database.name)
            drivers.append(self.project.start(*arguments, group=0))
            result = self.project.finish(drivers[0], expect=None)
            assert "Traceback" not in result.err, result.err
            self.settle()
        return result.code

    def settle(self) -> None:
        """Wait until nothing of a killed driver is on the server: it goes by itself."""
        left = [line for line in self.database.leftovers(wait_s=15) if "INVALID" not in line]
        assert not left, left

    @precondition(lambda self: self.cut_off)
    @rule()
    def resume(self) -> None:
        assert self.cut_off is not None
        run, goals = self.cut_off
        aims = {name: goal for name, goal in goals.items() if goal is not None}
        is_up = any(self.tenants[name].at < goal for name, goal in aims.items())
        # where all have arrived, either way is right
        way = "upgrade" if is_up else self.parts().get(next(iter(aims)), "downgrade")
        self.move(lambda: self.fleet().resume(run), way, aims)
        self.undoable = None  # its tenants came from where the killed driver found them

    # -- what holds after each rule -------------------------------------------------------------

    @invariant()
    def nothing_is_left(self) -> None:
        parts = self.parts()
        building = tuple(sql.Identifier(name).as_string().strip('"') for name in parts)
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


def test_a_fleet_led_by_chance_keeps_the_promises(world: World) -> None:
    lead(world, examples=10, steps=12)
    assert world.strikes.total() > 0


@pytest.mark.faults
def test_many_fleets_led_by_chance_keep_the_promises(world: World) -> None:
    lead(world, examples=25, steps=20)
    assert set(world.strikes) == {"kill", "fast", "immediate"}, world.strikes

"""A fleet that the state machine leads: how its commands are run, struck down and looked at."""

from __future__ import annotations

import os
import signal
import subprocess
import tempfile
import threading
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psycopg
from hypothesis.stateful import RuleBasedStateMachine
from psycopg import sql

from tenantmig import Fleet, RunReport, Selection, TenantmigError, TenantState
from tests.faults.fleet_model import GoldenFleet, Kinds, Standing, differences, write_kinds
from tests.fixtures.command import Project
from tests.fixtures.database import Database, create_database
from tests.fixtures.oracles import shared_mark, untouched_mark
from tests.fixtures.proxy import Connection, Fate, Proxy
from tests.fixtures.server import Server, StopMode

FIRST = ("acme", 'q"uo.te d', "é" * 31 + "x")
BYSTANDER = "bystander"
SETTINGS = 'names = "wide"\nparallel = 2\n'
LAST_RUN = "SELECT id, state FROM tenantmig.run ORDER BY id DESC LIMIT 1"
Run = Callable[[Fleet], RunReport]


@dataclass(frozen=True)
class CutOff:
    """A run that a kill cut off: its direction, and the revision each tenant was to reach."""

    run: int
    way: str
    goals: dict[str, int]


class Strike:
    """When a fault strikes: at the k-th statement, or, for k below 0, at COMMIT number -k."""

    def __init__(self, k: int) -> None:
        self.k = k
        self.has_struck = False
        self._commits = 0
        self._guard = threading.Lock()

    def is_now(self, ordinal: int, text: str) -> bool:
        """True once, when the moment has come."""
        with self._guard:
            self._commits += text.upper().startswith("COMMIT")
            has_come = ordinal >= self.k if self.k > 0 else self._commits >= -self.k
            is_first = has_come and not self.has_struck
            self.has_struck = has_come
        return is_first


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
        name = create_database(self.server, self.template)
        # Without it a crash sets the copy's sequences back: a page written by the copy is newer
        # than the last checkpoint, so nextval() trusts values that it logged in the template only.
        self.server.execute_admin("CHECKPOINT")
        try:
            database = Database(self.server, name)
            yield database
            database.close_connections()
        finally:
            self.server.execute_admin(f"DROP DATABASE {name} WITH (FORCE)")


class LedFleet(RuleBasedStateMachine):
    """What the rules are made of."""

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
        """The last run that moved tenants, and where each stood before."""
        self.cut_off: CutOff | None = None
        self.project = Project(self.folder, self.database.url, self.folder / "history")
        self.project.settings(SETTINGS)
        write_kinds(self.folder / "history", ())

    def teardown(self) -> None:
        self._opened.__exit__(None, None, None)
        self._folder.cleanup()

    @property
    def head(self) -> int:
        return 1 + len(self.kinds)

    def fleet(self, url: str | None = None) -> Fleet:
        return Fleet.open(self.project.ini, database_url=url or self.database.url)

    def alive(self, names: Collection[str]) -> list[str]:
        """Those of the names that are tenants; if none is, all tenants."""
        return sorted(self.tenants.keys() & names) or sorted(self.tenants)

    def goals(self, names: Collection[str], where: float, way: str) -> dict[str, int]:
        """Choose where a run up or down leads these tenants."""
        found = self.alive(names)
        stand = [self.tenants[name].at for name in found]
        low, high = (max(stand), self.head) if way == "upgrade" else (1, min(stand))
        return dict.fromkeys(found, low + round(where * (high - low)))

    # -- the database -------------------------------------------------------------------------

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
        standing, registered = self.tenants.get(name), self.registered(name)
        if standing is None:
            assert (there, registered) == ([], None), f"{name} should be gone"
            return
        assert registered == ("active" if standing.is_active else "suspended"), name
        assert self.version(name) == standing.at, f"{name} is not where it should be"
        found = differences(
            self.database,
            name,
            self.world.goldens.at(self.kinds[: standing.at - 1]),
            has_parts=name in self.parts(),
            is_drifted=standing.is_drifted,
        )
        assert not found, f"{name} at r{standing.at}: {found}"

    def registered(self, name: str) -> str | None:
        """The state that the registry has of a tenant."""
        rows = self.database.fetch("SELECT state FROM tenantmig.tenant WHERE name = %s", [name])
        return rows[0][0] if rows else None

    def version(self, name: str) -> int:
        table = sql.Identifier(name, "alembic_version")
        query = sql.SQL("SELECT version_num FROM {}").format(table)
        rows = self.database.fetch(query.as_string())
        assert len(rows) == 1, f"{name} is at {rows}"
        return int(rows[0][0].removeprefix("r"))

    def parts(self) -> dict[str, str]:
        """The tenants in which a revision is half done, and its direction."""
        return dict(self.database.fetch("SELECT DISTINCT schema, direction FROM tenantmig.part"))

    def last_run(self) -> tuple[int, str]:
        run, state = self.database.fetch(LAST_RUN)[0]
        return run, state

    # -- runs ---------------------------------------------------------------------------------

    def move(self, run: Callable[[], RunReport], way: str, goals: dict[str, int]) -> None:
        """Make a run that leads tenants to their goals; a half done revision may be in the way."""
        is_blocked = self._is_blocked(way, goals)
        before = {name: self.tenants[name].at for name in goals}
        with self.changing(goals):
            report = run()
            self.forget_runs(goals)
            self._read_back(goals)
            if not is_blocked:
                assert report.is_complete, report
                assert {name: self.tenants[name].at for name in goals} == goals
        moved = {name: at for name, at in before.items() if self.tenants[name].at != at}
        if moved and report.run is not None:
            self.undoable = report.run, moved

    def _is_blocked(self, way: str, goals: dict[str, int]) -> bool:
        parts = self.parts()
        return any(parts.get(name, way) != way for name in goals)

    def _read_back(self, goals: dict[str, int]) -> None:
        """Learn where tenants are that were on their way to a revision."""
        for name, goal in goals.items():
            standing, found = self.tenants[name], self.version(name)
            low, high = sorted((standing.at, goal))
            assert low <= found <= high, f"{name} is at r{found}, not in r{low} to r{high}"
            standing.at = found

    def forget_runs(self, names: Collection[str]) -> None:
        """A run whose tenants were moved since is neither resumed nor undone here."""
        if self.undoable and self.undoable[1].keys() & set(names):
            self.undoable = None
        if self.cut_off and self.cut_off.goals.keys() & set(names):
            self.cut_off = None

    def ride_through(self, run: Run, k: int, mode: StopMode) -> RunReport:
        """Make a run during which the server restarts."""
        restarting, moment = threading.Lock(), Strike(k)

        def strike(ordinal: int, text: str, _: Connection) -> None:
            if moment.is_now(ordinal, text):
                with restarting:
                    self.world.server.restart(mode)

        with Proxy(self.world.server) as proxy:
            proxy.on_statement(strike)
            try:
                with suppress(TenantmigError, psycopg.OperationalError):  # while it planned
                    return run(self.fleet(proxy.url(self.database.name)))
            finally:
                self.world.strikes[mode] += moment.has_struck
                with restarting:
                    pass
            return run(self.fleet())

    def kill_run(
        self, arguments: Sequence[str], way: str, goals: dict[str, int], k: int, *, arrives: bool
    ) -> None:
        """Make a run up or down and kill it; then see where it left its tenants."""
        is_blocked, before = self._is_blocked(way, goals), self.last_run()[0]
        known = self.cut_off
        with self.changing(goals):
            code = self.run_killed(arguments, k, arrives=arrives)
            self.forget_runs(goals)
            self._read_back(goals)
            if code == 0:
                assert {name: self.tenants[name].at for name in goals} == goals
            assert code in ({0, 3, -signal.SIGKILL} if is_blocked else {0, -signal.SIGKILL})
        self.note_cut_off(before, way, goals, known)

    def note_cut_off(
        self, before: int, way: str, goals: dict[str, int], known: CutOff | None
    ) -> None:
        """Remember a run that a kill cut off: a new one, or one that was being resumed."""
        run, state = self.last_run()
        if run > before and state != "complete":
            self.cut_off = CutOff(run, way, goals)
        elif known is not None and known.goals is goals:
            query = "SELECT state FROM tenantmig.run WHERE id = %s"
            if self.database.fetch(query, [known.run]) != [("complete",)]:
                self.cut_off = known

    def run_killed(self, arguments: Sequence[str], k: int, *, arrives: bool) -> int:
        """Run a command and kill its processes on the way; return the exit code."""
        drivers: list[subprocess.Popen[str]] = []
        moment = Strike(k)

        def strike(ordinal: int, text: str, _: Connection) -> Fate | None:
            if moment.is_now(ordinal, text):
                with suppress(ProcessLookupError):
                    os.killpg(drivers[0].pid, signal.SIGKILL)
                return Fate.FORWARD if arrives else Fate.CUT
            return Fate.CUT if moment.has_struck else None

        with Proxy(self.world.server) as proxy:
            proxy.on_statement(strike)
            self.project.url = proxy.url(self.database.name)
            drivers.append(self.project.start(*arguments))
            result = self.project.finish(drivers[0], expect=None)
            assert "Traceback" not in result.err, result.err
            self._settle()
        self.world.strikes["kill"] += result.code < 0
        return result.code

    def _settle(self) -> None:
        """Wait until nothing of a killed driver is on the server: it goes by itself."""
        left = [line for line in self.database.leftovers(wait_s=15) if "INVALID" not in line]
        assert not left, left

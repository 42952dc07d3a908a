"""The driver is killed at every statement of a small rollout, one after the other (F1, P6).

k counts the statements of the control connection and of the tenants' own, as a proxy sees them. The
whole sweep is `make sweeps`; `make test-all` takes a sample.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.fixtures.command import Project
from tests.fixtures.database import fresh_database
from tests.fixtures.faults import BYSTANDER, COUNT, R1, UNCOUNT, project_on
from tests.fixtures.goldens import DdlLog
from tests.fixtures.history import write_history
from tests.fixtures.holds import CONCURRENT_R3, INDEX, group_of, state_of
from tests.fixtures.processes import wait_until
from tests.fixtures.promises import SECRET, Promises, Watch
from tests.fixtures.proxy import Connection, Fate, Proxy
from tests.fixtures.server import Server

PAIR = ("acme", 'q"uo.te d')
R2 = (
    "r2",
    f"op.execute('ALTER TABLE thing ADD size int')\n{COUNT}",
    f"op.execute('ALTER TABLE thing DROP size')\n{UNCOUNT}",
)
SAMPLE = 4
SHARES = 4  # an iteration waits more than it works
MOST = 400  # a rollout of two tenants has no more statements
RUNS = "SELECT id, state FROM tenantmig.run WHERE id > %s ORDER BY id DESC LIMIT 1"


@dataclass(frozen=True)
class Kill:
    """How a driver is killed at a statement that the proxy has in its hands."""

    name: str
    fate: Fate
    is_group: bool = True
    every: int = 1

    def strike(self, driver: int) -> None:
        """Kill it, and see it dead before the statement goes its way."""
        if self.is_group:
            os.killpg(driver, signal.SIGKILL)
        else:
            os.kill(driver, signal.SIGKILL)
        wait_until(lambda: state_of(driver) in {"Z", ""}, "SIGKILL does not kill")


BEFORE = Kill("before it is forwarded", Fate.CUT)
AFTER = Kill("once it is on its way", Fate.FORWARD)
ALONE = Kill("the driver alone, its workers orphaned", Fate.FORWARD, is_group=False, every=3)
every_kill = pytest.mark.parametrize("kill", [BEFORE, AFTER, ALONE], ids=lambda kill: kill.name)


@dataclass
class Sweep:
    """What the iterations share: a server, a database to be copied, and the promises."""

    server: Server
    template: str
    project: Project
    promises: Promises

    def kill_at(self, k: int, kill: Kill, *options: str) -> bool:
        """Kill a rollout at its k-th statement and hold the promises; False: it had fewer."""
        project = self.project
        with (
            fresh_database(self.server, self.template) as database,
            Proxy(self.server) as proxy,
        ):
            project.url = proxy.url(database.name, SECRET)
            with self.promises.watch(
                project,
                database,
                touched=PAIR,
                old="r1",
                new="r3",
                between=["r2"],
                building=[INDEX],
                converging=_go_on,
            ) as watch:
                struck = _strike_at(k, kill, proxy, watch, options)
                proxy.heal()
        return struck


def _strike_at(k: int, kill: Kill, proxy: Proxy, watch: Watch, options: Sequence[str]) -> bool:
    struck: list[str] = []
    known = threading.Event()

    def strike(ordinal: int, text: str, _: Connection) -> Fate:
        if ordinal == k:
            known.wait(10)
            struck.append(text)
            kill.strike(driver.pid)
        return kill.fate if struck else Fate.FORWARD

    proxy.on_statement(strike)
    driver = watch.start("upgrade", *options)
    known.set()
    result = watch.finish(driver)
    wait_until(lambda: group_of(driver.pid) == [], "a process of the dead driver lives on", 30)
    if struck:
        # it may have ended by itself when the statement was its last
        assert result.code in {-signal.SIGKILL, 0}, (result.out, result.err)
    else:
        assert result.code == 0, (result.out, result.err)
    return bool(struck)


def _go_on(watch: Watch) -> Sequence[str]:
    """What an operator would type: resume, where a run was begun and has not ended well."""
    database = watch.database
    rows = database.fetch(RUNS, [watch.last_run])
    return ("resume",) if rows and rows[0][1] != "complete" else ("upgrade",)


@pytest.fixture
def sweep(tmp_path: Path, victim: Server, promises: Promises) -> Iterator[Sweep]:
    with fresh_database(victim) as template:
        DdlLog(template)
        project = project_on(tmp_path, template)
        write_history(project.script_location, R1, R2, CONCURRENT_R3)
        project.settings('names = "wide"\nparallel = 1\n')
        project.run("onboard", *PAIR, BYSTANDER, "--to", "r1")
        template.execute("UPDATE tenantmig.tenant SET state = 'suspended' WHERE name = 'bystander'")
        yield Sweep(victim, template.name, project, promises)


@pytest.mark.full
@pytest.mark.parametrize("share", range(SHARES))
@every_kill
def test_a_kill_at_every_statement(sweep: Sweep, kill: Kill, share: int) -> None:
    """The shares together leave no statement out (of the last kind, none in three)."""
    k, kills = 1 + share * kill.every, 0
    while sweep.kill_at(k, kill):
        k, kills = k + SHARES * kill.every, kills + 1
        assert k < MOST
    assert kills > SAMPLE
    print(f"{kills} kills up to statement {k}: {kill.name}")  # noqa: T201


@every_kill
def test_a_kill_at_a_sample_of_statements(sweep: Sweep, kill: Kill) -> None:
    """Over two workers at once; the statements are counted first."""
    with fresh_database(sweep.server, sweep.template) as database, Proxy(sweep.server) as proxy:
        sweep.project.url = proxy.url(database.name, SECRET)
        sweep.project.run("upgrade", "-p", "2", "--canary", "0")
        count = proxy.statements
    ks = [1 + count * i // SAMPLE for i in range(SAMPLE)]
    struck = [sweep.kill_at(k, kill, "-p", "2", "--canary", "0") for k in ks]
    print(f"{len(ks)} of {count} statements: {kill.name}")  # noqa: T201
    assert sum(struck) >= SAMPLE - 1  # two workers: the last may not come in every run


def test_no_kill(sweep: Sweep) -> None:
    """The control: a rollout that nobody kills, counted."""
    assert not sweep.kill_at(MOST, BEFORE)

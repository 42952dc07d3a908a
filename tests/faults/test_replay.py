"""The replay engine under the faults: the same promises, where no script runs any more.

Two tenants are witnesses; what strikes the others strikes texts that hold whole transactions.
"""

from __future__ import annotations

import os
import signal
import threading
from pathlib import Path
from typing import Any

import pytest

from tenantmig import Fleet, RunReport, Selection
from tests.fixtures.command import Project
from tests.fixtures.database import Database, fresh_database
from tests.fixtures.dying import counters, tenants_at
from tests.fixtures.faults import BYSTANDER, COUNT, R1, TENANTS, UNCOUNT, project_on
from tests.fixtures.goldens import DdlLog
from tests.fixtures.history import write_history
from tests.fixtures.holds import group_of, state_of
from tests.fixtures.processes import wait_until
from tests.fixtures.promises import SECRET, Promises, Watch
from tests.fixtures.proxy import Connection, Fate, Proxy
from tests.fixtures.rollouts import reading
from tests.fixtures.server import Server, StopMode

R2 = (
    "r2",
    f"op.execute('ALTER TABLE thing ADD size int')\n{COUNT}",
    f"op.execute('ALTER TABLE thing DROP size')\n{UNCOUNT}",
)
R3 = (
    "r3",
    f"op.create_index('thing_size', 'thing', ['size'])\n{COUNT}",
    f"op.drop_index('thing_size', 'thing')\n{UNCOUNT}",
)
QUOTED = TENANTS[2].replace('"', '""')
TEXT = ".reached("  # stands in what the replay engine sends, and nowhere else
WAITING = """
    SELECT pid FROM pg_stat_activity
    WHERE wait_event_type = 'Lock' AND application_name LIKE 'tenantmig run %'
"""
SETTINGS = 'names = "wide"\nparallel = 1\ncanary = "0"\nmax_failures = "100%"\n'


@pytest.fixture
def fleet(tmp_path: Path, victim_database: Database) -> Project:
    """TENANTS at r1 of a history that can be replayed; one at a time, so that counts are known."""
    DdlLog(victim_database)
    project = project_on(tmp_path, victim_database)
    write_history(project.script_location, R1, R2, R3)
    project.settings(SETTINGS)
    project.run("onboard", *TENANTS, BYSTANDER, "--to", "r1")
    victim_database.execute(
        "UPDATE tenantmig.tenant SET state = 'suspended' WHERE name = 'bystander'"
    )
    return project


def watching(promises: Promises, fleet: Project, database: Database) -> Any:
    return promises.watch(fleet, database, touched=TENANTS, old="r1", new="r3", between=["r2"])


def engines(report: Any) -> list[str]:
    return sorted(tenant["engine"] for tenant in report["tenants"])


def assert_run_once(watch: Watch) -> None:
    """Each revision's DDL was committed exactly once in each tenant."""
    for schema, commands in watch.ddl().items():
        for tag in ("ALTER TABLE", "CREATE INDEX"):
            assert sum(tag in command for command in commands) == 1, (schema, commands)


def test_nothing_happens(fleet: Project, victim_database: Database, promises: Promises) -> None:
    """The control: two are replayed, and the promises hold."""
    with watching(promises, fleet, victim_database) as watch:
        report = watch.run("upgrade", expect=0).json
    assert engines(report) == ["alembic", "alembic", "replay", "replay"]
    assert report["obstacles"] == {}
    assert_run_once(watch)


READS = "op.get_bind().exec_driver_sql('SELECT n FROM counter').scalar()"
BLOCKED = "op.execute('ALTER TABLE thing ALTER name DROP DEFAULT')"
UNREPLAYED_FIRST = (  # up or down, only the first revision is not replayed, and the last one blocks
    (
        "r2",
        f"{READS}\nop.execute('CREATE TABLE two ()')\n{COUNT}",
        f"op.execute('DROP TABLE two')\n{BLOCKED}\n{UNCOUNT}",
    ),
    (
        "r3",
        f"op.execute('CREATE TABLE three ()')\n{COUNT}",
        f"op.execute('DROP TABLE three')\n{UNCOUNT}",
    ),
    (
        "r4",
        f"op.execute('CREATE TABLE four ()')\n{BLOCKED}\n{COUNT}",
        f"{READS}\nop.execute('DROP TABLE four')\n{UNCOUNT}",
    ),
)


@pytest.mark.parametrize("target", ["r4", "r1"])
def test_a_witness_that_is_cut_off_on_its_way_goes_on_where_it_stands(
    fleet: Project, victim_database: Database, target: str
) -> None:
    """It has committed more than the part of its path that comes before what is replayed."""
    fleet.settings(SETTINGS.replace("parallel = 1", "parallel = 2") + 'lock_timeout = "120s"\n')
    write_history(fleet.script_location, R1, *UNREPLAYED_FIRST)
    if target == "r1":
        fleet.run("upgrade")
    move = "upgrade" if target == "r4" else "downgrade"
    reports: list[RunReport] = []
    with Fleet.open(fleet.ini, database_url=fleet.url) as opened:
        to = Selection(is_all=True)
        run = threading.Thread(target=lambda: reports.append(getattr(opened, move)(target, to)))
        with reading(victim_database, f"{TENANTS[1]}.thing"):
            run.start()
            wait_until(lambda: len(victim_database.fetch(WAITING)) == 1, "nobody waits", 60)
            victim_database.execute(f"SELECT pg_terminate_backend(({WAITING}), 10000)")
        run.join(120)
    (report,) = reports
    assert report.is_complete, report
    assert report.counts == {f"{move}d": len(TENANTS)}
    found = {tenant.tenant: (tenant.attempts, tenant.engine) for tenant in report.tenants}
    assert found.pop(TENANTS[1]) == (2, "alembic")
    assert {attempts for attempts, _ in found.values()} == {1}
    assert "replay" in {engine for _, engine in found.values()}
    assert tenants_at(victim_database, target) == len(TENANTS)
    assert counters(victim_database) == {3 if target == "r4" else 0}


@pytest.mark.parametrize(
    "fate", [Fate.CUT, Fate.RESET, Fate.LOSE_ANSWER, Fate.SILENCE], ids=lambda fate: fate.name
)
def test_a_text_or_its_answer_is_lost(
    fleet: Project, victim: Server, victim_database: Database, promises: Promises, fate: Fate
) -> None:
    """It is not known whether its transactions arrived: read under the lock, never run again."""
    fleet.settings(SETTINGS + 'statement_timeout = "1s"\n')
    with Proxy(victim) as proxy, watching(promises, fleet, victim_database) as watch:
        fleet.url = proxy.url(victim_database.name, SECRET)
        proxy.at_statement(TEXT, fate)
        report = watch.run("upgrade", expect=0).json
        assert [found for found, _ in proxy.fired] == [fate]
        proxy.heal()
    assert report["counts"] == {"upgraded": len(TENANTS)}
    assert engines(report) == ["alembic", "alembic", "alembic", "replay"]
    assert sorted(row["attempts"] for row in report["tenants"]) == [1, 1, 1, 2]
    assert_run_once(watch)


def test_a_backend_is_killed_in_the_middle_of_a_text(
    fleet: Project, victim_database: Database, promises: Promises
) -> None:
    fleet.settings(SETTINGS + 'lock_timeout = "60s"\n')
    with watching(promises, fleet, victim_database) as watch:
        with reading(victim_database, f'"{TENANTS[3]}".thing'):
            driver = watch.start("upgrade")
            wait_until(lambda: len(victim_database.fetch(WAITING)) == 1, "no text waits", 60)
            victim_database.execute(f"SELECT pg_terminate_backend(({WAITING}), 10000)")
        report = watch.finish(driver, expect=0).json
    assert report["counts"] == {"upgraded": len(TENANTS)}
    assert engines(report) == ["alembic", "alembic", "alembic", "replay"]
    assert_run_once(watch)


@pytest.mark.parametrize(
    ("part", "k"),
    [
        ("relnatts", 2),  # by a witness, in its transaction
        ("relnatts", 7),  # before the texts; each witness looked three times
        ("indpred IS NULL", 5),  # after the texts; each witness looked twice
    ],
)
def test_a_look_at_the_catalogs_is_cut_off(
    fleet: Project, victim: Server, victim_database: Database, promises: Promises, part: str, k: int
) -> None:
    with Proxy(victim) as proxy, watching(promises, fleet, victim_database) as watch:
        fleet.url = proxy.url(victim_database.name, SECRET)
        proxy.at_statement(part, Fate.RESET, k=k)
        report = watch.run("upgrade", expect=0).json
        assert [fate for fate, _ in proxy.fired] == [Fate.RESET]
    assert report["counts"] == {"upgraded": len(TENANTS)}
    assert_run_once(watch)


def test_a_look_at_the_catalogs_never_ends(
    fleet: Project, victim: Server, victim_database: Database, promises: Promises
) -> None:
    """Whoever looks waits for its own limit; the run heeds its deadline meanwhile."""
    fleet.settings(SETTINGS + 'statement_timeout = "120s"\n')
    with Proxy(victim) as proxy, watching(promises, fleet, victim_database) as watch:
        fleet.url = proxy.url(victim_database.name, SECRET)
        proxy.at_statement("relnatts", Fate.SWALLOW, k=7)  # before the texts
        driver = watch.start("upgrade", "--deadline", "30s")
        wait_until(lambda: driver.poll() is not None, "it waits for the statement's limit", 100)
        report = watch.finish(driver, expect=3).json
        assert [fate for fate, _ in proxy.fired] == [Fate.SWALLOW]
        proxy.heal()
    assert "deadline" in report["reason"]


@pytest.mark.parametrize("mode", ["fast", "immediate"])
def test_the_server_restarts_at_a_text(
    fleet: Project, victim: Server, victim_database: Database, promises: Promises, mode: StopMode
) -> None:
    with Proxy(victim) as proxy, watching(promises, fleet, victim_database) as watch:
        fleet.url = proxy.url(victim_database.name, SECRET)
        struck: list[str] = []

        def strike(_: int, text: str, __: Connection) -> None:
            if TEXT in text and not struck:
                struck.append(text)
                victim.restart(mode)

        proxy.on_statement(strike)
        report = watch.run("upgrade", expect=0).json
        assert struck
    assert report["counts"] == {"upgraded": len(TENANTS)}
    assert_run_once(watch)


def test_a_reader_holds_a_replayed_table(
    fleet: Project, victim_database: Database, promises: Promises
) -> None:
    """The text waits a share of the lock timeout; alembic tries again; then it is deferred."""
    fleet.settings(SETTINGS + 'attempts = 2\nlock_timeout = "400ms"\n')
    with watching(promises, fleet, victim_database) as watch:
        with reading(victim_database, f'"{TENANTS[3]}".thing'):
            report = watch.run("upgrade", expect=3).json
        assert report["counts"] == {"upgraded": 3, "failed": 1}
        (locked,) = (row for row in report["tenants"] if row["outcome"] == "failed")
        assert (locked["tenant"], locked["sqlstate"]) == (TENANTS[3], "55P03")
        assert watch.run("resume", expect=0).json["counts"] == {"upgraded": 4}
    assert_run_once(watch)


def test_somebody_moves_a_tenant_before_its_text_arrives(
    fleet: Project, victim: Server, victim_database: Database, promises: Promises
) -> None:
    """The version row is another: the server refuses the COMMIT, and alembic goes on from there.

    Nothing else would refuse it: the revision can be run twice, and counts.
    """
    write_history(fleet.script_location, R1, ("r2", COUNT, UNCOUNT), ("r3", "pass"))
    with Proxy(victim) as proxy, watching(promises, fleet, victim_database) as watch:
        by_hand = Project(fleet.folder, fleet.url, fleet.script_location)
        fleet.url = proxy.url(victim_database.name, SECRET)
        moved: list[str] = []

        def move(_: int, text: str, __: Connection) -> None:
            if TEXT in text and not moved:
                moved.append(text)
                by_hand.alembic("-x", f"tenant={TENANTS[2]}", "upgrade", "r2")

        proxy.on_statement(move)
        report = watch.run("upgrade", expect=0).json
        assert QUOTED in moved[0]
        assert victim_database.fetch(f'SELECT n FROM "{QUOTED}".counter') == [(1,)]
    assert report["counts"] == {"upgraded": 4}
    assert engines(report) == ["alembic", "alembic", "alembic", "replay"]


def kill_at(
    nth: int,
    fate: Fate,
    template: Database,
    fleet: Project,
    victim: Server,
    promises: Promises,
    holding: str = "",
) -> str | None:
    """Kill a rollout at the n-th statement from its first text on; return the statement, if any.

    `holding`: only statements with these words are counted.
    """
    with fresh_database(victim, template.name) as database, Proxy(victim) as proxy:
        fleet.url = proxy.url(database.name, SECRET)
        with promises.watch(
            fleet,
            database,
            touched=TENANTS,
            old="r1",
            new="r3",
            between=["r2"],
            converging=lambda watch: ("resume",) if _is_open(watch) else ("upgrade",),
        ) as watch:
            sent: list[str] = []
            struck: list[str] = []
            known = threading.Event()

            def strike(_: int, text: str, __: Connection) -> Fate:
                if (sent or TEXT in text) and holding in text:
                    sent.append(text)
                if len(sent) == nth and not struck:
                    known.wait(10)
                    struck.append(text)
                    os.killpg(driver.pid, signal.SIGKILL)
                    wait_until(lambda: state_of(driver.pid) in {"Z", ""}, "SIGKILL does not kill")
                return fate if struck else Fate.FORWARD

            proxy.on_statement(strike)
            driver = watch.start("upgrade")
            known.set()
            assert watch.finish(driver).code in {-signal.SIGKILL, 0}
            wait_until(lambda: group_of(driver.pid) == [], "a process lives on", 30)
            proxy.heal()
    return struck[0] if struck else None


def _is_open(watch: Watch) -> bool:
    rows = watch.database.fetch(
        "SELECT state FROM tenantmig.run WHERE id > %s ORDER BY id DESC LIMIT 1", [watch.last_run]
    )
    return bool(rows) and rows[0][0] != "complete"


EACH = pytest.mark.full


@pytest.mark.parametrize(
    ("fate", "first", "step"),
    [
        pytest.param(Fate.FORWARD, 1, 4, id="behind every fourth"),
        pytest.param(Fate.CUT, 3, 4, id="before every fourth"),
        pytest.param(Fate.FORWARD, 1, 1, id="behind each", marks=EACH),
        pytest.param(Fate.CUT, 1, 1, id="before each", marks=EACH),
    ],
)
def test_a_kill_around_every_text(
    fleet: Project,
    victim: Server,
    victim_database: Database,
    promises: Promises,
    fate: Fate,
    first: int,
    step: int,
) -> None:
    """The texts, the looks at the catalogs around them, and the ledger's words after them.

    The ledger has a thread and a connection of its own, so that the n-th of all statements may be
    another one in the next rollout; the texts are counted apart.
    """

    def sweep(holding: str, nth: int, step: int) -> int:
        struck = 0
        while kill_at(nth, fate, victim_database, fleet, victim, promises, holding):
            struck += 1
            nth += step
        return struck

    assert sweep(TEXT, 1, 1) == 2
    assert sweep("", first, step) > 4 // step

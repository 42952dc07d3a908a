"""One backend dies: its tenant is tried again, and nothing else is lost (F5, F6)."""

from __future__ import annotations

import os
import signal
import threading
from contextlib import suppress

import pytest

from tests.fixtures.command import Project
from tests.fixtures.database import Database
from tests.fixtures.faults import BYSTANDER, TENANTS, pausing, sleepers
from tests.fixtures.promises import SECRET, Promises
from tests.fixtures.proxy import Connection, Proxy
from tests.fixtures.server import Server

# Statements whose session is ended just before the first of each arrives: those of an attempt on a
# tenant, in their order, then those of the control connection while the run goes on.
STATEMENTS = [
    "DISCARD ALL",
    "pg_try_advisory_lock(hashtextextended('tenantmig.tenant",
    "SET attempts =",
    "ALTER TABLE thing",
    "UPDATE counter",
    "acme.alembic_version SET",
    "SET to_revision =",
    "CREATE INDEX",
    "pg_advisory_unlock_all",
    "SET outcome = CASE",
    "SET state = $",
]


def test_nothing_happens(fleet: Project, victim_database: Database, promises: Promises) -> None:
    """A control: what the oracles say of a rollout that nothing hurts."""
    with promises.watch(fleet, victim_database, touched=TENANTS, old="r1", new="r3") as watch:
        report = watch.run("upgrade", expect=0).json
    assert report["counts"] == {"upgraded": len(TENANTS)}
    assert all(watch.ddl().values())


def test_a_downgrade_of_one_tenant(
    fleet: Project, victim_database: Database, promises: Promises
) -> None:
    """The control of a selection: who is not selected is outside, and the oracles hold it so."""
    command = ("downgrade", "base", "-t", "acme", "--yes")
    with promises.watch(
        fleet, victim_database, touched=["acme"], old="r1", new="base", converging=command
    ) as watch:
        watch.run(*command, expect=0)
    assert victim_database.fetch(f"SELECT version_num FROM {BYSTANDER}.alembic_version") == [
        ("r1",)
    ]


@pytest.mark.parametrize("count", [1, 2])
def test_a_backend_is_killed_in_the_middle_of_a_revision(
    fleet: Project, victim: Server, victim_database: Database, promises: Promises, count: int
) -> None:
    """The server ends every session and recovers; the run rides through."""
    before = len(victim.log_text())
    with promises.watch(
        fleet, victim_database, touched=TENANTS, old="r1", new="r3", between=["r2"]
    ) as watch:
        with pausing(victim_database):
            driver = watch.start("upgrade")
            pids = sleepers(victim_database)
        os.kill(pids[0], signal.SIGKILL)
        for pid in pids[1:count]:
            with suppress(ProcessLookupError):  # the server ends the others by itself, and quickly
                os.kill(pid, signal.SIGKILL)
        report = watch.finish(driver, expect=0).json
    assert "was terminated by signal 9" in victim.log_text()[before:]
    assert report["counts"] == {"upgraded": len(TENANTS)}
    assert sum(row["attempts"] > 1 for row in report["tenants"]) >= 2


@pytest.mark.parametrize("part", STATEMENTS)
def test_a_session_is_terminated_at_a_statement(
    fleet: Project, victim: Server, victim_database: Database, promises: Promises, part: str
) -> None:
    before = len(victim.log_text())
    ended: list[int] = []
    lock = threading.Lock()

    def terminate(_: int, text: str, connection: Connection) -> None:
        with lock:
            if part not in text or ended:
                return
            ended.append(connection.backend_pid)
        victim.execute_admin(f"SELECT pg_terminate_backend({ended[0]}, 10000)")

    with (
        Proxy(victim) as proxy,
        promises.watch(fleet, victim_database, touched=TENANTS, old="r1", new="r3") as watch,
    ):
        fleet.url = proxy.url(victim_database.name, SECRET)
        proxy.on_statement(terminate)
        report = watch.run("upgrade", expect=0).json
    lines = [line for line in victim.log_text()[before:].splitlines() if " 57P01 FATAL" in line]
    assert {f"[{ended[0]}] tenantmig" in line for line in lines} == {True}
    assert report["counts"] == {"upgraded": len(TENANTS)}

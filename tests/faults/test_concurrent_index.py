"""CREATE INDEX CONCURRENTLY behind an old snapshot, and killed in its middle (F14)."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.fixtures.command import Project
from tests.fixtures.database import INVALID_INDEXES, Database
from tests.fixtures.faults import TENANTS
from tests.fixtures.holds import CONCURRENT_R3, HELD_R2, INDEX, builders, fleet_of, old_snapshot
from tests.fixtures.processes import wait_until
from tests.fixtures.promises import Promises, Watch
from tests.fixtures.server import Server

AT_ONCE = ("--canary", "0")


@pytest.fixture
def fleet(tmp_path: Path, victim_database: Database) -> Project:
    """A fleet at r1; r3 builds an index concurrently."""
    return fleet_of(tmp_path, victim_database, HELD_R2, CONCURRENT_R3)


def invalid(database: Database) -> int:
    """How many INVALID indexes there are."""
    return len(database.fetch(INVALID_INDEXES))


def assert_valid(watch: Watch) -> None:
    """Every tenant has the index, and none is INVALID."""
    assert invalid(watch.database) == 0
    built = "SELECT count(*) FROM pg_indexes WHERE indexname = %s"
    assert watch.database.fetch(built, [INDEX]) == [(len(TENANTS),)]


def lock_timeouts(server: Server, since: int) -> int:
    """How often a build gave up waiting for the reader."""
    lines = server.log_text()[since:].splitlines()
    return sum(" 55P03 ERROR" in line and "tenantmig" in line for line in lines)


def test_the_reader_of_another_tenant_stays(
    fleet: Project, victim: Server, victim_database: Database, promises: Promises
) -> None:
    """Each build gives up after the lock timeout and leaves no INVALID index behind."""
    before = len(victim.log_text())
    with promises.watch(
        fleet,
        victim_database,
        touched=TENANTS,
        old="r1",
        new="r3",
        between=["r2"],
        building=[INDEX],
        converging=["resume"],
    ) as watch:
        options = (*AT_ONCE, "--lock-timeout", "500ms", "--attempts", "1")
        with old_snapshot(victim_database):
            report = watch.run("upgrade", *options, expect=3).json
            assert lock_timeouts(victim, before) >= len(TENANTS)
        assert {row["sqlstate"] for row in report["tenants"]} == {"55P03"}
        assert {row["to"] for row in report["tenants"]} == {"r2"}
        assert invalid(victim_database) == 0
    assert_valid(watch)


def test_the_reader_of_another_tenant_goes_in_time(
    fleet: Project, victim: Server, victim_database: Database, promises: Promises
) -> None:
    """The tenants are put behind the others, and there the index is built."""
    before = len(victim.log_text())
    with promises.watch(fleet, victim_database, touched=TENANTS, old="r1", new="r3") as watch:
        options = (*AT_ONCE, "--lock-timeout", "500ms", "--attempts", "2")
        with old_snapshot(victim_database):
            driver = watch.start("upgrade", *options)
            wait_until(lambda: lock_timeouts(victim, before) >= 3, "no lock timeout", 60)
        report = watch.finish(driver, expect=0).json
    assert report["counts"] == {"upgraded": len(TENANTS)}
    assert max(row["attempts"] for row in report["tenants"]) > 1
    assert_valid(watch)


def kill_backends(server: Server, pids: list[int]) -> None:
    """The server loses its sessions, recovers, and an INVALID index may be left."""
    os.kill(pids[0], signal.SIGKILL)


def terminate_backends(server: Server, pids: list[int]) -> None:
    """An administrator ends the sessions."""
    for pid in pids:
        server.execute_admin(f"SELECT pg_terminate_backend({pid}, 10000)")


@pytest.mark.parametrize("strike", [kill_backends, terminate_backends])
def test_the_build_is_killed_on_the_server(
    fleet: Project,
    victim: Server,
    victim_database: Database,
    promises: Promises,
    strike: Callable[[Server, list[int]], None],
) -> None:
    """The run finds what was left, drops it, and builds again."""
    before = len(victim.log_text())
    with promises.watch(fleet, victim_database, touched=TENANTS, old="r1", new="r3") as watch:
        with old_snapshot(victim_database):
            driver = watch.start("upgrade", *AT_ONCE, "--lock-timeout", "60s")
            pids = builders(victim_database, 2)
            assert invalid(victim_database) == 2
            strike(victim, pids)
            proofs = ("was terminated by signal 9", " 57P01 FATAL")
            wait_until(
                lambda: any(proof in victim.log_text()[before:] for proof in proofs),
                "nothing died",
                30,
            )
        report = watch.finish(driver, expect=0).json
    assert report["counts"] == {"upgraded": len(TENANTS)}
    assert sum(row["attempts"] > 1 for row in report["tenants"]) >= 2
    assert_valid(watch)


@pytest.mark.parametrize("is_group", [True, False])
def test_the_driver_is_killed_while_an_index_is_built(
    fleet: Project, victim_database: Database, promises: Promises, is_group: bool
) -> None:
    """`resume` finds an INVALID index that the ledger accounts for, and builds it anew."""
    with promises.watch(
        fleet,
        victim_database,
        touched=TENANTS,
        old="r1",
        new="r3",
        between=["r2"],
        building=[INDEX],
        converging=["resume"],
    ) as watch:
        with old_snapshot(victim_database):
            driver = watch.start("upgrade", *AT_ONCE, "--lock-timeout", "60s")
            pids = builders(victim_database, 2)
            if is_group:
                os.killpg(driver.pid, signal.SIGKILL)
            else:
                driver.kill()
            watch.finish(driver, expect=-signal.SIGKILL)
            gone = "SELECT FROM pg_stat_activity WHERE pid = ANY(%s)"
            wait_until(lambda: not victim_database.fetch(gone, [pids]), "the build goes on", 30)
        assert invalid(victim_database) == 2
        parts = victim_database.fetch("SELECT DISTINCT schema FROM tenantmig.part")
        assert len(parts) == 2
    assert_valid(watch)

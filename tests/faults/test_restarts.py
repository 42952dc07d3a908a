"""The server restarts in the middle: the run waits for it and goes on (F7, F33)."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.fixtures.command import Project
from tests.fixtures.database import Database
from tests.fixtures.faults import BYSTANDER, TENANTS, pausing, project_on, sleepers
from tests.fixtures.promises import ABSENT, Promises, Watch
from tests.fixtures.server import Server, StopMode

MODES: list[StopMode] = ["fast", "immediate"]
PROOF = {"fast": " 57P01 FATAL", "immediate": "received immediate shutdown request"}
DOWN_S = [0, 8]  # a restart, and one that takes about as long as a minor upgrade


def restart(server: Server, mode: StopMode, down_s: float) -> str:
    """Restart a server, and return what it said of that."""
    before = len(server.log_text())
    server.stop(mode)
    time.sleep(down_s)
    server.start()
    said = server.log_text()[before:]
    assert PROOF[mode] in said
    return said


@pytest.mark.parametrize("down_s", DOWN_S)
@pytest.mark.parametrize("mode", MODES)
def test_an_upgrade_rides_through_a_restart(
    fleet: Project,
    victim: Server,
    victim_database: Database,
    promises: Promises,
    mode: StopMode,
    down_s: float,
) -> None:
    with promises.watch(
        fleet, victim_database, touched=TENANTS, old="r1", new="r3", between=["r2"]
    ) as watch:
        with pausing(victim_database):
            driver = watch.start("upgrade")
            pids = sleepers(victim_database)
        said = restart(victim, mode, down_s)
        report = watch.finish(driver, expect=0).json
    if mode == "fast":
        assert all(f"[{pid}] tenantmig" in said for pid in pids)
    assert report["counts"] == {"upgraded": len(TENANTS)}
    assert sum(row["attempts"] > 1 for row in report["tenants"]) >= 2


@pytest.mark.parametrize("mode", MODES)
def test_two_restarts_in_one_upgrade(
    fleet: Project, victim: Server, victim_database: Database, promises: Promises, mode: StopMode
) -> None:
    with promises.watch(
        fleet, victim_database, touched=TENANTS, old="r1", new="r3", between=["r2"]
    ) as watch:
        with pausing(victim_database):
            driver = watch.start("upgrade")
            first = sleepers(victim_database)
            restart(victim, mode, 0)
            second = sleepers(victim_database)
        assert not set(first) & set(second)
        restart(victim, mode, 0)
        report = watch.finish(driver, expect=0).json
    assert report["counts"] == {"upgraded": len(TENANTS)}


@pytest.mark.parametrize("down_s", DOWN_S)
@pytest.mark.parametrize("mode", MODES)
def test_an_onboarding_is_whole_or_not_at_all(
    tmp_path: Path,
    victim: Server,
    victim_database: Database,
    promises: Promises,
    mode: StopMode,
    down_s: float,
) -> None:
    project = project_on(tmp_path, victim_database)
    project.run("onboard", BYSTANDER)

    def the_rest(watch: Watch) -> Sequence[str]:
        left = [name for name, version in watch.versions().items() if version == ABSENT]
        return ("onboard", *left) if left else ("upgrade",)

    with promises.watch(
        project, victim_database, touched=TENANTS, old=ABSENT, new="r3", converging=the_rest
    ) as watch:
        with pausing(victim_database):
            driver = watch.start("onboard", *TENANTS)
            sleepers(victim_database)
        restart(victim, mode, down_s)
        report = watch.finish(driver, expect=0).json
    assert report["counts"] == {"onboarded": len(TENANTS)}

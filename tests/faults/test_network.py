"""The network between the driver and the server is cut, or goes quiet without a word (F11)."""

from __future__ import annotations

import pytest

from tests.fixtures.command import Project
from tests.fixtures.database import Database
from tests.fixtures.faults import TENANTS
from tests.fixtures.processes import wait_until
from tests.fixtures.promises import SECRET, Promises
from tests.fixtures.proxy import Connection, Fate, Proxy
from tests.fixtures.server import Server

QUICK = """
names = "wide"
canary = "0"
max_failures = "100%"
parallel = 2
lock_timeout = "1s"
statement_timeout = "2s"
idle_in_transaction_timeout = "3s"
connect_timeout = "2s"
tenant_lock_timeout = "2s"
reconnect_timeout = "10s"
"""
TENANT_STATEMENTS = ["DISCARD ALL", "ALTER TABLE thing", "UPDATE counter", "SET to_revision ="]
CONTROL_STATEMENTS = ["SET outcome = CASE", "SET state = $"]
# Every wait is bounded by the settings above, and each tenant is tried at most eight times.
DEADLINE_S = 60


@pytest.mark.parametrize("part", TENANT_STATEMENTS + CONTROL_STATEMENTS)
def test_a_connection_is_reset(
    fleet: Project, victim: Server, victim_database: Database, promises: Promises, part: str
) -> None:
    with (
        Proxy(victim) as proxy,
        promises.watch(
            fleet, victim_database, touched=TENANTS, old="r1", new="r3", between=["r2"]
        ) as watch,
    ):
        fleet.url = proxy.url(victim_database.name, SECRET)
        proxy.at_statement(part, Fate.RESET)
        report = watch.run("upgrade", expect=0).json
        assert [fate for fate, _ in proxy.fired] == [Fate.RESET]
    assert report["counts"] == {"upgraded": len(TENANTS)}


@pytest.mark.parametrize("part", ["UPDATE counter", "SET outcome = CASE", "COMMIT"])
@pytest.mark.parametrize("fate", [Fate.SWALLOW, Fate.SILENCE])
def test_a_connection_goes_quiet(
    fleet: Project,
    victim: Server,
    victim_database: Database,
    promises: Promises,
    fate: Fate,
    part: str,
) -> None:
    """Both ends stay open and TCP is acknowledged: only the driver's own deadline can end it."""
    fleet.settings(QUICK)
    with (
        Proxy(victim) as proxy,
        promises.watch(
            fleet,
            victim_database,
            touched=TENANTS,
            old="r1",
            new="r3",
            between=["r2"],
            deadline_s=DEADLINE_S,
        ) as watch,
    ):
        fleet.url = proxy.url(victim_database.name, SECRET)
        if part == "COMMIT":
            proxy.at_commit(fate, after="ALTER TABLE thing")
        else:
            proxy.at_statement(part, fate)
        driver = watch.start("upgrade")
        wait_until(lambda: bool(proxy.fired), "the fault did not fire", 60)
        report = watch.finish(driver, expect={0, 3}).json
        assert [fired for fired, _ in proxy.fired] == [fate]
        proxy.heal()
    # the server ends the old session after its own limits, and the tenant is tried again then
    assert report["counts"].get("upgraded", 0) >= len(TENANTS) - 1
    assert set(report["counts"]) <= {"upgraded", "failed", "in_doubt"}


@pytest.mark.parametrize("fate", [Fate.SWALLOW, Fate.RESET])
def test_the_network_is_gone_from_the_middle_of_a_run_on(
    fleet: Project, victim: Server, victim_database: Database, promises: Promises, fate: Fate
) -> None:
    """Nothing can be reported to the ledger either: the command ends, and says it is not done."""
    fleet.settings(QUICK)
    is_gone: list[str] = []

    def cut_off(_: int, text: str, __: Connection) -> Fate:
        if "ALTER TABLE thing" in text:
            is_gone.append(text)
        return fate if is_gone else Fate.FORWARD

    with (
        Proxy(victim) as proxy,
        promises.watch(
            fleet,
            victim_database,
            touched=TENANTS,
            old="r1",
            new="r3",
            between=["r2"],
            deadline_s=3 * DEADLINE_S,  # the ledger is waited for as well
        ) as watch,
    ):
        fleet.url = proxy.url(victim_database.name, SECRET)
        proxy.on_statement(cut_off)
        driver = watch.start("upgrade")
        wait_until(lambda: bool(is_gone), "the fault did not fire", 60)
        watch.finish(driver, expect=3)
        assert len(proxy.fired) > 2
        proxy.heal()
        assert set(watch.versions().values()) == {"r1"}

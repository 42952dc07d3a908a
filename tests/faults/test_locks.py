"""A tenant is busy: it waits its turn, its traffic does not wait for us (F12, F13, P7)."""

from __future__ import annotations

import threading

from psycopg import sql

from tests.fixtures.command import Project
from tests.fixtures.database import Database
from tests.fixtures.faults import R1, TENANTS
from tests.fixtures.history import write_history
from tests.fixtures.processes import wait_until
from tests.fixtures.promises import Promises, Watch
from tests.fixtures.server import Server
from tests.fixtures.traffic import traffic_on

BUSY = "beta"
OTHERS = tuple(name for name in TENANTS if name != BUSY)
LOCK_TIMEOUT_S = 1.0
EPSILON_S = 2.0  # two cores that others use too
WAITING = """
    SELECT count(*) FROM pg_stat_activity
    WHERE datname = current_database() AND application_name LIKE 'tenantmig%'
      AND wait_event_type = 'Lock'
"""


def lock_timeouts(server: Server, since: int) -> int:
    """How often a session of the tool gave up waiting for a lock."""
    lines = server.log_text()[since:].splitlines()
    return sum(" 55P03 ERROR" in line and "tenantmig" in line for line in lines)


def test_a_long_reader_costs_its_own_tenant_only(
    fleet: Project, victim: Server, victim_database: Database, promises: Promises
) -> None:
    """The tenant is deferred and fails in the end; its traffic queues for one lock timeout."""
    before = len(victim.log_text())
    reader = victim_database.connect()
    reader.autocommit = False
    with promises.watch(fleet, victim_database, touched=TENANTS, old="r1", new="r3") as watch:
        with traffic_on(victim_database, TENANTS, "thing") as traffic:
            reader.execute(f"SELECT count(*) FROM {BUSY}.thing")
            options = ("--lock-timeout", f"{LOCK_TIMEOUT_S:g}s", "--attempts", "2")
            report = watch.run("upgrade", *options, expect=3).json
        reader.rollback()
        rows = {row["tenant"]: row for row in report["tenants"]}
        assert rows[BUSY]["sqlstate"] == "55P03"
        assert (rows[BUSY]["outcome"], rows[BUSY]["to"]) == ("failed", "r1")
        assert rows[BUSY]["attempts"] > 2  # the two before it was deferred, and those after
        assert {rows[name]["outcome"] for name in OTHERS} == {"upgraded"}
    assert lock_timeouts(victim, before) == rows[BUSY]["attempts"]
    assert traffic.errors == []
    assert min(traffic.transactions.values()) > 0
    assert traffic.longest_wait_s < LOCK_TIMEOUT_S + EPSILON_S


def test_a_reader_that_ends_in_time_is_waited_for_behind_the_others(
    fleet: Project, victim: Server, victim_database: Database, promises: Promises
) -> None:
    """It lets go once the tenant has been deferred and all others are done."""
    before = len(victim.log_text())
    reader = victim_database.connect()
    reader.autocommit = False
    with promises.watch(fleet, victim_database, touched=TENANTS, old="r1", new="r3") as watch:
        reader.execute(f"SELECT count(*) FROM {BUSY}.thing")
        options = ("--lock-timeout", f"{LOCK_TIMEOUT_S:g}s", "--attempts", "2")
        driver = watch.start("upgrade", *options)
        wait_until(lambda: lock_timeouts(victim, before) == 2, "not deferred", 60)
        wait_until(lambda: _are_done(watch), "the others are not done", 60)
        reader.rollback()
        report = watch.finish(driver, expect=0).json
    rows = {row["tenant"]: row for row in report["tenants"]}
    assert report["counts"] == {"upgraded": len(TENANTS)}
    assert rows[BUSY]["attempts"] > 2
    assert {rows[name]["attempts"] for name in OTHERS} == {1}


def _are_done(watch: Watch) -> bool:
    return all(watch.versions()[name] == "r3" for name in OTHERS)


def test_a_deadlock_with_the_application_is_tried_again(
    fleet: Project, victim: Server, victim_database: Database, promises: Promises
) -> None:
    """The revision alters a table, then updates another; the application takes them crosswise."""
    before = len(victim.log_text())
    application = victim_database.connect(options="-c deadlock_timeout=60s")  # we are the victim
    application.autocommit = False
    with promises.watch(fleet, victim_database, touched=TENANTS, old="r1", new="r3") as watch:
        application.execute(f"SELECT n FROM {BUSY}.counter FOR UPDATE")
        driver = watch.start("upgrade", "--lock-timeout", "30s")
        wait_until(lambda: victim_database.fetch(WAITING) == [(1,)], "we do not wait", 60)

        def cross() -> None:
            application.execute(f"INSERT INTO {BUSY}.thing (id) VALUES (1)")
            application.commit()

        thread = threading.Thread(target=cross)
        thread.start()
        thread.join(60)
        assert not thread.is_alive()
        report = watch.finish(driver, expect=0).json
    said = victim.log_text()[before:].splitlines()
    assert [" tenantmig" in line for line in said if " 40P01 ERROR" in line] == [True]
    rows = {row["tenant"]: row["attempts"] for row in report["tenants"]}
    assert rows == dict.fromkeys(OTHERS, 1) | {BUSY: 2}
    assert victim_database.fetch(f"SELECT count(*) FROM {BUSY}.thing") == [(1,)]


def test_a_tenant_whose_data_refuse_stops_no_other(
    fleet: Project, victim: Server, victim_database: Database, promises: Promises
) -> None:
    """P7: it fails once, at the revision that its data refuse, and stays at the one before."""
    before = len(victim.log_text())
    bad = sql.Identifier(TENANTS[-1], "thing")
    check = "op.execute(\"ALTER TABLE thing ADD CONSTRAINT named CHECK (name <> '')\")"
    count = "op.execute('UPDATE counter SET n = n + 1')"
    r2 = ("r2", "op.execute('ALTER TABLE thing ADD size int')")
    write_history(fleet.script_location, R1, r2, ("r3", f"{count}\n{check}"))
    insert = sql.SQL("INSERT INTO {} (name) VALUES ('')").format(bad)
    victim_database.execute(insert.as_string())
    with promises.watch(
        fleet, victim_database, touched=TENANTS, old="r1", new="r3", between=["r2"]
    ) as watch:
        report = watch.run("upgrade", "--engine", "auto", expect=3).json
        victim_database.execute(sql.SQL("DELETE FROM {}").format(bad).as_string())
    assert report["counts"] == {"upgraded": len(TENANTS) - 1, "failed": 1}
    failed = next(row for row in report["tenants"] if row["tenant"] == TENANTS[-1])
    assert (failed["sqlstate"], failed["to"]) == ("23514", "r2")
    assert (failed["engine"], failed["attempts"]) == ("alembic", 2)  # by replay first
    lines = victim.log_text()[before:].splitlines()
    assert sum(" 23514 ERROR" in line for line in lines) == 2

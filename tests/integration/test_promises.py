"""The oracles themselves: each complains of what it is there for, and of nothing else."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from psycopg import sql

from tests.fixtures.command import Project
from tests.fixtures.database import Database
from tests.fixtures.faults import BYSTANDER, TENANTS, fleet_on, project_on
from tests.fixtures.promises import ABSENT, SECRET, Promises
from tests.fixtures.traffic import traffic_on

ACME = "WHERE tenant = 'acme' AND run = (SELECT max(run) FROM tenantmig.run_tenant)"
# What is done, the oracle that must complain, and how it is undone, if it can be.
CRIMES = [
    ("ALTER TABLE acme.thing ADD stray int", "O1 acme", "ALTER TABLE acme.thing DROP stray"),
    ("UPDATE acme.counter SET n = n + 1", "O1 acme", "UPDATE acme.counter SET n = n - 1"),
    (
        "UPDATE acme.alembic_version SET version_num = 'r2'",
        "O1 acme",
        "UPDATE acme.alembic_version SET version_num = 'r3'",
    ),
    (
        "UPDATE tenantmig.tenant SET state = 'onboarding' WHERE name = 'acme'",
        "O1 acme",
        "UPDATE tenantmig.tenant SET state = 'active' WHERE name = 'acme'",
    ),
    ("CREATE ROLE canary_of_o3", "O3", "DROP ROLE canary_of_o3"),
    (
        f"UPDATE tenantmig.run_tenant SET outcome = 'failed' {ACME}",
        "O4 acme",
        f"UPDATE tenantmig.run_tenant SET outcome = 'upgraded' {ACME}",
    ),
    (
        f"UPDATE tenantmig.run_tenant SET to_revision = 'r2' {ACME}",
        "O4 acme",
        f"UPDATE tenantmig.run_tenant SET to_revision = 'r3' {ACME}",
    ),
    (
        f"UPDATE tenantmig.run_tenant SET outcome = 'already_current' {ACME}",
        "O7 acme",
        f"UPDATE tenantmig.run_tenant SET outcome = 'upgraded' {ACME}",
    ),
    (
        f"UPDATE tenantmig.run_tenant SET error = 'for {SECRET}' {ACME}",
        "O9",
        f"UPDATE tenantmig.run_tenant SET error = NULL {ACME}",
    ),
    (f"CREATE TABLE {BYSTANDER}.x (); DROP TABLE {BYSTANDER}.x", None, None),
    (f"ALTER TABLE {BYSTANDER}.thing ALTER id SET NOT NULL", "O2", None),
]


@pytest.mark.slow
def test_every_oracle_sees_its_crime(
    fleet: Project, victim_database: Database, promises: Promises
) -> None:
    with (  # noqa: PT012  the block is what is watched
        pytest.raises(pytest.fail.Exception, match=r"broken promises:\n +O2") as failure,
        promises.watch(fleet, victim_database, touched=TENANTS, old="r1", new="r3") as watch,
    ):
        watch.run("upgrade", expect=0)
        assert watch.broken() == []
        for crime, oracle, undo in CRIMES:
            victim_database.execute(crime)
            complaints = watch.broken()
            assert bool(complaints) == bool(oracle), (crime, complaints)
            assert any(line.startswith(oracle or "") for line in complaints) or not oracle, crime
            victim_database.execute(undo or "SELECT 1")
        assert watch.log.since(watch.log_position)[BYSTANDER] != []
    assert "O5" not in str(failure.value)


@pytest.mark.slow
def test_what_is_left_running_is_seen(
    fleet: Project, victim_database: Database, promises: Promises
) -> None:
    with promises.watch(fleet, victim_database, touched=TENANTS, old="r1", new="r3") as watch:
        watch.settling_s = 1
        with victim_database.connect(application_name="tenantmig zombie") as zombie:
            zombie.execute("SELECT pg_advisory_lock(1)")
            assert [line[:12] for line in watch.broken()] == ["O6: session ", "O6: advisory"]
        assert watch.broken() == []


@pytest.mark.slow
def test_a_rerun_that_does_ddl_on_who_is_done_is_seen(
    fleet: Project, victim_database: Database, promises: Promises
) -> None:
    with promises.watch(
        fleet, victim_database, touched=TENANTS, old="r1", new="r3", between=["r2"]
    ) as watch:
        watch.run("upgrade", expect=0)
        complaints = list(watch.converge(["downgrade", "r2", "-t", "acme", "--yes"]))
        assert [line[:9] for line in complaints] == ["O5 acme: ", "O5 acme: "]
        assert "DROP INDEX" in complaints[1]


@pytest.mark.slow
def test_a_command_that_does_not_end_is_seen(
    tmp_path: Path, victim_database: Database, promises: Promises
) -> None:
    fleet = fleet_on(tmp_path, victim_database)
    reader = victim_database.connect()
    reader.autocommit = False
    reader.execute("SELECT FROM beta.thing")
    began = time.monotonic()
    with (
        pytest.raises(pytest.fail.Exception, match="O8"),
        promises.watch(
            fleet, victim_database, touched=TENANTS, old="r1", new="r3", deadline_s=2
        ) as watch,
    ):
        watch.run("upgrade", "--lock-timeout", "60s")
    assert time.monotonic() - began < 30


@pytest.mark.slow
def test_a_tenant_that_is_there_in_part_is_seen(
    tmp_path: Path, victim_database: Database, promises: Promises
) -> None:
    project = project_on(tmp_path, victim_database)

    def the_rest(_: object) -> list[str]:
        return ["onboard", "acme"]

    with promises.watch(
        project, victim_database, touched=["acme"], old=ABSENT, new="r3", converging=the_rest
    ) as watch:
        project.run("onboard", BYSTANDER)
        watch.before = watch.marks()
        assert watch.broken() == []
        victim_database.execute("CREATE SCHEMA acme")
        assert [line[:8] for line in watch.broken()] == ["O1 acme:"]
        victim_database.execute("DROP SCHEMA acme")


def test_traffic_waits_for_a_lock(fleet: Project, victim_database: Database) -> None:
    """O10: as long as it is held, and the other tenants' does not."""
    with traffic_on(victim_database, TENANTS, "thing") as traffic:
        with victim_database.connect() as connection, connection.transaction():
            lock = sql.SQL("LOCK TABLE {}").format(sql.Identifier(TENANTS[2], "thing"))
            connection.execute(lock)
            time.sleep(1.5)
        time.sleep(0.2)
    assert traffic.errors == []
    assert min(traffic.transactions.values()) > 1
    assert traffic.longest_wait_s == traffic.waits_s[TENANTS[2]] > 1.4

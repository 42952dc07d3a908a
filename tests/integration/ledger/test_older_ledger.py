"""A ledger that an older tenantmig wrote is brought to this version, and its runs stay readable."""

from __future__ import annotations

import psycopg
import pytest

from tenantmig import Fleet, RunState
from tenantmig.errors import LedgerError
from tenantmig.ledger.schema import LEDGER_VERSION
from tenantmig.postgres.sql import query
from tests.fixtures.command import Project
from tests.fixtures.database import Database
from tests.fixtures.rollouts import OpenFleet, by_name, outcomes, stands

RUNS = """
    INSERT INTO tenantmig.tenant (name, schema, state, labels) VALUES
        ('acme', 'acme', 'active', '{"region": "eu"}'), ('beta', 'the "B"', 'active', '{}');
    INSERT INTO tenantmig.run (kind, target, state, host, tool_version, finished_at) VALUES
        ('onboard', 'r1', 'complete', 'of-old', '0.1.0', clock_timestamp()),
        ('upgrade', 'r2', 'incomplete', 'of-old', '0.1.0', clock_timestamp()),
        ('upgrade', 'r2', 'running', 'of-old', '0.1.0', NULL);
    INSERT INTO tenantmig.run_tenant
        (run, tenant, schema, outcome, from_revision, to_revision, target, engine, attempts,
         sqlstate, error, is_partial)
    VALUES
        (1, 'acme', 'acme', 'onboarded', NULL, 'r1', 'r1', 'alembic', 1, NULL, NULL, false),
        (1, 'beta', 'the "B"', 'onboarded', NULL, 'r1', 'r1', 'alembic', 1, NULL, NULL, false),
        (2, 'acme', 'acme', 'upgraded', 'r1', 'r2', 'r2', 'alembic', 2, NULL, NULL, false),
        (2, 'beta', 'the "B"', 'failed', 'r1', 'r1', 'r2', 'alembic', 4, '55P03', 'locked', true),
        (3, 'beta', 'the "B"', NULL, 'r1', 'r1', 'r2', NULL, 0, NULL, NULL, false);
"""
TENANTS = {"acme": "r2", 'the "B"': "r1"}


@pytest.fixture
def old(three: Project, database: Database) -> Database:
    """A ledger of version 1, with two tenants and three runs; the last one's driver died."""
    with psycopg.connect(database.url, autocommit=True) as connection:
        connection.execute("CREATE SCHEMA tenantmig")
        connection.execute(query("ledger/ledger_v1", "tenantmig"))
        connection.execute(RUNS)
        for schema, revision in TENANTS.items():
            name = psycopg.sql.Identifier(schema).as_string(connection)
            column = ", b int" if revision == "r2" else ""
            connection.execute(
                f"CREATE SCHEMA {name}; CREATE TABLE {name}.thing (id int{column});"
                f"CREATE TABLE {name}.alembic_version (version_num varchar(32) PRIMARY KEY);"
                f"INSERT INTO {name}.alembic_version VALUES ('{revision}')".encode()
            )
    return database


@pytest.fixture
def fleet(open_fleet: OpenFleet) -> Fleet:
    """The fleet of that ledger."""
    return open_fleet()


def test_its_runs_are_readable(old: Database, fleet: Fleet) -> None:
    runs = fleet.runs()
    assert [(run.run, run.kind, run.state) for run in runs] == [
        (3, "upgrade", RunState.INTERRUPTED),
        (2, "upgrade", RunState.INCOMPLETE),
        (1, "onboard", RunState.COMPLETE),
    ]
    report = fleet.run(2)
    assert outcomes(report) == {"acme": "upgraded", "beta": "failed"}
    beta = by_name(report)["beta"]
    assert (beta.sqlstate, beta.error, beta.attempts) == ("55P03", "locked", 4)
    assert [tenant.labels for tenant in fleet.tenants()] == [{"region": "eu"}, {}]
    found = old.fetch("SELECT version FROM tenantmig.ledger_version ORDER BY 1")
    assert found == [(number,) for number in range(1, LEDGER_VERSION + 1)]


def test_a_reader_may_be_the_first(old: Database, fleet: Fleet) -> None:
    summary = fleet.status().summary
    assert (summary["tenants"], summary["failed"]) == (2, 1)


@pytest.mark.slow
def test_its_fleet_is_rolled(old: Database, fleet: Fleet) -> None:
    report = fleet.upgrade()
    assert (report.run, outcomes(report)) == (4, {"acme": "upgraded", "beta": "upgraded"})
    assert fleet.run(3).state is RunState.INTERRUPTED
    assert stands(old, "acme") == {"acme": "r3"}


def test_its_runs_can_be_resumed(old: Database, fleet: Fleet) -> None:
    assert outcomes(fleet.resume()) == {"beta": "upgraded"}
    assert outcomes(fleet.resume(2)) == {"acme": "upgraded", "beta": "already_current"}
    assert stands(old, "acme") == {"acme": "r2"}


@pytest.mark.slow
def test_its_runs_can_be_rolled_back(old: Database, fleet: Fleet) -> None:
    assert outcomes(fleet.rollback(2)) == {"acme": "downgraded"}
    assert stands(old, "acme") == {"acme": "r1"}


@pytest.mark.slow
def test_a_driver_of_the_older_version_is_waited_for(old: Database, fleet: Fleet) -> None:
    """Its locks have other keys, which this version would not heed."""
    with psycopg.connect(old.url, autocommit=True) as driver:
        lock = "SELECT pg_try_advisory_lock_shared(hashtextextended('tenantmig.run:3', 0))"
        driver.execute(lock)
        for use in (fleet.status, fleet.upgrade):
            with pytest.raises(
                LedgerError, match=r"Run 3 .* of an older tenantmig is still running"
            ):
                use()
        assert old.fetch("SELECT max(version) FROM tenantmig.ledger_version") == [(1,)]
    assert outcomes(fleet.upgrade()) == {"acme": "upgraded", "beta": "upgraded"}


def test_a_newer_ledger_is_refused(old: Database, fleet: Fleet) -> None:
    old.execute("INSERT INTO tenantmig.ledger_version (version) VALUES (99)")
    for use in (fleet.runs, fleet.upgrade, fleet.resume):
        with pytest.raises(LedgerError, match="version 99"):
            use()

"""A fleet at head costs its reading and nothing else: few statements, no worker, no lock."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tenantmig.postgres.capacity import READERS
from tests.fixtures.command import Project, Result
from tests.fixtures.database import Database, fresh_database
from tests.fixtures.history import write_history
from tests.fixtures.holds import group_of
from tests.fixtures.proxy import Connection, Proxy
from tests.fixtures.rollouts import CREATE, adding
from tests.fixtures.server import Server

TENANTS = 5000
MOST = 40
# A version table is read; whether it has a primary key makes no difference to that.
MAKE_TENANTS = f"""
    DO $$ BEGIN
        FOR n IN 1..{TENANTS} LOOP
            EXECUTE format('CREATE SCHEMA tenant%s', n);
            EXECUTE format('CREATE TABLE tenant%s.alembic_version (version_num varchar(32))', n);
            EXECUTE format('INSERT INTO tenant%s.alembic_version VALUES (''r2'')', n);
            IF n % 500 = 0 THEN COMMIT; END IF;
        END LOOP;
    END $$
"""
REGISTER = f"""
    INSERT INTO tenantmig.tenant (name, schema, state)
    SELECT 'tenant' || n, 'tenant' || n, 'active' FROM generate_series(1, {TENANTS}) n
"""
TENANT_LOCKS = """
    SELECT count(*) FROM pg_locks
    JOIN tenantmig.ledger_version ON version = 4
    JOIN tenantmig.tenant ON (classid::bigint << 32 | objid::bigint)
                           = hashtextextended('tenantmig.tenant:' || schema, lock_salt)
    WHERE locktype = 'advisory'
"""


@dataclass
class Watched:
    """A command behind a proxy: what was there each time that it sent a statement."""

    database: Database
    project: Project
    proxy: Proxy
    statements: list[str] = field(default_factory=list)
    workers: int = 0
    locks: int = 0

    def run(self, *command: str) -> Result:
        self.statements, self.workers, self.locks = [], 0, 0
        ready: list[int] = []
        with self.database.connect() as looking:

            def look(_: int, text: str, __: Connection) -> None:
                self.statements.append(text)
                self.locks = max(self.locks, looking.execute(TENANT_LOCKS).fetchall()[0][0])
                if ready:
                    self.workers = max(self.workers, len(workers_of(ready[0])))

            self.proxy.on_statement(look)
            driver = self.project.start(*command)
            ready.append(driver.pid)
            result = self.project.finish(driver)
            self.proxy.heal()
        return result


def workers_of(driver: int) -> list[int]:
    """Its grandchildren: the fork server, which may wait for work, is a child."""
    return [pid for pid in group_of(driver) if pid != driver and parent_of(pid) != driver]


def parent_of(pid: int) -> int:
    with suppress(FileNotFoundError, ProcessLookupError):
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    return 0


def at_head_in(report: Any) -> int:
    """How many tenants are at head, as a run, `status` or a plan has it."""
    counts = report.get("counts", {"already_current": None})
    summary = report.get("summary", {"at_head": report.get("at_target")})
    return int(counts["already_current"] or summary["at_head"])


@pytest.fixture
def watched(tmp_path: Path) -> Iterator[Watched]:
    """A fleet of TENANTS at r2, the head; no tables but their version tables."""
    settings = {"max_locks_per_transaction": "128", "shared_buffers": "64MB"}
    with Server(18, settings=settings) as server, fresh_database(server) as database:
        history = write_history(tmp_path / "history", CREATE, adding("r2", "b"))
        project = Project(tmp_path, database.url, history)
        project.run("onboard", "first")
        database.execute(MAKE_TENANTS)
        database.execute(REGISTER)
        database.execute("ANALYZE")
        with Proxy(server) as proxy:
            project.url = proxy.url(database.name)
            yield Watched(database, project, proxy)


@pytest.mark.slow
def test_a_fleet_at_head(watched: Watched) -> None:
    for command, looks in (("upgrade", 0), ("status", 1), ("plan", 1)):
        before = len(watched.proxy.connections)
        report = watched.run(command, "--json").json
        assert len(watched.statements) <= MOST, watched.statements
        assert len(watched.proxy.connections) - before == READERS + looks  # at env.py
        assert watched.locks == 0
        assert bool(watched.workers) == bool(looks)
        assert at_head_in(report) == TENANTS + 1
    # the control: with something to do, the same look sees a worker and a tenant's lock
    watched.database.execute("UPDATE tenant77.alembic_version SET version_num = 'r1'")
    watched.database.execute("CREATE TABLE tenant77.thing (id int)")
    report = watched.run("upgrade", "--json").json
    assert report["counts"] == {"upgraded": 1, "already_current": TENANTS}
    assert watched.workers > 0
    assert watched.locks == 1

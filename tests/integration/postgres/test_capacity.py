"""Capacity: how many tenants at once the limits of server, database and role admit."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest

from tenantmig import Fleet, RunOptions
from tenantmig.domain.events import RunStarted
from tenantmig.fleet import driver
from tenantmig.fleet.driver import Driver
from tenantmig.ledger.activity import is_full
from tenantmig.ledger.ledger import Ledger
from tenantmig.postgres.capacity import (
    LOCKED_BY_READER,
    MOST,
    OWN_LOCKS,
    READ_BY_ONE,
    READERS,
    SAMPLE,
    default_parallel,
    free_connections,
    reading_helpers,
)
from tenantmig.postgres.version import Version
from tenantmig.postgres.version_table import read_versions
from tenantmig.settings import load_settings
from tests.fixtures.command import Project
from tests.fixtures.database import Database, fresh_database
from tests.fixtures.history import write_history
from tests.fixtures.processes import wait_until
from tests.fixtures.rollouts import CREATE, Events, adding
from tests.fixtures.server import Server

SMALL_LOCK_TABLE = {
    "max_connections": "30",
    "max_locks_per_transaction": "20",
    "max_prepared_transactions": "10",
}
ROOM = 20 * (30 + 10)
TABLE = 5  # locks: itself, its primary key, one index, its TOAST table and that one's index


@pytest.fixture(scope="module")
def small() -> Iterator[Server]:
    """A server with room for few locks."""
    with Server(18, settings=SMALL_LOCK_TABLE) as server:
        yield server


@pytest.fixture
def small_database(small: Server) -> Iterator[Database]:
    with fresh_database(small) as database:
        yield database


def test_a_connection_takes_one_place(database16: Database) -> None:
    database16.execute(f"ALTER DATABASE {database16.name} CONNECTION LIMIT 20")
    database16.keep_none()
    connection = database16.connect()
    before = free_connections(connection)
    assert before <= 19
    database16.connect()
    assert free_connections(connection) == before - 1


def test_a_roles_limit_counts(database16: Database, server16: Server) -> None:
    role = f"app_{database16.name}"
    database16.execute(f"CREATE ROLE {role} LOGIN CONNECTION LIMIT 5")
    connection = database16.connect()
    connection.execute(f"SET ROLE {role}")
    assert free_connections(connection) <= 5
    connection.execute("RESET ROLE")
    assert free_connections(connection) > 5
    database16.execute(f"DROP ROLE {role}")


def test_the_servers_reserve_is_left_alone(database16: Database, server16: Server) -> None:
    connection = database16.connect()
    shown = "SELECT current_setting(%s)::int"
    (most,) = database16.fetch(shown, ["max_connections"])[0]
    (reserved,) = database16.fetch(shown, ["superuser_reserved_connections"])[0]
    assert 0 < free_connections(connection) < most - reserved


@pytest.mark.parametrize(
    ("limit", "tenants", "least", "most"),
    [(-1, 10_000, 2, MOST), (-1, 1, 1, 1), (-1, 0, 1, 1), (4, 100, 1, 1), (9, 100, 1, 3)],
)
def test_parallelism_is_bounded_and_never_none(
    database16: Database, limit: int, tenants: int, least: int, most: int
) -> None:
    database16.execute(f"ALTER DATABASE {database16.name} CONNECTION LIMIT {limit}")
    database16.keep_none()
    assert least <= default_parallel(database16.connect(), tenants) <= most


@pytest.mark.slow
@pytest.mark.parametrize(
    ("limit", "tenants", "helpers"),
    [
        (-1, 0, 0),
        (-1, READ_BY_ONE, 0),
        (-1, READ_BY_ONE + 1, 1),
        (-1, 10**6, READERS - 1),
        (4, 10**6, 0),
        (5, 10**6, 1),
    ],
)
def test_version_tables_of_a_large_fleet_are_read_by_several(
    database16: Database, limit: int, tenants: int, helpers: int
) -> None:
    database16.execute(f"ALTER DATABASE {database16.name} CONNECTION LIMIT {limit}")
    database16.keep_none()
    assert reading_helpers(database16.connect(), tenants) == helpers


def test_readers_leave_half_the_lock_table_free(small_database: Database) -> None:
    assert ROOM // 2 < 2 * LOCKED_BY_READER
    assert reading_helpers(small_database.connect(), 10**6) == 0


@pytest.mark.parametrize(("limit", "connected"), [(3, 3), (1, 1)])
def test_who_gets_no_more_connections_reads_with_those_it_has(
    tmp_path: Path,
    database16: Database,
    monkeypatch: pytest.MonkeyPatch,
    limit: int,
    connected: int,
) -> None:
    seen = []

    def read(*given: Any) -> dict[str, Version]:
        seen.append(1 + len(given[-1]))
        return read_versions(*given)

    monkeypatch.setattr(driver, "reading_helpers", lambda *_: 2)
    monkeypatch.setattr(driver, "read_versions", read)
    role = f"app_{database16.name}"
    database16.execute(f"CREATE ROLE {role} LOGIN CONNECTION LIMIT {limit}")
    url = database16.url.replace("postgres@", f"{role}@")
    assert url != database16.url
    ini = Project(tmp_path, url).ini
    settings = load_settings(config=ini, database_url=url)
    database16.execute("CREATE SCHEMA acme")
    with Driver(settings).ledger() as ledger:
        found = Driver(settings).reader(ledger)(["acme"])
    database16.execute(f"DROP ROLE {role}")
    assert found["acme"].problem is not None
    assert seen == [connected]


# -- full, or gone? --------------------------------------------------------------------------


def ledger_on(folder: Path, database: Database) -> AbstractContextManager[Ledger]:
    project = Project(folder, database.url)
    return Driver(load_settings(config=project.ini, database_url=database.url)).ledger()


WORKER = "tenantmig run 7"


@pytest.mark.slow
def test_a_server_is_full_when_it_answers_and_has_no_connection_left(
    tmp_path: Path, small_database: Database
) -> None:
    with ledger_on(tmp_path, small_database) as ledger:
        assert not is_full(ledger, WORKER)
        others = free_connections(ledger.connection)
        for _ in range(others):
            small_database.connect()
        assert is_full(ledger, WORKER)
        small_database.close_connections()
        wait_until(lambda: not is_full(ledger, WORKER), "it is still full")


def test_a_connection_that_an_idle_worker_holds_will_be_free(
    tmp_path: Path, small_database: Database
) -> None:
    with ledger_on(tmp_path, small_database) as ledger:
        for _ in range(free_connections(ledger.connection) - 1):
            small_database.connect()
        worker = small_database.connect(application_name=WORKER)
        assert not is_full(ledger, WORKER)
        assert is_full(ledger, "another run's")
        worker.execute("BEGIN")
        assert is_full(ledger, WORKER)
        small_database.close_connections()


def test_a_server_that_is_gone_is_not_full(
    tmp_path: Path, small: Server, small_database: Database
) -> None:
    """It may come back: that is worth waiting for."""
    with ledger_on(tmp_path, small_database) as ledger:
        assert not is_full(ledger, WORKER)
        small.stop("immediate")
        try:
            assert not is_full(ledger, WORKER)
        finally:
            small.start()
        assert not is_full(ledger, WORKER)


# -- the lock table --------------------------------------------------------------------------


def make_tenant(database: Database, schema: str, tables: int) -> None:
    for n in range(tables):
        database.execute(
            f"CREATE SCHEMA IF NOT EXISTS {schema};"
            f"CREATE TABLE {schema}.t{n} (id int PRIMARY KEY, name text);"
            f"CREATE INDEX ON {schema}.t{n} (name)"
        )


@pytest.mark.slow
@pytest.mark.parametrize("tables", [1, 15, 22, 36, 200])
def test_half_the_lock_table_stays_free(small_database: Database, tables: int) -> None:
    """However many relations the largest tenant has; a worker may lock them all."""
    make_tenant(small_database, "acme", 1)
    make_tenant(small_database, "globex", tables)
    connection = small_database.connect()
    found = default_parallel(connection, 100, ["acme", "globex", "missing"])
    unlimited = default_parallel(connection, 100)
    assert found * (tables * TABLE + OWN_LOCKS) <= ROOM // 2 or found == 1
    more = (found + 1) * (tables * TABLE + OWN_LOCKS) > ROOM // 2
    assert found == unlimited or more


def test_another_schemas_relations_do_not_count(small_database: Database) -> None:
    make_tenant(small_database, "acme", 1)
    make_tenant(small_database, "huge", 100)
    connection = small_database.connect()
    assert default_parallel(connection, 100, ["huge"]) == 1
    assert default_parallel(connection, 100, ["acme"]) == default_parallel(connection, 100)


def test_a_few_tenants_of_many_are_looked_at(small_database: Database) -> None:
    """From the first on, at equal distances."""
    make_tenant(small_database, "huge", 100)
    connection = small_database.connect()
    names = [f"tenant{n}" for n in range(10_000)]
    usual = default_parallel(connection, 10_000, names)
    assert default_parallel(connection, 10_000, ["huge", *names[1:]]) == 1 < usual
    step = len(names) // SAMPLE
    names[step] = "huge"
    assert default_parallel(connection, 10_000, names) == 1
    names[step], names[step + 1] = "nobody", "huge"
    assert default_parallel(connection, 10_000, names) == usual


# -- what a run says -------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize(
    ("settings", "expected"),
    [({}, 1), ({"parallel": "auto"}, 1), ({"parallel": 3}, 3)],
    ids=["by default", "auto", "a number"],
)
def test_a_run_says_how_many_at_once(
    tmp_path: Path, small_database: Database, settings: dict[str, object], expected: int
) -> None:
    """One, where the largest tenant may fill half of the lock table; a number is taken as it is."""
    history = write_history(tmp_path / "history", CREATE, adding("r2", "b"))
    project = Project(tmp_path, small_database.url, history)
    fleet = Fleet.open(project.ini, database_url=small_database.url, **settings)
    for kind in ("onboard", "upgrade"):
        events = Events()
        options = RunOptions(on_event=events)
        if kind == "onboard":
            assert fleet.onboard(["acme"], "r1").is_complete
            make_tenant(small_database, "acme", 100)
            report = fleet.onboard([f"tenant{n}" for n in range(4)], "r1", options)
        else:
            report = fleet.upgrade(options=options)
        assert report.is_complete
        assert [e.parallel for e in events if isinstance(e, RunStarted)] == [expected], kind

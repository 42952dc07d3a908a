"""Capacity: how many tenants at once the limits of server, database and role admit."""

from __future__ import annotations

import pytest

from tenantmig.capacity import MOST, default_parallel, free_connections
from tests.fixtures.database import Database
from tests.fixtures.server import Server


def test_a_connection_takes_one_place(database16: Database) -> None:
    database16.execute(f"ALTER DATABASE {database16.name} CONNECTION LIMIT 20")
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
    assert least <= default_parallel(database16.connect(), tenants) <= most

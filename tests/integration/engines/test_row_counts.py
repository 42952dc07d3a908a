"""Row counts: what a script reads is noticed, what SQLAlchemy reads for itself is not.

SQLAlchemy before 2.0.28 reads the count of every statement, so the lowest version is tested too.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import sqlalchemy as sa

from tenantmig.engines.tripwires import counted
from tests.fixtures.database import Database

USERS = sa.table("users", sa.column("id", sa.Integer), sa.column("note", sa.Text))
UPDATE = sa.text("UPDATE users SET note = 'seen' WHERE id > 1")
DELETE = sa.text("DELETE FROM users WHERE id = :i")
Run = Callable[[sa.Connection], Any]
WAYS: dict[str, Run] = {
    "text": lambda c: c.execute(UPDATE),
    "driver": lambda c: c.exec_driver_sql("UPDATE users SET note = 'seen' WHERE id > 1"),
    "update": lambda c: c.execute(USERS.update().values(note="x").where(USERS.c.id > 1)),
    "returning": lambda c: c.execute(USERS.update().values(note="x").returning(USERS.c.id)),
    "delete": lambda c: c.execute(USERS.delete().where(USERS.c.id == 1)),
    "insert": lambda c: c.execute(USERS.insert().values(id=4, note="d")),
    "from rows": lambda c: c.execute(sa.text("INSERT INTO users SELECT 5, 'e'")),
    "many": lambda c: c.execute(DELETE, [{"i": 1}, {"i": 2}]),
    "select": lambda c: c.execute(sa.text("SELECT * FROM users")),
    "select construct": lambda c: c.execute(sa.select(USERS.c.id)),
}


def make(connection: sa.Connection, way: str) -> Any:
    """Execute a statement in this way, on three rows."""
    connection.exec_driver_sql("DROP TABLE IF EXISTS users")
    connection.exec_driver_sql("CREATE TEMP TABLE users (id int, note text)")
    connection.exec_driver_sql("INSERT INTO users VALUES (1, 'a'), (2, 'b'), (3, 'c')")
    result = WAYS[way](connection)
    if result.returns_rows:
        result.fetchall()
    return result


@pytest.mark.core
@pytest.mark.parametrize("way", WAYS)
def test_a_row_count_that_is_read_is_noticed(database: Database, way: str) -> None:
    engine = sa.create_engine("postgresql+psycopg://", creator=database.connect)
    noticed: list[str] = []
    with engine.connect() as connection:
        plain = make(connection, way).rowcount
        with counted(connection.dialect, noticed.append):
            result = make(connection, way)
            assert noticed == []
            assert result.rowcount == plain
            assert noticed == ["it reads a row count"]
    engine.dispose()

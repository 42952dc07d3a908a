"""The look at a tenant's catalog before a replay: what it must see, and what it must not."""

from __future__ import annotations

from pathlib import Path

import pytest

from tenantmig import Fleet, Selection
from tests.fixtures.command import Project
from tests.fixtures.database import Database
from tests.fixtures.history import write_history
from tests.fixtures.rollouts import OpenFleet

NAMES = ["a", "b", "c", "d", "e", "f"]
ODD = ("e", "f")
CREATE = ("r1", "op.execute('CREATE TABLE thing (id int, a int)')")
ADD = ("r2", "op.execute('ALTER TABLE thing ADD b int')", "op.execute('ALTER TABLE thing DROP b')")
NOTE = ("r3", "op.execute('CREATE TABLE note (id int)')", "op.execute('DROP TABLE note')")


@pytest.fixture
def fleet(tmp_path: Path, database: Database, open_fleet: OpenFleet) -> Fleet:
    """Tenants at r1, of which two get an odd catalog from the test."""
    Project(tmp_path, database.url, write_history(tmp_path / "history", CREATE, ADD, NOTE))
    opened = open_fleet(canary="0")
    assert opened.onboard(NAMES, "r1").is_complete
    return opened


def engines(fleet: Fleet) -> str:
    """Upgrade all, and return by which engine each went: its first letter."""
    report = fleet.upgrade()
    assert report.is_complete, [tenant.error for tenant in report.tenants]
    return "".join(str(tenant.engine)[0] for tenant in report.tenants)


def test_who_was_rolled_back_is_replayed_like_the_others(fleet: Fleet) -> None:
    """A withdrawn canary has dropped columns, which nothing that scripts send can see."""
    canary = fleet.upgrade("r2", Selection(names=ODD))
    assert fleet.rollback(canary.run or 0).is_complete
    assert engines(fleet) == "aarrrr"


@pytest.mark.parametrize(
    "change",
    [
        "ALTER TABLE {}.thing ADD more int",
        "ALTER TABLE {}.thing DROP a",
        "ALTER TABLE {}.thing RENAME a TO z",
        "ALTER TABLE {0}.thing DROP a; ALTER TABLE {0}.thing ADD z int",
        "ALTER TABLE {}.thing ADD CHECK (a > 0)",
        "CREATE INDEX ON {}.thing (a)",
        "CREATE TABLE {}.more ()",
        "CREATE VIEW {}.more AS SELECT 1",
    ],
)
def test_whose_columns_or_relations_differ_is_not_replayed(
    fleet: Fleet, database: Database, change: str
) -> None:
    for name in ODD:
        database.execute(change.format(name))
    assert engines(fleet) == "aarraa"


def test_the_order_of_columns_is_no_difference(fleet: Fleet, database: Database) -> None:
    for name in ODD:
        database.execute(f"ALTER TABLE {name}.thing DROP a; ALTER TABLE {name}.thing ADD a int")
    assert engines(fleet) == "aarrrr"

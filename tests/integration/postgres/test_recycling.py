"""A connection serves so many tenants and no more: a backend keeps what it knows of each table."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.fixtures.database import Database
from tests.fixtures.history import write_history
from tests.fixtures.proxy import Proxy
from tests.fixtures.rollouts import CREATE, OpenFleet
from tests.fixtures.server import AnyServer

R2 = ("r2", "op.execute('ALTER TABLE thing ADD b int')", "op.execute('ALTER TABLE thing DROP b')")
AFTER = 3
NAMES = [f"tenant{n}" for n in range(12)]
SERVED = {
    "auto": ".reached(",  # a text of the replay engine
    "alembic": "ALTER TABLE thing ADD b",
}


@pytest.fixture(autouse=True)
def _born(tmp_path: Path, open_fleet: OpenFleet) -> None:
    """The tenants stand at r1 of a history that goes to r2."""
    write_history(tmp_path / "history", CREATE, R2)
    (tmp_path / "alembic.ini").write_text("[alembic]\nscript_location = %(here)s/history\n")
    assert open_fleet().onboard(NAMES, "r1").is_complete


@pytest.mark.slow
@pytest.mark.parametrize("engine", SERVED)
def test_a_connection_is_renewed(
    server: AnyServer, database: Database, open_fleet: OpenFleet, engine: str
) -> None:
    with Proxy(server) as proxy:
        fleet = open_fleet(
            database_url=proxy.url(database.name), engine=engine, recycle_after=AFTER
        )
        assert fleet.upgrade().is_complete
        fleet.close()
        served = [
            sum(SERVED[engine] in statement for statement in connection.statements)
            for connection in proxy.connections
        ]
    witnesses = 2 if engine == "auto" else 0
    assert sum(served) == len(NAMES) - witnesses
    assert max(served) in {AFTER - 1, AFTER}  # reused, and a look at catalogs counts as well


@pytest.mark.slow
@pytest.mark.parametrize("recycle_after", [AFTER, 200])
def test_the_control_connection_is_renewed_before_a_run(
    server: AnyServer, database: Database, open_fleet: OpenFleet, recycle_after: int
) -> None:
    """After it has read all version tables, and only if something is to be done."""

    def connections_of_an_upgrade() -> tuple[int, int, int]:
        """How many there were, which of them read version tables, and which began the run."""
        with Proxy(server) as proxy:
            url = proxy.url(database.name)
            fleet = open_fleet(database_url=url, recycle_after=recycle_after)
            assert fleet.upgrade().is_complete
            fleet.close()
            said = ["\n".join(c.statements) for c in proxy.connections]
        read = next(i for i, text in enumerate(said) if " UNION ALL SELECT 1, " in text)
        began = next(i for i, text in enumerate(said) if 'INSERT INTO "tenantmig".run (' in text)
        return len(said), read, began

    _, read, began = connections_of_an_upgrade()
    # the look at env.py has one of its own in between
    assert (read, began) == ((0, 2) if recycle_after == AFTER else (0, 0))
    assert connections_of_an_upgrade() == (1, 0, 0)

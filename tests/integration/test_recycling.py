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
    "auto": "EXECUTE tenantmig_reached",  # a text of the replay engine
    "alembic": "ALTER TABLE thing ADD b",
}


@pytest.mark.parametrize("engine", SERVED)
def test_a_connection_is_renewed(
    tmp_path: Path, server: AnyServer, database: Database, open_fleet: OpenFleet, engine: str
) -> None:
    write_history(tmp_path / "history", CREATE, R2)
    (tmp_path / "alembic.ini").write_text("[alembic]\nscript_location = %(here)s/history\n")
    assert open_fleet().onboard(NAMES, "r1").is_complete
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

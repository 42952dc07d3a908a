"""PgBouncer in transaction mode is refused by every writer before anything is touched (F23)."""

from __future__ import annotations

from pathlib import Path

from tests.fixtures.command import untouched
from tests.fixtures.database import Database
from tests.fixtures.faults import TENANTS
from tests.fixtures.holds import CONCURRENT_R3, HELD_R2, fleet_of, held, held_backends
from tests.fixtures.pooler import pooler_for
from tests.fixtures.processes import wait_until
from tests.fixtures.promises import Promises
from tests.fixtures.server import Server

REFUSED = (
    ("upgrade",),
    ("upgrade", "r2", "-t", "acme"),
    ("downgrade", "base", "--all", "--yes"),
    ("onboard", "newcomer"),
    ("offboard", "acme", "--yes"),
    ("stamp", "r3", "--all"),
)


def test_a_pooler_stands_before_the_server(
    tmp_path: Path, victim: Server, victim_database: Database, promises: Promises
) -> None:
    """A run that can be resumed and rolled back is there, begun over the server's own address."""
    fleet = fleet_of(tmp_path, victim_database, HELD_R2, CONCURRENT_R3)
    direct = fleet.url
    with promises.watch(
        fleet,
        victim_database,
        touched=TENANTS,
        old="r1",
        new="r3",
        between=["r2"],
        converging=["resume"],
    ) as watch:
        watch.run("upgrade", "r2", "-t", "acme", expect=0)
        run = str(watch.results[-1].json["run"])
        with held(victim_database):
            driver = watch.start("upgrade")
            held_backends(victim_database)
            driver.kill()
            watch.finish(driver)
        wait_until(lambda: victim_database.leftovers(0) == [], "the dead driver lives on", 30)
        # its sessions on the server bear our names, and end with it
        with pooler_for(victim) as pooler, untouched(victim_database):
            fleet.url = pooler.url(victim_database.name)
            for command in (*REFUSED, ("resume",), ("rollback", run, "--yes")):
                error = watch.run(*command, expect=2).json["error"]
                assert error["type"] == "PoolerError", command
                assert "direct" in error["message"]
            plain = fleet.alembic("-x", "tenant=acme", "upgrade", "head", expect=None)
            assert plain.code != 0
            assert "pooler" in plain.out + plain.err
            came_by = pooler.log_text().count(f"{victim_database.name}/postgres")
            assert came_by > len(REFUSED)
        fleet.url = direct

"""A claim of a schema of the pool is cut off at each of its statements: all is done, or nothing."""

from __future__ import annotations

import pytest

from tenantmig.domain.outcome import RunReport
from tenantmig.domain.tenant import Selection, Tenant
from tenantmig.errors import TenantmigError
from tenantmig.fleet.run_options import RunOptions
from tests.fixtures.command import Project
from tests.fixtures.database import Database
from tests.fixtures.proxy import Connection, Fate, Proxy
from tests.fixtures.rollouts import OpenFleet

FACTS = """
    SELECT ARRAY(SELECT schema FROM tenantmig.pool_member ORDER BY 1),
           ARRAY(SELECT nspname::text FROM pg_namespace
                  WHERE nspname LIKE 'tenantmig\\_pool\\_%' ORDER BY 1),
           (SELECT count(*) FROM pg_namespace WHERE nspname = 'acme')::int,
           (SELECT count(*) FROM tenantmig.tenant WHERE name = 'acme' AND state = 'active')::int,
           (SELECT count(*) FROM tenantmig.run_tenant WHERE tenant = 'acme')::int
"""
MOST = 40
CLAIM = "claim_member"


def claimed(open_fleet: OpenFleet, url: str) -> RunReport | None:
    """Claim over a new connection, without the ordinary birth that follows where there is none."""
    fleet = open_fleet(pool=3, database_url=url)
    try:
        return fleet._take_from_pool(["acme"], "head", RunOptions())
    except TenantmigError:
        return None


@pytest.mark.parametrize("fate", [Fate.CUT, Fate.LOSE_ANSWER, Fate.ABANDON], ids=lambda f: f.name)
def test_a_claim_that_is_cut_off_at_any_statement(
    three: Project, database: Database, open_fleet: OpenFleet, fate: Fate
) -> None:
    direct = open_fleet(pool=3)
    assert direct.fill_pool().ready == 3
    for k in range(1, MOST):
        before = database.fetch(FACTS)[0]
        with Proxy(database.server) as proxy:

            def cut(ordinal: int, _: str, __: Connection, k: int = k) -> Fate:
                return fate if ordinal == k else Fate.FORWARD

            proxy.on_statement(cut)
            report = claimed(open_fleet, proxy.url(database.name))
            is_struck = bool(proxy.fired)
        members, schemas, exists, registered, journal = database.fetch(FACTS)[0]
        assert members == schemas, (k, proxy.fired)
        assert (exists, registered, journal) in {(0, 0, 0), (1, 1, 1)}, (k, proxy.fired)
        assert len(members) == len(before[0]) - exists
        assert report is None or exists
        if exists:
            assert database.fetch("SELECT version_num FROM acme.alembic_version") == [("r3",)]
            direct.offboard(Selection(names=("acme",)))
            database.execute("DELETE FROM tenantmig.run_tenant WHERE tenant = 'acme'")
            direct.fill_pool()
        if not is_struck:
            return
    pytest.fail(f"a claim has more than {MOST} statements")


def test_a_lost_answer_is_found_out(
    three: Project, database: Database, open_fleet: OpenFleet
) -> None:
    open_fleet(pool=1).fill_pool()
    with Proxy(database.server) as proxy:
        proxy.at_statement(CLAIM, Fate.LOSE_ANSWER)
        fleet = open_fleet(pool=1, database_url=proxy.url(database.name))
        report = fleet.onboard([Tenant("acme", "")])
    assert proxy.fired
    assert report.is_complete
    assert report.tenants[0].engine == "pool"
    assert database.fetch(FACTS)[0] == ([], [], 1, 1, 1)

"""Sign-ups of several processes race for the pool, beside upgrades, and one of them is killed.

`make test-all` runs a few races; POOL_RACES says how many (`make pool-races` runs 500).
"""

from __future__ import annotations

import os
import random
import signal
import time

import pytest

from tests.fixtures.command import Project
from tests.fixtures.database import Database
from tests.fixtures.rollouts import stands

RACES = int(os.environ.get("POOL_RACES", "2"))
LOST = """
    SELECT name FROM tenantmig.tenant WHERE state = 'active'
       AND (schema NOT IN (SELECT nspname FROM pg_namespace)
            OR (SELECT count(*) FROM tenantmig.run_tenant AS told
                 WHERE told.tenant = tenant.name AND outcome = 'onboarded') <> 1)
    UNION ALL
    SELECT schema FROM tenantmig.pool_member
     WHERE schema NOT IN (SELECT nspname FROM pg_namespace)
        OR schema IN (SELECT schema FROM tenantmig.tenant)
    UNION ALL
    SELECT nspname FROM pg_namespace WHERE nspname LIKE 'acme%'
       AND nspname NOT IN (SELECT schema FROM tenantmig.tenant)
"""
ACTIVE = "SELECT schema FROM tenantmig.tenant WHERE state = 'active'"
FROM_POOL = "SELECT count(*)::int FROM tenantmig.run_tenant WHERE engine = 'pool'"


@pytest.mark.parametrize("seed", range(RACES))
def test_sign_ups_race_with_an_upgrade_and_a_kill(
    three: Project, database: Database, seed: int
) -> None:
    chance = random.Random(seed)  # noqa: S311  no secret
    three.settings("pool = 3\n")
    three.run("onboard", "base", "--to", "r2", "--no-pool")
    three.run("pool", "fill")
    commands = [three.start("onboard", f"acme_{n}") for n in range(3)]
    commands.append(three.start("upgrade"))
    time.sleep(chance.uniform(0.2, 4.0))
    victim = chance.choice(commands[:3])
    if victim.poll() is None:
        os.killpg(victim.pid, signal.SIGKILL)
    for command in commands:
        three.finish(command, expect=None)
    assert database.fetch(LOST) == []
    active = [schema for (schema,) in database.fetch(ACTIVE)]
    assert set(stands(database, *active).values()) == {"r3"}
    assert len(active) >= 3
    three.run("pool", "fill")
    assert three.run("pool", "--json").json["ready"] == 3
    assert database.fetch(LOST) == []
    print(f"{database.fetch(FROM_POOL)[0][0]} of {len(active)} tenants from the pool")  # noqa: T201

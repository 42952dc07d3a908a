"""A registry or a version table that cannot be trusted: that tenant is refused before any DDL.

F26, F27. Plain Alembic would run its history from base over a missing or an empty version table.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from psycopg import sql

from tests.fixtures.command import Project
from tests.fixtures.database import Database
from tests.fixtures.faults import TENANTS
from tests.fixtures.holds import CONCURRENT_R3, HELD_R2, INDEX, fleet_of, held, held_backends
from tests.fixtures.promises import Promises

BAD = "beta"
OTHERS = tuple(name for name in TENANTS if name != BAD)
# (how the version table is poisoned, how it is mended, what is said)
POISONED = {
    "missing": (
        "ALTER TABLE alembic_version RENAME TO alembic_elsewhere",
        "ALTER TABLE alembic_elsewhere RENAME TO alembic_version",
        "no version table",
    ),
    "empty": (
        "DELETE FROM alembic_version",
        "INSERT INTO alembic_version VALUES ('r1')",
        "empty",
    ),
    "two rows": (
        "INSERT INTO alembic_version VALUES ('r2')",
        "DELETE FROM alembic_version WHERE version_num = 'r2'",
        "r2",
    ),
    "an unknown revision": (
        "UPDATE alembic_version SET version_num = 'elsewhere'",
        "UPDATE alembic_version SET version_num = 'r1'",
        "elsewhere",
    ),
    "another column": (
        "ALTER TABLE alembic_version RENAME COLUMN version_num TO revision",
        "ALTER TABLE alembic_version RENAME COLUMN revision TO version_num",
        "version_num",
    ),
}


@pytest.fixture
def fleet(tmp_path: Path, victim_database: Database) -> Project:
    """A fleet at r1."""
    return fleet_of(tmp_path, victim_database, HELD_R2, CONCURRENT_R3)


def in_schema(database: Database, schema: str, statement: str) -> None:
    """Run a statement as an operator would by hand in one tenant."""
    path = sql.SQL("SET search_path = {}; ").format(sql.Identifier(schema)).as_string()
    database.execute(path + statement)


@pytest.mark.parametrize("poison", POISONED)
def test_a_version_table_is_poisoned(
    fleet: Project, victim_database: Database, promises: Promises, poison: str
) -> None:
    make, mend, said = POISONED[poison]
    with promises.watch(fleet, victim_database, touched=TENANTS, old="r1", new="r3") as watch:
        in_schema(victim_database, BAD, make)
        position = watch.log.position()
        report = watch.run("upgrade", expect=3).json
        assert BAD not in watch.log.since(position)
        in_schema(victim_database, BAD, mend)
        watch.last_run = report["run"]  # what it says of the tenant was true before this
    rows = {row["tenant"]: row for row in report["tenants"]}
    assert rows[BAD]["outcome"] == "failed"
    assert rows[BAD]["attempts"] == 0
    assert said in rows[BAD]["error"]
    assert {rows[name]["outcome"] for name in OTHERS} == {"upgraded"}


@pytest.mark.parametrize("poison", POISONED)
def test_a_version_table_is_poisoned_while_the_run_goes_on(
    fleet: Project, victim_database: Database, promises: Promises, poison: str
) -> None:
    """After it was planned: each attempt reads it again, under the tenant's lock."""
    make, mend, _ = POISONED[poison]
    first = ("--canary", OTHERS[0], "-p", "1")
    with promises.watch(fleet, victim_database, touched=TENANTS, old="r1", new="r3") as watch:
        with held(victim_database, OTHERS[0]):
            driver = watch.start("upgrade", *first)
            held_backends(victim_database)
            in_schema(victim_database, BAD, make)
            position = watch.log.position()
        report = watch.finish(driver, expect=3).json
        assert BAD not in watch.log.since(position)
        in_schema(victim_database, BAD, mend)
    rows = {row["tenant"]: row for row in report["tenants"]}
    assert rows[BAD]["outcome"] == "failed"
    assert rows[BAD]["to"] == "r1"
    assert {rows[name]["outcome"] for name in OTHERS} == {"upgraded"}


@pytest.mark.parametrize("version", ["r1", "r3", "elsewhere"])
def test_a_version_table_lies_in_public(
    fleet: Project, victim_database: Database, promises: Promises, version: str
) -> None:
    """With `public` on the path, an empty tenant would take it for its own."""
    names = ("alembic_version", "alembic_version[]")
    victim_database.allow_public(*names)
    victim_database.execute("CREATE TABLE public.alembic_version (version_num varchar(32))")
    victim_database.execute("INSERT INTO public.alembic_version VALUES (%s)", [version])
    with promises.watch(fleet, victim_database, touched=TENANTS, old="r1", new="r3") as watch:
        report = watch.run("upgrade", expect=0).json
    assert report["counts"] == {"upgraded": len(TENANTS)}
    assert victim_database.fetch("TABLE public.alembic_version") == [(version,)]


def test_a_registered_tenant_has_no_schema(
    fleet: Project, victim_database: Database, promises: Promises
) -> None:
    with promises.watch(fleet, victim_database, touched=OTHERS, old="r1", new="r3") as watch:
        victim_database.execute(f"DROP SCHEMA {BAD} CASCADE")
        watch.before = watch.marks()
        report = watch.run("upgrade", expect=3).json
        assert victim_database.fetch("SELECT FROM pg_namespace WHERE nspname = %s", [BAD]) == []
        watch.run("offboard", BAD, "--yes", expect=0)
    rows = {row["tenant"]: row for row in report["tenants"]}
    assert (rows[BAD]["outcome"], rows[BAD]["attempts"]) == ("failed", 0)
    assert "does not exist" in rows[BAD]["error"]
    assert {rows[name]["outcome"] for name in OTHERS} == {"upgraded"}


def test_a_schema_is_dropped_while_the_run_goes_on(
    fleet: Project, victim_database: Database, promises: Promises
) -> None:
    """Nothing of that tenant lands anywhere else."""
    with promises.watch(fleet, victim_database, touched=OTHERS, old="r1", new="r3") as watch:
        with held(victim_database, OTHERS[0]):
            driver = watch.start("upgrade", "--canary", OTHERS[0], "-p", "1")
            held_backends(victim_database)
            victim_database.execute(f"DROP SCHEMA {BAD} CASCADE")
            watch.before = watch.marks()
        report = watch.finish(driver, expect=3).json
        assert victim_database.fetch("SELECT FROM pg_namespace WHERE nspname = %s", [BAD]) == []
        watch.run("offboard", BAD, "--yes", expect=0)
    rows = {row["tenant"]: row for row in report["tenants"]}
    assert rows[BAD]["outcome"] == "failed"
    assert "does not exist" in rows[BAD]["error"]
    assert {rows[name]["outcome"] for name in OTHERS} == {"upgraded"}


@pytest.mark.parametrize("state", ["onboarding", "offboarding"])
def test_a_tenant_is_half_born_or_half_gone(
    fleet: Project, victim_database: Database, promises: Promises, state: str
) -> None:
    """Its onboarding would be begun anew by dropping it: no rollout works for that."""
    be = "UPDATE tenantmig.tenant SET state = %s WHERE name = %s"
    with promises.watch(fleet, victim_database, touched=TENANTS, old="r1", new="r3") as watch:
        victim_database.execute(be, [state, BAD])
        position = watch.log.position()
        everybody = watch.run("upgrade", expect={0, 3}).json
        named = watch.run("upgrade", "-t", BAD, expect={2, 3})
        assert BAD not in watch.log.since(position)
        assert watch.versions()[BAD] == "r1"
        victim_database.execute(be, ["active", BAD])
        watch.last_run = named.json["run"]  # what it says of the tenant was true before this
    rows = {row["tenant"]: row for row in everybody["tenants"]}
    assert {rows[name]["outcome"] for name in OTHERS} == {"upgraded"}
    assert state in named.out


def test_a_query_lists_one_schema_twice(
    fleet: Project, victim_database: Database, promises: Promises
) -> None:
    """Two tenants in one schema: nobody can say which is meant, so nothing is touched."""
    query = "SELECT name, schema FROM tenantmig.tenant WHERE state = 'active'"
    twice = f"{query} UNION ALL SELECT 'double', '{BAD}'"
    with promises.watch(fleet, victim_database, touched=TENANTS, old="r1", new="r3") as watch:
        for text, code in ((twice, 2), (query, 0)):
            fleet.settings(f'names = "wide"\nsource = "query"\nsource_query = "{text}"\n')
            position = watch.log.position()
            result = watch.run("upgrade", expect=code)
            if code:
                assert "more than once" in result.json["error"]["message"]
                assert BAD in result.json["error"]["message"]
                assert not watch.log.since(position)
                assert watch.outcomes() == {}


def test_a_query_lists_a_schema_that_is_missing(
    fleet: Project, victim_database: Database, promises: Promises
) -> None:
    query = "SELECT name, schema FROM tenantmig.tenant WHERE state = 'active'"
    more = f"{query} UNION ALL SELECT 'ghost', 'ghost'"
    with promises.watch(fleet, victim_database, touched=TENANTS, old="r1", new="r3") as watch:
        fleet.settings(f'names = "wide"\nsource = "query"\nsource_query = "{more}"\n')
        report = watch.run("upgrade", expect=0).json  # it waits for `onboard`
        listed = fleet.run("tenants", "list", "--json").json["tenants"]
        fleet.settings(f'names = "wide"\nsource = "query"\nsource_query = "{query}"\n')
    assert report["counts"] == {"upgraded": len(TENANTS)}
    assert [t["state"] for t in listed if t["tenant"] == "ghost"] == ["onboarding"]
    assert victim_database.fetch("SELECT FROM pg_namespace WHERE nspname = 'ghost'") == []
    built = "SELECT count(*) FROM pg_indexes WHERE indexname = %s"
    assert victim_database.fetch(built, [INDEX]) == [(len(TENANTS),)]

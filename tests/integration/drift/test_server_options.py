"""What a server keeps for itself among the options of columns and relations is no difference.

PostgreSQL 15.20 writes `pg_attver` into `pg_attribute.attoptions`, another value for each table. On
servers that do not, an event trigger does the same.
"""

from __future__ import annotations

import pytest

from tenantmig.catalog.fingerprint import read_fingerprints
from tests.fixtures.command import Project
from tests.fixtures.database import Database
from tests.fixtures.history import write_history
from tests.fixtures.rollouts import CREATE, OpenFleet, adding

STAMP = """
    CREATE SCHEMA server;
    CREATE FUNCTION server.stamp() RETURNS event_trigger LANGUAGE plpgsql AS $$
    BEGIN
        UPDATE pg_attribute
           SET attoptions = array_prepend('pg_attver=' || gen_random_uuid(), attoptions)
          FROM pg_event_trigger_ddl_commands() AS made JOIN pg_class ON pg_class.oid = objid
         WHERE classid = 'pg_class'::regclass AND attrelid = objid AND relkind NOT IN ('i', 'I')
           AND attnum > 0 AND NOT attisdropped
           AND coalesce(array_to_string(attoptions, ' '), '') !~ 'pg_attver';
    END $$;
    CREATE EVENT TRIGGER stamp ON ddl_command_end EXECUTE FUNCTION server.stamp();
"""
STAMPS = """
    SELECT DISTINCT nspname || '.' || relname, option
      FROM pg_attribute JOIN pg_class ON pg_class.oid = attrelid
      JOIN pg_namespace ON pg_namespace.oid = relnamespace, unnest(attoptions) AS option
     WHERE relname = 'thing' AND option LIKE 'pg\\_attver=%'
"""
MORE = "CREATE VIEW seen AS SELECT id FROM thing; CREATE TYPE pair AS (a int, b text)"
VIEW = ("r4", f"op.execute('{MORE}')", "op.execute('DROP VIEW seen; DROP TYPE pair')")
DISTINCT = "ALTER TABLE thing ALTER id {}SET (n_distinct{})"
COUNTED = (
    "r5",
    f"op.execute('{DISTINCT.format('', ' = 5')}')",
    f"op.execute('{DISTINCT.format('RE', '')}')",
)


def stamping(database: Database) -> None:
    """Let the server write its own option, if it does not by itself."""
    database.execute("CREATE TABLE public.probe (id int)")
    probe = "SELECT attoptions FROM pg_attribute WHERE attrelid = 'probe'::regclass AND attnum = 1"
    is_stamped = database.fetch(probe) != [(None,)]
    database.execute("DROP TABLE public.probe")
    if not is_stamped:
        database.execute(STAMP)


@pytest.fixture(params=["", "16"])
def stamped(request: pytest.FixtureRequest, three: Project) -> tuple[Project, Database]:
    """A project of r1 to r4 on a server that stamps its tables."""
    database: Database = request.getfixturevalue(f"database{request.param}")
    write_history(three.script_location, CREATE, adding("r2", "b"), adding("r3", "c"), VIEW)
    three.url = database.url
    stamping(database)
    return three, database


@pytest.mark.core
@pytest.mark.slow
def test_the_servers_own_option_is_no_difference(stamped: tuple[Project, Database]) -> None:
    project, database = stamped
    project.run("onboard", "a", "b", "c", "d", "--to", "r1")
    engines = {t["engine"] for t in project.run("upgrade", "--json").json["tenants"]}
    assert engines == {"alembic", "replay"}
    assert len(set(database.fetch(STAMPS))) >= 4
    assert len({option for _, option in database.fetch(STAMPS)}) >= 4  # no two are the same
    drift = project.run("drift", "--json").json
    assert (drift["differences"], drift["left_out"]) == ([], [])
    checked = project.run("check", "--json").json
    assert {r["downgrade"] for r in checked["revisions"]} == {"sound"}
    project.run("offboard", "d", "--yes")
    database.execute("CREATE SCHEMA d")
    project.alembic("-x", "tenant=d", "upgrade", "r3")
    database.execute("DROP TABLE d.alembic_version")
    (adopted,) = project.run("tenants", "adopt", "d", "--json").json["tenants"]
    assert (adopted["revision"], adopted["evidence"]) == ("r3", "catalog")
    project.run("downgrade", "r1", "--all", "--yes")
    project.run("drift")
    project.run("upgrade")
    project.run("drift")


OURS = """
    ALTER TABLE a.thing ALTER id SET (n_distinct = 7);
    ALTER TABLE a.thing SET (fillfactor = 70, toast.vacuum_truncate = off);
    ALTER VIEW a.seen SET (security_barrier = on);
"""
THEIRS = """
    UPDATE pg_attribute SET attoptions = '{{{0},n_distinct=5}}'
     WHERE attrelid = 'a.thing'::regclass AND attname = 'id';
    UPDATE pg_class SET reloptions = '{{{0}}}'
     WHERE oid IN ('a.thing'::regclass, 'a.seen'::regclass);
    UPDATE pg_class SET reloptions = '{{{0}}}'
     WHERE oid = (SELECT reltoastrelid FROM pg_class WHERE oid = 'a.thing'::regclass)
"""


@pytest.mark.core
def test_an_option_of_ours_is_a_difference_and_an_unknown_one_is_told(
    three: Project, open_fleet: OpenFleet, database: Database
) -> None:
    table = (CREATE[0], CREATE[1].replace("id int", "id int, t text"), CREATE[2])
    scripts = (table, adding("r2", "b"), adding("r3", "c"), VIEW, COUNTED)
    write_history(three.script_location, *scripts)
    fleet = open_fleet(canary="0")
    fleet.onboard(["a", "b"])
    database.execute(OURS)
    (group,) = fleet.drift().drifted
    assert {(d.kind, d.either.part_of, d.either.name) for d in group.differences} == {
        ("column settings", "thing", "id"),
        ("storage parameters", "thing", ""),
        ("storage parameters", "seen", ""),
    }
    for option, left_out in (("pg_attver=7", ()), ("new_one=7", ("new_one",))):
        database.execute(THEIRS.format(option))
        drift = fleet.drift()
        assert (drift.drifted, drift.left_out) == ((), left_out)
        with database.connect() as connection:
            prints = read_fingerprints(connection, ["a", "b"])
        assert prints["a"] == prints["b"]
    said = three.run("drift").out
    assert said.count("new_one") == 1
    assert "Not compared" in said

"""`run_as = "schema_owner"`: what runs too early or too late, and names that hide others."""

from __future__ import annotations

import pytest

from tenantmig import Fleet
from tenantmig.domain.tenant import Selection
from tests.fixtures.rollouts import stands
from tests.integration.postgres import test_run_as
from tests.integration.postgres.test_run_as import EVIL, WALLS, Estate, done

estate = test_run_as.estate

MADE = """op.execute('CREATE TABLE note (id int, body text)')
    op.execute("INSERT INTO note VALUES (1, 'x')")
    op.execute("CREATE FUNCTION fits(text) RETURNS bool IMMUTABLE LANGUAGE sql AS 'SELECT true'")
    op.execute('CREATE DOMAIN mail AS text CHECK (fits(VALUE))')
    op.execute('CREATE TYPE address AS (mail mail)')
    op.execute('CREATE TABLE sent (id int, mails mail[])')
    op.execute('CREATE TABLE part (id int) PARTITION BY RANGE (id)')
    op.execute('CREATE TABLE part1 PARTITION OF part FOR VALUES FROM (0) TO (9)')"""
ALONE = """with op.get_context().autocommit_block():
        op.execute("{}")"""
UPDATES = "op.execute('UPDATE note SET id = 1')"
BINDS = f"""{UPDATES}
    op.get_bind().execute(sa.text('UPDATE note SET id = :id'), {{'id': 7}})"""
COMMITS = f"""{UPDATES}
    op.get_bind().commit()"""
SPY = """
    CREATE SEQUENCE spied;
    CREATE FUNCTION spy() RETURNS void LANGUAGE plpgsql AS $$ BEGIN
        PERFORM {tenant}.evil();
        BEGIN RESET ROLE; EXCEPTION WHEN OTHERS THEN NULL; END;
        IF current_user = '{migrator}' THEN PERFORM pg_catalog.setval('{tenant}.spied', 2); END IF;
    END $$;
    CREATE TABLE trap (id int);
    CREATE FUNCTION sprung() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
        PERFORM {tenant}.spy();
        SET CONSTRAINTS ALL DEFERRED;
        IF NEW.id < 5 THEN INSERT INTO {tenant}.trap VALUES (NEW.id + 1); END IF;
        RETURN NEW; END $$;
    CREATE CONSTRAINT TRIGGER t AFTER INSERT ON trap DEFERRABLE INITIALLY DEFERRED
        FOR EACH ROW EXECUTE FUNCTION sprung();
    GRANT USAGE ON SCHEMA {tenant} TO PUBLIC;
    GRANT ALL ON loot, trap TO PUBLIC;
    GRANT ALL ON SEQUENCE spied TO PUBLIC;
    CREATE FUNCTION pg_current_xact_id_if_assigned() RETURNS xid8 LANGUAGE plpgsql AS $$ BEGIN
        PERFORM {tenant}.spy(); RETURN NULL; END $$;
"""
FITS = """CREATE OR REPLACE FUNCTION fits(text) RETURNS bool IMMUTABLE LANGUAGE plpgsql AS
    $$ BEGIN PERFORM {tenant}.spy(); RETURN true; END $$;"""
KEY = """
    CREATE FUNCTION key(int) RETURNS int IMMUTABLE LANGUAGE plpgsql AS
        $$ BEGIN PERFORM {tenant}.spy(); RETURN 0; END $$;
    DROP TABLE part;
    CREATE TABLE part (id int) PARTITION BY RANGE ((id + key(1)));
    CREATE TABLE part1 (id int);
    ALTER TABLE part ATTACH PARTITION part1 FOR VALUES FROM (0) TO (9);
"""
FIRES = "CREATE TRIGGER t BEFORE UPDATE ON note FOR EACH ROW EXECUTE FUNCTION fired();"
SHADOWS = """
    CREATE OR REPLACE FUNCTION {tenant}.format_type(oid, int) RETURNS text LANGUAGE plpgsql AS
        'BEGIN PERFORM {tenant}.spy(); RETURN ''int''; END';
    PERFORM set_config('search_path', '{tenant}, pg_catalog', false);
"""
TEMPORARY = """
    CREATE TEMP VIEW pg_locks AS SELECT 1 AS pid FROM {tenant}.spy();
    PERFORM set_config('search_path', '{tenant}', false);
"""
DETACH = "ALTER TABLE part DETACH PARTITION part1 CONCURRENTLY"
WITH_ARRAY = "CREATE INDEX CONCURRENTLY ix ON sent (id) WHERE mails = '{a}'"
WITH_ROW = "CREATE INDEX CONCURRENTLY ix ON sent (('(a)'::address IS NULL))"
ATTACKS = {
    "array": (ALONE.format(WITH_ARRAY), FITS, "", "the check mail_check of the domain"),
    "row": (ALONE.format(WITH_ROW), FITS, "", "the check mail_check of the domain"),
    "key": (ALONE.format(DETACH), KEY, "", "the partition key of"),
    "binding": (BINDS, FIRES, SHADOWS, "could run code as the migrator"),
    "committing": (
        COMMITS,
        FIRES,
        "PERFORM set_config('search_path', '{tenant}, other, pg_catalog', false);",
        "pg_catalog is not first",
    ),
    "temporary": (
        UPDATES,
        FIRES,
        TEMPORARY,
        "pg_catalog is not first",
    ),
    "colluding": (
        UPDATES,
        FIRES,
        "SET CONSTRAINTS ALL DEFERRED; INSERT INTO other.trap VALUES (1);",
        "the deferrable trigger t on other.trap",
    ),
}
"""The script, what the tenant makes, what its trigger does, and what is said."""


@pytest.mark.slow
@pytest.mark.parametrize("estate", ["newest", "16"], indirect=True)
@pytest.mark.parametrize("attack", ATTACKS)
def test_nothing_of_a_tenant_runs_as_the_migrator_early_or_late(
    estate: Estate, attack: str
) -> None:
    script, code, body, said = ATTACKS[attack]
    names = ["victim", "acme", "other"]
    estate.make_owners(*names)
    project = estate.project(("r1", MADE, "pass"), ("r2", script, "pass"), engine="auto")
    with Fleet.open(project.ini, database_url=estate.url) as fleet:
        done(fleet.onboard(names, "r1"))
        for name in ("other", "acme"):
            made = EVIL + SPY
            if name == "acme":
                made = (
                    made.split("CREATE FUNCTION pg_current")[0] + "DROP TABLE trap CASCADE;" + code
                )
            for gap, text in {"{body}": body, "{tenant}": name}.items():
                made = made.replace(gap, text)
            estate.as_owner(name, made.replace("{migrator}", estate.migrator))
        estate.database.execute("TRUNCATE acme.loot; TRUNCATE other.loot")
        report = fleet.upgrade(selection=Selection(names=("acme",)))
    assert said in (report.tenants[0].error or ""), report.tenants
    for name in ("acme", "other"):
        assert estate.database.fetch(f"SELECT is_called FROM {name}.spied") == [(False,)]
        assert (estate.migrator, "x") not in estate.database.fetch(f"SELECT * FROM {name}.loot")
    assert stands(estate.database, "acme") == {"acme": "r1"}
    assert estate.database.fetch(WALLS) == []

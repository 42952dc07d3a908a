"""`run_as = "schema_owner"`: scripts run as the role that owns the tenant schema."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tenantmig import Fleet, RunReport
from tenantmig.domain.tenant import EVERYONE, Selection
from tenantmig.errors import PrivilegeError, SettingsError
from tenantmig.fleet.run_options import RunOptions
from tenantmig.settings import load_settings
from tests.fixtures.command import Project
from tests.fixtures.database import Database, fresh_database
from tests.fixtures.history import write_history
from tests.fixtures.oracles import catalog
from tests.fixtures.rollouts import outcomes, stands
from tests.fixtures.server import AnyServer, Server

MAKE = """op.create_table(
        'note', sa.Column('id', sa.Integer, sa.Identity(), primary_key=True),
        sa.Column('body', sa.Text, index=True))
    op.execute("CREATE TYPE mood AS ENUM ('calm')")
    op.execute("CREATE VIEW seen AS SELECT body FROM note")
    op.execute("CREATE FUNCTION total() RETURNS int LANGUAGE sql AS 'SELECT 1'")"""
UNMAKE = """op.execute("DROP FUNCTION total()")
    op.execute("DROP VIEW seen")
    op.execute("DROP TYPE mood")
    op.drop_table('note')"""
FILL = """op.bulk_insert(sa.table('note', sa.column('body')), [{'body': 'one'}, {'body': '100%'}])
    op.add_column('note', sa.Column('length', sa.Integer))
    op.execute('UPDATE note SET length = pg_catalog.length(body)')"""
EMPTY = """op.drop_column('note', 'length')
    op.execute('DELETE FROM note')"""
READ = """found = op.get_bind().execute(sa.text(
        'INSERT INTO note (body, length) VALUES (:body, :length) RETURNING id, body'),
        {'body': 'read', 'length': 4}).all()
    assert [row.body for row in found] == ['read'], found
    rows = op.get_bind().execute(sa.text('SELECT length, body AS b FROM note ORDER BY id')).all()
    assert [tuple(row) for row in rows] == [(3, 'one'), (4, '100%'), (4, 'read')], rows
    changed = op.get_bind().execute(sa.text('UPDATE note SET length = 0')).rowcount
    assert changed == 3, changed"""
BUILD = """with op.get_context().autocommit_block():
        op.create_index('ix_length', 'note', ['length'], postgresql_concurrently=True)
        op.execute("ALTER TYPE mood ADD VALUE IF NOT EXISTS 'wild'")
        op.execute("UPDATE note SET length = 1 WHERE body = 'one'")"""
UNBUILD = """with op.get_context().autocommit_block():
        op.drop_index('ix_length', postgresql_concurrently=True)"""
HISTORY = (("r1", MAKE, UNMAKE), ("r2", FILL, EMPTY), ("r3", READ, "pass"), ("r4", BUILD, UNBUILD))
OWNERS = """
    SELECT DISTINCT n.nspname::text, coalesce(c.relname, t.typname, p.proname)::text,
           pg_get_userbyid(coalesce(c.relowner, t.typowner, p.proowner))::text
      FROM pg_namespace AS n
      JOIN pg_depend AS d ON d.refclassid = 'pg_namespace'::regclass AND d.refobjid = n.oid
      LEFT JOIN pg_class AS c ON d.classid = 'pg_class'::regclass AND c.oid = d.objid
      LEFT JOIN pg_type AS t ON d.classid = 'pg_type'::regclass AND t.oid = d.objid
      LEFT JOIN pg_proc AS p ON d.classid = 'pg_proc'::regclass AND p.oid = d.objid
     WHERE n.nspname = ANY(%s)
"""
WALLS = "SELECT nspname FROM pg_namespace WHERE nspname LIKE 'tenantmig\\_wall%%'"


@dataclass
class Estate:
    """A database, the role that migrates in it, and a role for each tenant's schema."""

    database: Database
    migrator: str
    folder: Path

    @property
    def url(self) -> str:
        return self.database.server.url(self.database.name, user=self.migrator)

    @property
    def pattern(self) -> str:
        """The setting `onboard_owner`."""
        return f"{self.migrator}_{{name}}"

    def owner(self, tenant: str) -> str:
        return f"{self.migrator}_{tenant}"

    def make_owners(self, *tenants: str) -> None:
        made = (
            f"CREATE ROLE {self.owner(t)} NOLOGIN; GRANT {self.owner(t)} TO {self.migrator};"
            for t in tenants
        )
        self.database.execute("".join(made))

    def project(self, *scripts: tuple[str, str, str], **settings: object) -> Project:
        lines = [
            (name, up.replace("\n    ", "\n"), down.replace("\n    ", "\n"))
            for name, up, down in scripts or HISTORY
        ]
        history = write_history(self.folder / "history", *lines)
        made = Project(self.folder, self.url, history)
        facts = {"run_as": "schema_owner", "onboard_owner": self.pattern} | settings
        made.settings("\n".join(f"{key} = {json.dumps(value)}" for key, value in facts.items()))
        return made

    def as_owner(self, tenant: str, code: str) -> None:
        """Run SQL of the tenant's own role in its schema."""
        role = self.owner(tenant)
        self.database.execute(f"SET ROLE {role}; SET search_path = {tenant}; {code}")

    def owners(self, *tenants: str) -> set[tuple[str, str]]:
        """Each tenant whose objects belong to somebody else than its owner, and what these are."""
        found = self.database.fetch(OWNERS, [list(tenants)])
        return {(name, role) for schema, name, role in found if role != self.owner(schema)}


@pytest.fixture
def estate(request: pytest.FixtureRequest, server: AnyServer, tmp_path: Path) -> Iterator[Estate]:
    is_old = getattr(request, "param", "newest") == "16"
    old: Server | None = request.getfixturevalue("server16") if is_old else None
    with fresh_database(old or server) as database:
        role = f"m{database.name[5:17]}"
        database.execute(
            f'CREATE ROLE {role} LOGIN; GRANT CREATE ON DATABASE "{database.name}" TO {role};'
        )
        yield Estate(database, role, tmp_path)
        made = "SELECT rolname FROM pg_roles WHERE rolname LIKE %s ORDER BY length(rolname) DESC"
        for (name,) in database.fetch(made, [f"{role}%"]):
            database.execute(f'DROP OWNED BY "{name}" CASCADE; DROP ROLE "{name}"')


def done(report: RunReport) -> RunReport:
    """The same, if all went well."""
    assert report.is_complete, {t.error for t in report.tenants}
    return report


def engines(report: RunReport) -> set[str | None]:
    return {tenant.engine for tenant in report.tenants}


@pytest.mark.slow
@pytest.mark.parametrize("engine", ["alembic", "auto"])
def test_everything_that_scripts_make_belongs_to_the_owner(estate: Estate, engine: str) -> None:
    names = [f"t{number:02}" for number in range(6)]
    estate.make_owners(*names)
    project = estate.project(engine=engine)
    with Fleet.open(project.ini, database_url=estate.url) as fleet:
        done(fleet.onboard(names, "r1"))
        done(fleet.upgrade("r2"))
        done(fleet.upgrade())
        assert estate.owners(*names) == {("alembic_version", estate.migrator)}
        done(fleet.downgrade("r1", EVERYONE))
    assert estate.database.fetch(WALLS) == []


# -- what the tenant's code may do ---------------------------------------------------------------

REACHED = (
    """op.execute('CREATE TABLE note (id int, body text)')
    op.execute("INSERT INTO note VALUES (1, 'x')")
    op.execute("CREATE FUNCTION helper(text) RETURNS text LANGUAGE sql AS 'SELECT $1'")
    op.execute("CREATE FUNCTION same(text, text) RETURNS bool LANGUAGE sql AS 'SELECT true'")
    op.execute('CREATE OPERATOR === (LEFTARG = text, RIGHTARG = text, FUNCTION = same)')
    op.execute('CREATE DOMAIN mail AS text')
    op.execute('CREATE TABLE sent (mails mail[])')""",
    """op.execute("UPDATE note SET body = helper(body) WHERE body === 'x'")
    op.execute("INSERT INTO sent VALUES ('{a}')")
    op.execute('DELETE FROM note WHERE id > 1')""",
)
EVIL = """
    CREATE TABLE loot (who text, what text);
    CREATE FUNCTION evil() RETURNS int LANGUAGE plpgsql AS $$ BEGIN
        BEGIN RESET ROLE; EXCEPTION WHEN OTHERS THEN NULL; END;
        BEGIN PERFORM set_config('role', 'none', false); EXCEPTION WHEN OTHERS THEN NULL; END;
        BEGIN
            INSERT INTO {tenant}.loot SELECT current_user, body FROM victim.note LIMIT 1;
        EXCEPTION WHEN insufficient_privilege THEN
            INSERT INTO {tenant}.loot VALUES (current_user, 'denied');
        END;
        RETURN 1;
    END $$;
    CREATE FUNCTION fired() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
        {body}
        RETURN NEW; END $$;
"""
PLAIN = "PERFORM {tenant}.evil();"
HOLD = "EXECUTE 'DECLARE later CURSOR WITH HOLD FOR SELECT {tenant}.evil()';"
CODE = "CREATE OR REPLACE FUNCTION {} LANGUAGE plpgsql AS $$ BEGIN {{body}} RETURN {}; END $$;"
FIRES = "EACH ROW EXECUTE FUNCTION fired();"
WAITS = (
    f"CREATE CONSTRAINT TRIGGER t AFTER UPDATE ON note DEFERRABLE INITIALLY DEFERRED FOR {FIRES}"
)
CHECKS = """
    DROP TABLE sent;
    ALTER DOMAIN mail ADD CHECK ({tenant}.evil() = 1);
    CREATE TABLE sent (mails mail[]);
"""
EXCLUDES = """
    CREATE FUNCTION odd(text) RETURNS text IMMUTABLE LANGUAGE plpgsql AS
        $$ BEGIN {body} RETURN $1; END $$;
    ALTER TABLE note ADD EXCLUDE USING btree (odd(body) WITH =) DEFERRABLE INITIALLY DEFERRED;
"""
CASTS = """
    CREATE TYPE colour AS ENUM ('red');
    CREATE FUNCTION number(colour) RETURNS int IMMUTABLE LANGUAGE plpgsql AS
        $$ BEGIN {body} RETURN 1; END $$;
    CREATE CAST (colour AS int) WITH FUNCTION number(colour) AS IMPLICIT;
"""
TAKES_TABLE = """
    BEGIN CREATE TRIGGER t BEFORE UPDATE ON alembic_version FOR EACH STATEMENT
              EXECUTE FUNCTION {tenant}.fired();
    EXCEPTION WHEN insufficient_privilege OR duplicate_object THEN NULL; END;
"""
ATTACKS = {
    "trigger": (f"CREATE TRIGGER t BEFORE UPDATE ON note FOR {FIRES}", PLAIN),
    "helper": (CODE.format("helper(text) RETURNS text", "$1"), PLAIN),
    "operator": (CODE.format("same(text, text) RETURNS bool", "true"), PLAIN),
    "domain": (CHECKS, PLAIN),
    "defaults": ("ALTER TABLE sent ADD stolen int DEFAULT {tenant}.evil();", PLAIN),
    "rule": ("CREATE RULE r AS ON UPDATE TO note DO ALSO SELECT {tenant}.evil();", PLAIN),
    "holding": (CODE.format("helper(text) RETURNS text", "$1"), HOLD),
    "taking": (CODE.format("helper(text) RETURNS text", "$1"), TAKES_TABLE),
}
"""What a tenant's own role makes, and what its code does; each is the tenant's name as well."""
REFUSED = {
    "waiting": (WAITS, PLAIN),
    "chained": (WAITS, HOLD),
    "excluding": (EXCLUDES, PLAIN),
    "casting": (CASTS, PLAIN),
}
"""What could run at the COMMIT."""


def attacked(estate: Estate, **settings: object) -> Project:
    """A fleet at r1, each tenant with an attack of its own."""
    names = ["victim", *ATTACKS, *REFUSED, "one", "two"]
    estate.make_owners(*names)
    scripts = (("r1", REACHED[0], "pass"), ("r2", REACHED[1], REACHED[1]))
    settings = {"max_failures": "100%", "canary": "one,two"} | settings
    project = estate.project(*scripts, **settings)
    with Fleet.open(project.ini, database_url=estate.url, canary="1") as fleet:
        done(fleet.onboard(names, "r1"))
    for name in names:
        code, body = (ATTACKS | REFUSED).get(name, ("", ""))
        evil = EVIL + code if code else "CREATE TABLE loot (who text, what text)"
        for gap, text in {"{body}": body, "{tenant}": name}.items():
            evil = evil.replace(gap, text)
        estate.as_owner(name, evil)
    return project


def loot(estate: Estate) -> dict[str, set[tuple[str, str]]]:
    """Who ran the code of each tenant, and what it saw of another's."""
    found = {}
    for name in ATTACKS | REFUSED:
        found[name] = set(estate.database.fetch(f"SELECT who, what FROM {name}.loot"))
    return found


def check_loot(estate: Estate) -> None:
    """Each tenant's code ran as its owner, or not at all."""
    found = loot(estate)
    for name in ATTACKS.keys() - {"holding", "taking"}:
        assert found[name] == {(estate.owner(name), "denied")}, name
    for name in ("holding", "taking", *REFUSED):
        assert found[name] <= {(estate.owner(name), "denied")}, name


@pytest.mark.slow
@pytest.mark.parametrize("estate", ["newest", "16"], indirect=True)
@pytest.mark.parametrize("engine", ["alembic", "auto"])
def test_a_tenants_code_can_do_no_more_than_the_tenant(estate: Estate, engine: str) -> None:
    project = attacked(estate, engine=engine)
    with Fleet.open(project.ini, database_url=estate.url) as fleet:
        report = fleet.upgrade()
        told = outcomes(report)
        errors = {tenant.tenant: tenant.error or "" for tenant in report.tenants}
        assert {name for name, outcome in told.items() if outcome == "failed"} == REFUSED.keys()
        for name in REFUSED:
            assert "could run code as the migrator" in errors[name], errors[name]
            assert "deferrable" in errors[name] or "implicit cast" in errors[name]
    check_loot(estate)
    assert estate.database.fetch(WALLS) == []


@pytest.mark.slow
@pytest.mark.parametrize("body", [PLAIN, HOLD])
def test_a_replay_runs_behind_the_same_wall(estate: Estate, body: str) -> None:
    names = ["one", "two", "bad", "victim"]
    estate.make_owners(*names)
    made = """op.execute('CREATE TABLE note (body text)')
    op.execute('CREATE TABLE loot (who text, what text)')
    op.execute("INSERT INTO note VALUES ('x')")
    op.execute("CREATE FUNCTION helper(text) RETURNS text LANGUAGE sql AS 'SELECT $1'")"""
    reached = "op.execute('UPDATE note SET body = helper(body)')"
    project = estate.project(
        ("r1", made, "pass"), ("r2", reached, "pass"), canary="one,two", parallel=1
    )
    with Fleet.open(project.ini, database_url=estate.url, canary="1") as fleet:
        done(fleet.onboard(names, "r1"))
    evil = EVIL.replace("CREATE TABLE loot (who text, what text);", "")
    evil += CODE.format("helper(text) RETURNS text", "$1")
    estate.as_owner("bad", evil.replace("{body}", body).replace("{tenant}", "bad"))
    with Fleet.open(project.ini, database_url=estate.url) as fleet:
        report = done(fleet.upgrade())
    assert {t.engine for t in report.tenants if t.tenant == "bad"} == {"replay"}, report
    found = set(estate.database.fetch("SELECT who, what FROM bad.loot"))
    assert found == ({(estate.owner("bad"), "denied")} if body == PLAIN else set())


@pytest.mark.slow
def test_plain_alembic_holds_the_same_wall(estate: Estate) -> None:
    project = attacked(estate)
    for name in ATTACKS:
        project.alembic("-x", f"tenant={name}", "upgrade", "head")
        project.alembic("-x", f"tenant={name}", "downgrade", "r1")
    for name in REFUSED:
        result = project.alembic("-x", f"tenant={name}", "upgrade", "head", expect=1)
        assert "could run code as the migrator" in result.out + result.err
    check_loot(estate)


@pytest.mark.slow
def test_without_the_setting_a_tenants_code_runs_as_the_migrator(estate: Estate) -> None:
    """What the setting is for: the same attacks see another tenant's rows."""
    project = attacked(estate)
    with Fleet.open(project.ini, database_url=estate.url, run_as="connected") as fleet:
        fleet.upgrade()
    found = loot(estate)
    for name in ("trigger", "helper", "operator", "domain", "rule", "holding", "waiting"):
        assert found[name] == {(estate.migrator, "x")}, (name, found[name])


@pytest.mark.slow
def test_a_version_table_that_the_tenant_owns_is_looked_at_before_it_is_written(
    estate: Estate,
) -> None:
    project = attacked(estate, engine="alembic")
    owner = estate.owner("taking")
    estate.database.execute(f"ALTER TABLE taking.alembic_version OWNER TO {owner}")
    with Fleet.open(project.ini, database_url=estate.url) as fleet:
        report = fleet.upgrade()
    (told,) = [t.error for t in report.tenants if t.tenant == "taking"]
    assert told is not None
    assert "it has a trigger" in told
    assert loot(estate)["taking"] == set()
    assert stands(estate.database, "taking") == {"taking": "r1"}


# -- what is told --------------------------------------------------------------------------------


@pytest.mark.slow
def test_an_owner_that_the_migrator_cannot_act_as_is_told_before_anything(estate: Estate) -> None:
    estate.make_owners("acme", "other")
    project = estate.project()
    me, owner = estate.migrator, estate.owner("acme")
    with Fleet.open(project.ini, database_url=estate.url) as fleet:
        with pytest.raises(PrivilegeError, match="there is no such role"):
            fleet.onboard(["nobody"])
        done(fleet.onboard(["acme", "other"], "r1"))
        estate.database.execute(f"REVOKE {owner} FROM {me}; GRANT USAGE ON SCHEMA acme TO {me}")
        estate.database.execute(f"GRANT SELECT ON acme.alembic_version TO {me}")
        with pytest.raises(PrivilegeError, match=f'GRANT "{owner}" TO "{me}".*Nothing was touched'):
            fleet.upgrade()
        estate.database.execute("ALTER SCHEMA acme OWNER TO postgres")
        with pytest.raises(PrivilegeError, match=r'"acme" .* its owner "postgres": it is a super'):
            fleet.upgrade()
        runs = len(fleet.runs())
    assert stands(estate.database, "acme", "other") == {"acme": "r1", "other": "r1"}
    said = project.alembic("-x", "tenant=acme", "upgrade", "head", expect=255)
    assert "it is a superuser" in said.out + said.err
    assert "Traceback" not in said.out + said.err
    assert runs == 1


@pytest.mark.slow
@pytest.mark.parametrize("engine", ["alembic", "auto"])
def test_a_right_that_the_owner_lacks_is_told_with_the_remedy(estate: Estate, engine: str) -> None:
    names = ["acme", "first", "other"]
    estate.make_owners(*names)
    estate.database.execute(f"CREATE SCHEMA shared AUTHORIZATION {estate.migrator}")
    estate.database.execute(f"SET ROLE {estate.migrator}; CREATE TABLE shared.price (id int)")
    reads = "op.execute('UPDATE note SET body = id FROM shared.price')"
    made = "op.execute('CREATE TABLE note (body text)')"
    project = estate.project(("r1", made, "pass"), ("r2", reads, "pass"), engine=engine)
    with Fleet.open(project.ini, database_url=estate.url) as fleet:
        done(fleet.onboard(names, "r1"))
        report = fleet.upgrade()
        (failed,) = [t for t in report.tenants if t.outcome == "failed"]
        assert failed.sqlstate == "42501"
        assert f'it ran as "{estate.owner(failed.tenant)}"' in (failed.error or "")
        for name in names:
            grant = "GRANT USAGE ON SCHEMA shared TO {0}; GRANT SELECT ON shared.price TO {0}"
            estate.database.execute(grant.format(estate.owner(name)))
        done(fleet.resume())


@pytest.mark.parametrize(
    ("value", "found"), [("owner", "'connected' or 'schema_owner'"), ("", "schema_owner")]
)
def test_another_value_is_refused_in_words(estate: Estate, value: str, found: str) -> None:
    project = estate.project(run_as=value)
    with pytest.raises(SettingsError, match=found):
        load_settings(config=project.ini)


def test_a_pattern_for_owners_that_means_nothing_is_refused(estate: Estate) -> None:
    project = estate.project(onboard_owner="{tenant}_owner")
    with pytest.raises(SettingsError, match=r"\{name\} and \{schema\} stand for"):
        load_settings(config=project.ini)


def test_a_schema_of_the_connected_role_needs_no_wall(estate: Estate) -> None:
    says = "op.execute('SET LOCAL ROLE NONE')"
    project = estate.project(("r1", says, "pass"), onboard_owner="", engine="alembic")
    with Fleet.open(project.ini, database_url=estate.url) as fleet:
        done(fleet.onboard(["acme"]))


# -- what scripts do -----------------------------------------------------------------------------

REFUSED_WAYS = {
    "role": ("op.execute('SET ROLE NONE')", "role"),
    "reset": ("op.execute('RESET ROLE')", "role"),
    "local": ("op.execute('SET LOCAL ROLE NONE')", "role"),
    "copy": (
        "with op.get_bind().connection.cursor().copy('COPY note FROM STDIN'):\n        pass",
        "COPY, which cannot run as the owner",
    ),
    "named": ("op.get_bind().connection.cursor('mine')", "a cursor with a name"),
    "commit": ("op.execute('DO $$ BEGIN COMMIT; END $$')", "invalid transaction termination"),
}


@pytest.mark.slow
def test_ways_past_the_wall_are_refused_in_words(estate: Estate) -> None:
    estate.make_owners(*REFUSED_WAYS)
    choose = "\n".join(
        f"if schema == {name!r}:\n        " + code.replace("\n", "\n    ")
        for name, (code, _) in REFUSED_WAYS.items()
    )
    asks = "schema = op.get_bind().execute(sa.text('SELECT current_schema()')).scalar()\n"
    made = "op.execute('CREATE TABLE note (id int)')"
    project = estate.project(("r1", made, "pass"), ("r2", asks + choose, "pass"), engine="alembic")
    with Fleet.open(project.ini, database_url=estate.url) as fleet:
        done(fleet.onboard(list(REFUSED_WAYS), "r1"))
        errors: dict[str, str] = {}
        for name in REFUSED_WAYS:
            report = fleet.upgrade(selection=Selection(names=(name,)))
            errors[name] = report.tenants[0].error or ""
    for name, (_, found) in REFUSED_WAYS.items():
        assert found in errors[name], (name, errors[name])
    assert stands(estate.database, *REFUSED_WAYS) == dict.fromkeys(REFUSED_WAYS, "r1")
    assert estate.database.fetch(WALLS) == []


SAVES = """bind = op.get_bind()
    bind.commit()
    try:
        with bind.begin_nested():
            op.execute('INSERT INTO note SELECT 1 / 0')
    except sa.exc.DBAPIError:
        op.execute('INSERT INTO note VALUES (2)')
    try:
        with bind.begin_nested():
            bind.execute(sa.text('SELECT 1 / 0')).all()
    except sa.exc.DBAPIError:
        pass
    bind.commit()
    with bind.engine.connect() as beside:
        beside.execute(sa.text('INSERT INTO note VALUES (3)'))
        beside.commit()
    op.execute('INSERT INTO note VALUES (4)')
    op.get_bind().connection.cursor().executemany(
        'INSERT INTO note VALUES (%s)', [(5,), (6,)])
    found = bind.execute(sa.text('SELECT array_agg(id ORDER BY id), now(), 1.5::float FROM note'))
    assert found.one()[0] == [2, 3, 4, 5, 6]"""


@pytest.mark.slow
def test_savepoints_own_commits_and_connections_beside(estate: Estate) -> None:
    estate.make_owners("acme", "other")
    made = "op.execute('CREATE TABLE note (id int)')"
    project = estate.project(("r1", made, "pass"), ("r2", SAVES, "pass"))
    who = "CREATE TRIGGER who BEFORE INSERT ON note FOR EACH ROW EXECUTE FUNCTION who()"
    function = """CREATE FUNCTION who() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
        RESET ROLE; RETURN NEW; END $$;"""
    with Fleet.open(project.ini, database_url=estate.url) as fleet:
        done(fleet.onboard(["acme", "other"], "r1"))
        done(fleet.upgrade(selection=Selection(names=("acme",))))
        estate.as_owner("other", function + who)
        report = fleet.upgrade()
        (error,) = [t.error or "" for t in report.tenants if t.tenant == "other"]
    assert 'cannot set parameter "role" within security-definer function' in error
    assert estate.database.fetch("SELECT count(*) FROM acme.note") == [(5,)]
    assert estate.database.fetch("SELECT count(*) FROM other.note") == [(0,)]
    assert estate.database.fetch(WALLS) == []


CUT = """with op.get_context().autocommit_block():
        op.execute('UPDATE note SET id = id + 1')
        op.create_index('ix', 'note', ['id'], postgresql_concurrently=True, unique=True)
    op.execute('CREATE TABLE last (id int)')"""


@pytest.mark.slow
def test_a_revision_that_was_cut_off_outside_a_transaction_is_resumed(estate: Estate) -> None:
    estate.make_owners("acme")
    made = "op.execute('CREATE TABLE note AS SELECT 1 AS id UNION ALL SELECT 1')"
    project = estate.project(("r1", made, "pass"), ("r2", CUT, "pass"))
    with Fleet.open(project.ini, database_url=estate.url) as fleet:
        done(fleet.onboard(["acme"], "r1"))
        report = fleet.upgrade()
        assert outcomes(report) == {"acme": "in_doubt"}
        assert "(part of the revision is committed" in (report.tenants[0].error or "")
        estate.database.execute(
            "DELETE FROM acme.note WHERE ctid IN (SELECT min(ctid) FROM acme.note)"
        )
        done(fleet.resume())
    assert estate.owners("acme") == {("alembic_version", estate.migrator)}
    assert estate.database.fetch("SELECT id FROM acme.note") == [(2,)]
    assert estate.database.fetch(WALLS) == []


@pytest.mark.slow
def test_sessions_serve_owner_after_owner(estate: Estate) -> None:
    """One connection and one worker; each tenant's objects are its own."""
    names = [f"t{number}" for number in range(5)]
    estate.make_owners(*names)
    project = estate.project(parallel=1, recycle_after=2)
    with Fleet.open(project.ini, database_url=estate.url) as fleet:
        done(fleet.onboard(names, "r1"))
        done(fleet.upgrade())
    assert estate.owners(*names) == {("alembic_version", estate.migrator)}


@pytest.mark.slow
def test_a_backup_of_such_a_tenant_comes_back_with_its_owners(estate: Estate) -> None:
    estate.make_owners("acme")
    project = estate.project()
    with Fleet.open(project.ini, database_url=estate.url) as fleet:
        done(fleet.onboard(["acme"], "r1"))
        with estate.database.connect() as connection:
            before = catalog(connection, "acme")
        report = done(fleet.upgrade("r2", options=RunOptions(backup=estate.folder)))
        done(fleet.restore("acme", estate.folder / f"run{report.run}-acme.dump"))
        with estate.database.connect() as connection:
            assert catalog(connection, "acme") == before
        done(fleet.upgrade())
    assert estate.owners("acme") == {("alembic_version", estate.migrator)}


# -- a fleet of many ----------------------------------------------------------------------------

NOTED = """
    CREATE TABLE who (role text);
    ALTER TABLE who OWNER TO {role};
    CREATE FUNCTION note_who() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN INSERT INTO public.who VALUES (current_user); RETURN NEW; END $$;
    CREATE TRIGGER who BEFORE INSERT OR UPDATE ON tenantmig.run_tenant
        FOR EACH ROW EXECUTE FUNCTION public.note_who();
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("count", "engine"),
    [
        (8, "alembic"),
        (16, "auto"),
        pytest.param(50, "alembic", marks=pytest.mark.full),
        pytest.param(50, "auto", marks=pytest.mark.full),
    ],
)
def test_many_owners_are_onboarded_upgraded_rolled_back_and_downgraded(
    estate: Estate, count: int, engine: str
) -> None:
    names = [f"t{number:02}" for number in range(count)]
    estate.make_owners(*names, "plain")
    project = estate.project(engine=engine)
    estate.database.allow_public("who", "who[]", "note_who()")
    with Fleet.open(project.ini, database_url=estate.url) as fleet:
        report = done(fleet.onboard(names, "r1"))
        done(fleet.onboard(["plain"], "r1"))
        estate.database.execute(NOTED.replace("{role}", estate.migrator))
        upgraded = done(fleet.upgrade(selection=Selection(names=("t*",))))
        project.alembic("-x", "tenant=plain", "upgrade", "head")
        if engine == "auto":
            assert {"replay", "alembic"} == {t.engine for t in [*report.tenants, *upgraded.tenants]}
        with estate.database.connect() as connection:
            expected = neutral(catalog(connection, "plain"), estate, "plain")
            for name in names:
                assert neutral(catalog(connection, name), estate, name) == expected
        done(fleet.rollback(upgraded.run or 0))
        assert set(stands(estate.database, *names).values()) == {"r1"}
        done(fleet.upgrade(selection=Selection(names=("t*",))))
        done(fleet.downgrade("r1", Selection(names=("t*",))))
    assert set(stands(estate.database, *names).values()) == {"r1"}
    assert estate.owners(*names) == {("alembic_version", estate.migrator)}
    assert estate.database.fetch("SELECT DISTINCT role FROM who") == [(estate.migrator,)]
    assert estate.database.fetch(WALLS) == []


def neutral(found: object, estate: Estate, tenant: str) -> object:
    """A catalog without the names of the tenant and of its owner."""
    text = json.dumps(found, sort_keys=True, default=str)
    return text.replace(estate.owner(tenant), "OWNER").replace(tenant, "TENANT")

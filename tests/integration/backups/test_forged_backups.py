"""Forged backups, and honest ones of a hostile tenant: what they try does not happen."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import sql

from tenantmig import Fleet
from tenantmig.backups.backup import Backups
from tenantmig.backups.backup_file import read_backup
from tenantmig.backups.client_programs import ClientPrograms
from tenantmig.backups.proof import signature_file
from tenantmig.backups.restore import RestorePlan, restore
from tenantmig.backups.restore_session import RestoreSession
from tenantmig.backups.running_program import Limits
from tenantmig.domain.database_url import DatabaseUrl
from tenantmig.domain.tenant import Selection, Tenant
from tenantmig.errors import BackupFileError, RestoreError, UntrustedBackupError
from tenantmig.fleet.run_options import RunOptions
from tenantmig.ledger.ledger import Ledger
from tenantmig.postgres.connection import SessionOptions, connect
from tenantmig.tenants import registry
from tests.fixtures.client_programs import programs_for
from tests.fixtures.command import Project, untouched
from tests.fixtures.database import Database
from tests.fixtures.forging import ROW, forgeable, forged
from tests.fixtures.history import write_history
from tests.fixtures.oracles import catalog, content
from tests.fixtures.rollouts import OpenFleet
from tests.fixtures.sample_schema import SAMPLE, build

SMALL = (
    "CREATE TABLE t (a int); INSERT INTO t VALUES (1);"
    " CREATE TABLE alembic_version (version_num varchar(32) PRIMARY KEY);"
    " INSERT INTO alembic_version VALUES ('r1')"
)
FORGED = [
    "CREATE ROLE {role} SUPERUSER;",
    "CREATE TABLE beta.planted (a int);",
    "DROP SCHEMA beta CASCADE;",
    "COPY acme.t TO PROGRAM 'touch {file}';",
    "COPY acme.t FROM PROGRAM 'touch {file}';",
    "COMMIT;",
    "COMMIT; BEGIN;",
    "ALTER DEFAULT PRIVILEGES GRANT ALL ON TABLES TO PUBLIC;",
    "CREATE RULE r AS ON INSERT TO beta.t DO INSTEAD NOTHING;",
    "GRANT pg_execute_server_program TO PUBLIC;",
    "SET ROLE postgres;",
    "ALTER DATABASE postgres SET search_path = acme;",
    "SELECT pg_read_file('/etc/passwd');",
    "SELECT pg_catalog.setval('beta.s', 99, true);",
    "CREATE VIEW acme.v AS SELECT * FROM beta.t;",
    "ALTER TABLE acme.t ADD FOREIGN KEY (a) REFERENCES beta.t (a);",
    "ALTER TABLE acme.t OWNER TO {role};",
    "\\! touch {file}\n",
    "DO $$ BEGIN DROP SCHEMA beta CASCADE; END $$;",
]
ROWS = ["\\.\n\\! touch {file}\n", "\\.\nCREATE ROLE {role} SUPERUSER;\n", "\\.\nCOMMIT;\n"]


def _project(tmp_path: Path, database: Database) -> Fleet:
    history = write_history(tmp_path / "history", ("r1", "pass"))
    project = Project(tmp_path, database.url, history)
    return Fleet.open(project.ini, database_url=database.url)


def _refuse_forged(database: Database, tmp_path: Path, texts: Sequence[str]) -> None:
    connection, programs = database.connect(), programs_for(database.url)
    facts = {"role": f"evil_{database.name}", "file": str(tmp_path / "pwned")}
    for name in ("acme", "beta"):
        build(connection, name, SMALL + "; CREATE SEQUENCE s")
    database.execute(f"CREATE ROLE {facts['role']}_there")
    with _project(tmp_path, database) as fleet:
        fleet.adopt(["acme", "beta"])
        honest = forgeable(connection, programs, database.url, tmp_path / "honest.dump")
        with pytest.raises(UntrustedBackupError, match="--trust-file"):
            fleet.restore("acme", honest)
        with untouched(database):
            for number, text in enumerate(texts):
                place: dict[str, Any] = {"place": ROW} if text in ROWS else {}
                file = tmp_path / f"forged{number}.dump"
                forged(honest, file, text.format(**facts), **place)
                with pytest.raises(BackupFileError, match="Nothing was touched"):
                    fleet.restore("acme", file, trust_file=True)
        assert not (tmp_path / "pwned").exists()
        assert database.fetch("SELECT FROM pg_roles WHERE rolname = %s", [facts["role"]]) == []
        assert fleet.restore("acme", honest, trust_file=True).is_complete
    assert database.fetch("SELECT a FROM acme.room") == [(ROW,)]
    database.execute(f"DROP ROLE {facts['role']}_there")


@pytest.mark.slow
def test_a_forged_backup_is_refused_before_anything_is_touched(
    database: Database, tmp_path: Path
) -> None:
    _refuse_forged(database, tmp_path, [*FORGED[::2], *ROWS])


@pytest.mark.slow
def test_a_forged_backup_is_refused_on_16(database16: Database, tmp_path: Path) -> None:
    _refuse_forged(database16, tmp_path, [*FORGED[1::2], ROWS[0]])


# -- an honest backup whose tenant is hostile ---------------------------------------------------

TRY = """
    CREATE FUNCTION try(statement text) RETURNS void LANGUAGE plpgsql AS $f$
        BEGIN EXECUTE statement; EXCEPTION WHEN OTHERS THEN NULL; END $f$;
"""
HOSTILE = (
    f"{TRY}"
    """
    CREATE FUNCTION bad(a int) RETURNS int IMMUTABLE LANGUAGE plpgsql AS $f$
    BEGIN
        PERFORM {schema}.leave(a); RETURN a;
    END $f$;
    CREATE FUNCTION leave(a int) RETURNS int LANGUAGE plpgsql AS $f$
    BEGIN
        PERFORM {schema}.try('RESET ROLE');
        PERFORM {schema}.try('RESET SESSION AUTHORIZATION');
        PERFORM {schema}.try($$SELECT set_config('role', 'none', false)$$);
        PERFORM {schema}.try($$SELECT set_config('search_path', '{schema}', false)$$);
        PERFORM {schema}.try($$SELECT set_config('standard_conforming_strings', 'off', false)$$);
        PERFORM {schema}.try($$SELECT set_config('client_encoding', 'SJIS', false)$$);
        PERFORM {schema}.try('CREATE TEMP TABLE pg_class (relname text)');
        PERFORM {schema}.try('ALTER FUNCTION run(text) SECURITY INVOKER');
        PERFORM {schema}.try($$INSERT INTO seen.by VALUES (current_user)$$);
        PERFORM {schema}.try('INSERT INTO prey.rows VALUES (1)');
        RETURN a;
    END $f$;
    CREATE FUNCTION to_json(name) RETURNS json LANGUAGE plpgsql AS $f$
    BEGIN PERFORM {schema}.leave(1); RETURN 'null'; END $f$;
    CREATE DOMAIN checked AS int CHECK ({schema}.bad(VALUE) > 0);
    CREATE TYPE wrapped AS (a checked);
    CREATE TABLE plain (a int CHECK ({schema}.bad(a) > 0), "b b" varchar(3), c char(2), d "char",
        e inet, f text[], g jsonb, h timestamptz, i numeric(6, 2), j bytea);
    CREATE TABLE of_domain (a checked, w wrapped, l checked[]);
    CREATE TABLE made (id bigint GENERATED ALWAYS AS IDENTITY, a int,
        twice int GENERATED ALWAYS AS ({schema}.bad(a)) STORED, z int DEFAULT {schema}.bad(5));
    CREATE TABLE nothing ();
    CREATE TABLE parted (a int) PARTITION BY LIST ({schema}.bad(a));
    CREATE TABLE part_1 PARTITION OF parted FOR VALUES IN (1);
    CREATE INDEX ix ON plain ({schema}.bad(a));
    CREATE MATERIALIZED VIEW mv AS SELECT {schema}.bad(a) AS a FROM plain;
    CREATE TABLE late (a int);
    ALTER TABLE late ADD CONSTRAINT c CHECK ({schema}.bad(a) > 0) NOT VALID;
    INSERT INTO plain VALUES (1, E'a\\tb', 'x', E'\\\\', '::1', '{{a,NULL,"\\\\N"}}',
        '{{"a": "\\\\n"}}', '2020-01-01', 1.5, '\\x00ff'), (2{nulls});
    INSERT INTO of_domain VALUES (1, ROW(2), '{{3}}');
    INSERT INTO made (a) VALUES (7);
    INSERT INTO nothing DEFAULT VALUES;
    INSERT INTO parted VALUES (1);
    REFRESH MATERIALIZED VIEW mv;
"""
)
SCENE = """
    CREATE SCHEMA seen; CREATE TABLE seen.by (who text);
    GRANT USAGE ON SCHEMA seen TO PUBLIC; GRANT INSERT ON seen.by TO PUBLIC;
    CREATE SCHEMA prey; CREATE TABLE prey.rows (a int);
"""


class Stage:
    """A database with a role of a tenant, `bob`, and one that migrates without being superuser."""

    def __init__(self, database: Database, folder: Path) -> None:
        self.database = database
        self.bob, self.migrator = f"bob_{database.name}", f"mig_{database.name}"
        self.programs: ClientPrograms = programs_for(database.url)
        self.folder = folder
        database.execute(
            f"CREATE ROLE {self.bob} LOGIN; CREATE ROLE {self.migrator} LOGIN;"
            f" GRANT {self.bob} TO {self.migrator}; {SCENE}"
            f" GRANT CREATE ON DATABASE {database.name} TO {self.migrator}"
        )

    def play(self, schema: str, statements: str, *, owner: str | None = None) -> Any:
        """Make a tenant of bob's things, and return all there is of it."""
        name, bob = sql.Identifier(schema), sql.Identifier(self.bob)
        with self.database.connect() as connection:
            connection.execute(
                sql.SQL("CREATE SCHEMA {} AUTHORIZATION {}").format(
                    name, sql.Identifier(owner or self.bob)
                )
            )
            if owner is not None:
                grant = sql.SQL("GRANT CREATE, USAGE ON SCHEMA {} TO {}").format(name, bob)
                connection.execute(grant)
        url = self.database.server.url(self.database.name, user=self.bob)
        with psycopg.connect(url, autocommit=True) as connection:  # SET ROLE would not hold them
            build_in(connection, schema, statements.format(schema=schema, nulls=", NULL" * 9))
        self.database.execute("TRUNCATE seen.by, prey.rows")
        return self.state(schema)

    def state(self, schema: str) -> Any:
        with self.database.connect() as connection:
            return catalog(connection, schema), content(connection, schema)

    def bring_back(self, schema: str, user: str | None = None, **facts: Any) -> None:
        url = self.database.server.url(self.database.name, user=user)
        options = SessionOptions(DatabaseUrl.parse(url))
        tenant = Tenant(schema, schema)
        backups = Backups(self.folder, self.programs, options)
        backups.check()
        file = backups.write(1, tenant)
        backup = read_backup(self.programs, file, "alembic_version", Limits.within(60))
        nothing = sql.SQL("SELECT 1")
        restore(options, self.programs, RestorePlan(tenant, backup, None, nothing, 60.0, **facts))

    def seen(self) -> set[str]:
        return {who for (who,) in self.database.fetch("SELECT who FROM seen.by")}

    def strike(self) -> None:
        self.database.execute(
            f"DROP OWNED BY {self.bob} CASCADE; DROP OWNED BY {self.migrator} CASCADE;"
            f" DROP ROLE {self.bob}, {self.migrator}"
        )


def build_in(connection: psycopg.Connection[Any], schema: str, statements: str) -> None:
    connection.execute(sql.SQL("SET search_path TO {}").format(sql.Identifier(schema)))
    connection.execute(statements.encode())
    connection.execute("RESET search_path")


@pytest.fixture
def stage(database: Database, tmp_path: Path) -> Iterator[Stage]:
    made = Stage(database, tmp_path / "backups")
    yield made
    made.strike()


@pytest.fixture
def stage16(database16: Database, tmp_path: Path) -> Iterator[Stage]:
    made = Stage(database16, tmp_path / "backups")
    yield made
    made.strike()


def _runs_as_bob(stage: Stage, user: str | None = None, **facts: Any) -> None:
    assert stage.seen() == set()
    stage.bring_back("acme", user, **facts)
    assert stage.seen() == {stage.bob}
    assert stage.database.fetch("SELECT * FROM prey.rows") == []


@pytest.mark.parametrize("is_superuser", [True, False])
def test_a_tenants_code_runs_as_the_owner_of_its_schema(
    stage: Stage, *, is_superuser: bool
) -> None:
    before = stage.play("acme", HOSTILE)
    _runs_as_bob(stage, None if is_superuser else stage.migrator)
    assert stage.state("acme") == before


def test_a_tenants_code_runs_as_the_owner_of_its_schema_on_16(stage16: Stage) -> None:
    before = stage16.play("acme", HOSTILE)
    _runs_as_bob(stage16)
    assert stage16.state("acme") == before


def test_a_tenants_code_in_a_schema_of_the_migrators_runs_as_its_owner(stage: Stage) -> None:
    before = stage.play("acme", HOSTILE, owner="postgres")
    _runs_as_bob(stage, is_proven=True)
    assert stage.state("acme") == before


def test_a_role_can_be_named_for_the_code_of_a_superusers_schema(stage: Stage) -> None:
    with stage.database.connect() as connection:
        connection.execute("CREATE SCHEMA acme")
        build_in(connection, "acme", HOSTILE.format(schema="acme", nulls=", NULL" * 9))
    stage.database.execute("TRUNCATE seen.by, prey.rows")
    before = stage.state("acme")
    _runs_as_bob(stage, role=stage.bob)
    assert stage.state("acme") == before


DEFERRED = """
    CREATE TABLE bait (a int);
    CREATE FUNCTION fire() RETURNS trigger LANGUAGE plpgsql AS $f$
        BEGIN PERFORM {schema}.leave(1); RETURN NULL; END $f$;
    CREATE FUNCTION lay() RETURNS void LANGUAGE plpgsql AS $f$ BEGIN
        CREATE TABLE {schema}.late_bait (a int);
        CREATE CONSTRAINT TRIGGER later AFTER INSERT ON {schema}.late_bait
            DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION {schema}.fire();
        INSERT INTO {schema}.late_bait VALUES (1);
    END $f$;
    CREATE FUNCTION check_once(a int) RETURNS bool LANGUAGE plpgsql AS $f$
        BEGIN PERFORM {schema}.try('SELECT {schema}.lay()'); RETURN true; END $f$;
    CREATE TABLE victim (a int); INSERT INTO victim VALUES (1);
    ALTER TABLE victim ADD CONSTRAINT c CHECK ({schema}.check_once(a)) NOT VALID;
    CREATE TABLE zz (a int CHECK ({schema}.check_once(a)));
    INSERT INTO zz VALUES (1);
"""


@pytest.mark.parametrize(
    "change",
    [
        "CREATE OR REPLACE VIEW acme.theirs AS SELECT rolname::text AS a FROM pg_roles",
        "CREATE RULE r AS ON INSERT TO acme.kept DO ALSO INSERT INTO seen.by VALUES ('x')",
        "ALTER FUNCTION acme.ours() SECURITY DEFINER",
    ],
)
def test_what_others_own_is_not_changed_before_they_get_it(stage: Stage, change: str) -> None:
    lay = f"""
        CREATE FUNCTION change(a int) RETURNS bool LANGUAGE plpgsql AS $f$
            BEGIN PERFORM {{schema}}.try($${change}$$); RETURN true; END $f$;
        CREATE TABLE zz (a int CHECK ({{schema}}.change(a))); INSERT INTO zz VALUES (1);
    """
    stage.play("acme", TRY)
    stage.database.execute(
        "CREATE VIEW acme.theirs AS SELECT rolname::text AS a FROM pg_database, pg_roles;"
        " CREATE TABLE acme.kept (a int);"
        " CREATE FUNCTION acme.ours() RETURNS int LANGUAGE sql AS 'SELECT 1'"
    )
    url = stage.database.server.url(stage.database.name, user=stage.bob)
    with psycopg.connect(url, autocommit=True) as connection:
        build_in(connection, "acme", lay.format(schema="acme"))
    before = stage.state("acme")
    with pytest.raises(RestoreError, match="is as it was: the tenant's code changed"):
        stage.bring_back("acme", is_proven=True)
    assert stage.state("acme") == before


def test_a_trigger_that_waits_for_the_commit_is_refused(stage16: Stage) -> None:
    stage16.play("acme", HOSTILE + DEFERRED)
    stage16.database.execute("DROP TABLE acme.late_bait")
    before = stage16.state("acme")
    with pytest.raises(RestoreError, match="is as it was: a deferrable constraint trigger"):
        stage16.bring_back("acme")
    assert stage16.state("acme") == before
    assert stage16.seen() == set()


HOLDING = """
    CREATE FUNCTION hold(a int) RETURNS bool LANGUAGE plpgsql AS $f$ BEGIN
        PERFORM {schema}.try(
            $$DECLARE later CURSOR WITH HOLD FOR SELECT {schema}.leave(1)$$);
        RETURN true; END $f$;
    CREATE TABLE zz (a int CHECK ({schema}.hold(a)));
    INSERT INTO zz VALUES (1);
"""


def test_a_cursor_that_waits_for_the_commit_is_closed(stage: Stage) -> None:
    """The server fills a cursor WITH HOLD at the COMMIT, as the role that commits."""
    before = stage.play("acme", HOSTILE + HOLDING)
    _runs_as_bob(stage)
    assert stage.state("acme") == before


def test_a_constraint_trigger_of_the_backup_is_restored(stage: Stage) -> None:
    before = stage.play(
        "acme",
        HOSTILE
        + DEFERRED.split("CREATE FUNCTION lay", maxsplit=1)[0]
        + (
            "CREATE CONSTRAINT TRIGGER own AFTER INSERT ON bait DEFERRABLE INITIALLY DEFERRED"
            " FOR EACH ROW EXECUTE FUNCTION fire();"
        ),
    )
    stage.bring_back("acme")
    assert stage.state("acme") == before


def test_what_an_owner_makes_and_grants_comes_back(stage: Stage) -> None:
    """An object of every kind, a foreign key to shared tables, grants by others than the owner."""
    stage.database.execute(
        "CREATE SCHEMA shared; CREATE TABLE shared.countries (id int PRIMARY KEY);"
        f" GRANT USAGE ON SCHEMA shared TO {stage.bob};"
        f" GRANT REFERENCES ON shared.countries TO {stage.bob}"
    )
    more = f"""; CREATE TABLE fk (a int REFERENCES shared.countries);
        GRANT USAGE ON SCHEMA {{schema}} TO {stage.migrator};
        GRANT SELECT ON users TO {stage.migrator} WITH GRANT OPTION;
        ALTER DEFAULT PRIVILEGES IN SCHEMA {{schema}} GRANT SELECT ON TABLES TO {stage.migrator};
        ALTER TABLE users FORCE ROW LEVEL SECURITY"""
    stage.play("acme", SAMPLE + more)
    stage.database.execute(
        f"SET ROLE {stage.migrator}; GRANT SELECT ON acme.users TO PUBLIC; RESET ROLE"
    )
    before = stage.state("acme")
    granted = (
        "SELECT EXISTS (SELECT FROM aclexplode(relacl) WHERE grantee = 0),"
        " pg_get_userbyid(relowner)::text FROM pg_class WHERE relname = 'users'"
    )
    stage.database.execute(f"REVOKE REFERENCES ON shared.countries FROM {stage.bob}")
    stage.bring_back("acme", outside=("shared",), is_proven=True)
    assert stage.database.fetch(granted) == [(True, stage.bob)]
    after = stage.state("acme")
    for made, _ in (before, after):
        assert made["relations"]["users"].pop("acl")  # its owner counts as who granted it
    assert after == before


def test_an_owner_who_is_a_stranger_is_refused(stage: Stage) -> None:
    stage.play("acme", SMALL)
    options = SessionOptions(DatabaseUrl.parse(stage.database.url))
    backups = Backups(stage.folder, stage.programs, options)
    backups.check()
    file = backups.write(1, Tenant("acme", "acme"))
    backup = read_backup(stage.programs, file, "alembic_version", Limits.within(60))
    stage.database.execute("DROP SCHEMA acme CASCADE")
    plan = RestorePlan(Tenant("acme", "acme"), backup, None, sql.SQL("SELECT 1"), 60.0)
    with pytest.raises(BackupFileError, match=f'to the role "{stage.bob}"'):
        restore(options, stage.programs, plan)
    assert stage.database.fetch("SELECT FROM pg_namespace WHERE nspname = 'acme'") == []


@pytest.mark.parametrize("is_proven", [True, False])
def test_a_security_definer_function_of_another_is_refused(
    stage: Stage, *, is_proven: bool
) -> None:
    stage.play("acme", SMALL)
    stage.database.execute(
        "CREATE FUNCTION acme.up() RETURNS int LANGUAGE sql SECURITY DEFINER AS 'SELECT 1'"
    )
    with pytest.raises(BackupFileError, match='"up" is a SECURITY DEFINER function of the role'):
        stage.bring_back("acme", is_proven=is_proven)


def test_what_a_failed_restore_says_is_read_back(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody makes the schema anew between the look at it and the transaction."""
    stage.play("acme", SMALL)
    run = RestoreSession.run

    def meddle(session: RestoreSession, statement: str) -> None:
        if statement == "BEGIN":
            stage.database.execute("DROP SCHEMA acme CASCADE; CREATE SCHEMA acme")
        run(session, statement)
        if statement.startswith("DROP SCHEMA IF EXISTS"):
            run(session, "SELECT 1 / 0")

    monkeypatch.setattr(RestoreSession, "run", meddle)
    with pytest.raises(RestoreError, match="its schema is not as it was before"):
        stage.bring_back("acme")


# -- what proves a file -------------------------------------------------------------------------


@pytest.fixture
def history(tmp_path: Path, database: Database) -> Project:
    written = write_history(tmp_path / "history", ("r1", "op.execute('CREATE TABLE t (a int)')"))
    return Project(tmp_path, database.url, written)


def _offboarded(fleet: Fleet, folder: Path, *names: str) -> dict[str, Path]:
    assert fleet.onboard(names).is_complete
    report = fleet.offboard(Selection(names=names, has_wildcards=False), RunOptions(backup=folder))
    assert report.is_complete
    return {tenant.tenant: Path(tenant.backup or "") for tenant in report.tenants}


@pytest.mark.slow
def test_a_signature_or_the_ledger_proves_a_backup(
    history: Project, open_fleet: OpenFleet, tmp_path: Path, database: Database
) -> None:
    fleet = open_fleet(backup_key="k1")
    files = _offboarded(fleet, tmp_path / "dumps", "acme")
    signature = signature_file(files["acme"])
    assert signature.stat().st_mode & 0o777 == 0o600
    right = signature.read_text()
    assert fleet.plan_restore("acme", files["acme"])
    signature.write_text(right.replace(right[-5], "0" if right[-5] != "0" else "1"))
    with pytest.raises(UntrustedBackupError, match=r"signature of .* does not match"):
        fleet.plan_restore("acme", files["acme"])
    assert fleet.plan_restore("acme", files["acme"], trust_file=True)
    signature.write_text(right)
    with pytest.raises(UntrustedBackupError, match="signed with another key"):
        open_fleet(backup_key="k2").plan_restore("acme", files["acme"])
    database.execute("TRUNCATE tenantmig.backup_file")
    assert fleet.plan_restore("acme", files["acme"])
    with pytest.raises(UntrustedBackupError, match="no backup_key is set"):
        open_fleet().plan_restore("acme", files["acme"])
    signature.unlink()
    with pytest.raises(UntrustedBackupError, match="it has no signature"):
        fleet.plan_restore("acme", files["acme"])
    assert fleet.restore("acme", files["acme"], trust_file=True).is_complete


WIDE = ["50% off", "%n", "%(a)s", "{x}", "a\\b", "-n é", "q\"u.{x}'b;--"]


@pytest.mark.slow
def test_every_wide_name_goes_and_comes_back(
    history: Project, open_fleet: OpenFleet, tmp_path: Path, database: Database
) -> None:
    with database.connect() as connection:
        options = SessionOptions(DatabaseUrl.parse(database.url))
        for name in WIDE:
            build(connection, name, SMALL)
    fleet = open_fleet(names="wide")
    assert all(one.problem is None for one in fleet.adopt(WIDE))
    selection = Selection(names=tuple(WIDE), has_wildcards=False)
    report = fleet.offboard(selection, RunOptions(backup=tmp_path / "dumps"))
    assert report.counts == {"offboarded": len(WIDE)}, [t.error for t in report.tenants]
    for tenant in report.tenants:
        back = fleet.restore(tenant.tenant, tenant.backup or "")
        assert back.is_complete, (tenant.tenant, [t.error for t in back.tenants])
    with connect(options) as connection:
        for name in WIDE:
            assert content(connection, name)["t"] == ["(1)"], name
    ledger = Ledger(lambda: connect(options), "tenantmig")
    assert {tenant.name for tenant in registry.list_tenants(ledger)} == set(WIDE)
    ledger.close()


@pytest.mark.slow
def test_the_command_asks_for_trust(history: Project, database: Database, tmp_path: Path) -> None:
    build(database.connect(), "acme", SMALL)
    programs = programs_for(database.url)
    file = tmp_path / "acme.dump"
    dump = [str(programs.folder / "pg_dump"), "-Fc", "-n", "acme", "-f", str(file), database.url]
    subprocess.run(dump, check=True)
    history.run("tenants", "adopt", "acme")
    assert "--trust-file" in history.refuse("restore", "acme", str(file), "--yes")
    assert "the role does not exist" in history.refuse(
        "restore", "acme", str(file), "--yes", "--trust-file", "--role", "nobody"
    )
    assert "restored" in history.run("restore", "acme", str(file), "--yes", "--trust-file").out

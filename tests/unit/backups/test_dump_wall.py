"""The wall before a restore: what a tenant's backup may hold, statement by statement, no server."""

from __future__ import annotations

import io

import pytest

from tenantmig.backups.dump_kinds import Turn
from tenantmig.backups.dump_script import read_script
from tenantmig.backups.dump_wall import Wall
from tenantmig.errors import BackupRefusedError, UnreadableScriptError

HEAD = """--
-- PostgreSQL database dump
--

\\restrict Abc123

SET statement_timeout = 0;
SET client_encoding = 'UTF8';
SELECT pg_catalog.set_config('search_path', '', false);
CREATE SCHEMA acme;
ALTER SCHEMA acme OWNER TO bob;
"""
TAIL = "\n\\unrestrict Abc123\n\n"


def look(script: str, schema: str = "acme", outside: tuple[str, ...] = ("public",)) -> list[Turn]:
    wall = Wall(schema, outside)
    return [wall.look(statement) for statement in read_script(io.BytesIO(script.encode()))]


def refusal(statement: str) -> str:
    with pytest.raises((BackupRefusedError, UnreadableScriptError)) as refused:
        look(f"{HEAD}{statement}\n{TAIL}")
    return refused.value.message


ROLES = {
    "CREATE ROLE evil SUPERUSER;": "CREATE ROLE",
    "ALTER ROLE bob SUPERUSER;": "ALTER ROLE",
    "ALTER ROLE ALL SET search_path = evil;": "ALTER ROLE SET",
    "DROP ROLE bob;": "DROP ROLE",
    "GRANT postgres TO bob;": "GRANT ROLE",
    "SET ROLE postgres;": "it sets role",
    "SET LOCAL ROLE postgres;": "it sets role",
    "SET SESSION AUTHORIZATION postgres; CREATE TABLE acme.t ();": "runs as another role",
    "RESET SESSION AUTHORIZATION;": "it sets session_authorization",
    "RESET ROLE;": "it sets role",
    "REASSIGN OWNED BY bob TO eve;": "REASSIGN OWNED",
    "ALTER TABLE acme.t OWNER TO CURRENT_USER;": "not name the owner",
}
TRANSACTIONS = {
    word + ";": word.split(" ", maxsplit=1)[0]
    for word in ("COMMIT", "ROLLBACK", "BEGIN", "SAVEPOINT a", "ROLLBACK TO a", "RELEASE a")
} | {
    "END;": "COMMIT",
    "ABORT;": "ROLLBACK",
    "START TRANSACTION;": "START",
    "PREPARE TRANSACTION 'a';": "PREPARE",
    "COMMIT PREPARED 'a';": "COMMIT PREPARED",
    "SET TRANSACTION READ ONLY;": "it sets",
    "SET CONSTRAINTS ALL IMMEDIATE;": "CONSTRAINTS SET",
}
FILES = {
    "COPY acme.t TO PROGRAM 'touch /tmp/pwned';": "file or a program",
    "COPY acme.t FROM PROGRAM 'id';": "file or a program",
    "COPY acme.t FROM '/etc/passwd';": "file or a program",
    "COPY acme.t TO '/tmp/x';": "file or a program",
    "COPY (SELECT 1) TO PROGRAM 'id';": "file or a program",
    "COPY acme.t TO stdout;": "file or a program",
    "SELECT pg_read_file('/etc/passwd');": "only set the position of a sequence",
    "SELECT lo_import('/etc/passwd');": "only set the position of a sequence",
    "SELECT lo_create(1);": "only set the position",
    "LOAD 'x';": "LOAD",
    "\\! touch /tmp/pwned": "parser says",
    "SELECT 1 \\gexec": "parser says",
    "\\copy acme.t from /etc/passwd": "parser says",
}
OTHERS = {
    "CREATE TABLE beta.planted ();": '"beta.planted"',
    "CREATE TABLE planted ();": '".planted"',
    "CREATE TABLE public.planted ();": '"public.planted"',
    "CREATE TABLE other.acme.planted ();": "another schema",
    "CREATE TEMP TABLE planted ();": "planted",
    "CREATE TABLE acme.t () INHERITS (beta.users);": '"beta.users"',
    "CREATE TABLE acme.t () INHERITS (public.users);": '"public.users"',
    "CREATE TABLE acme.t PARTITION OF beta.part FOR VALUES IN (1);": '"beta.part"',
    "ALTER TABLE acme.p ATTACH PARTITION beta.t FOR VALUES IN (1);": '"beta.t"',
    "ALTER TABLE beta.p ATTACH PARTITION acme.t FOR VALUES IN (1);": '"beta.p"',
    "CREATE TABLE acme.t (LIKE beta.users);": '"users" in the schema "beta"',
    "CREATE TABLE acme.t AS SELECT * FROM beta.users;": "it runs a query",
    "SELECT * INTO acme.t FROM beta.users;": "only set the position",
    "CREATE MATERIALIZED VIEW acme.m AS SELECT 1;": "it runs a query",
    "CREATE SCHEMA beta;": "another schema",
    "CREATE SCHEMA acme CREATE TABLE t ();": "another schema",
    "DROP SCHEMA beta CASCADE;": "DROP",
    "DROP TABLE acme.t;": "DROP",
    "TRUNCATE beta.users;": "TRUNCATE",
    "DELETE FROM beta.users;": "DELETE",
    "INSERT INTO beta.users VALUES (1);": "INSERT",
    "INSERT INTO acme.users VALUES (1);": "INSERT",
    "UPDATE pg_catalog.pg_class SET relname = 'x';": "UPDATE",
    "CREATE VIEW acme.v AS SELECT * FROM beta.users;": '"users" in the schema "beta"',
    "CREATE VIEW acme.v AS SELECT * FROM pg_authid;": "it reads pg_authid",
    "CREATE VIEW acme.v AS SELECT * FROM pg_catalog.pg_shadow;": "it reads pg_shadow",
    "CREATE VIEW acme.v AS SELECT (SELECT a FROM beta.users);": '"beta"',
    "CREATE VIEW acme.v AS WITH x AS (SELECT * FROM beta.u) SELECT * FROM x;": '"beta"',
    "CREATE VIEW acme.v AS SELECT ts_stat('SELECT a FROM beta.u');": '"beta"',
    "CREATE VIEW acme.v AS SELECT query_to_xml('SELECT ' || 'x', true, true, '');": "be read",
    "CREATE VIEW beta.v AS SELECT 1;": '"beta.v"',
    "ALTER TABLE acme.t ADD CONSTRAINT f FOREIGN KEY (a) REFERENCES beta.users(id);": '"beta"',
    "CREATE TABLE acme.t (a int REFERENCES beta.users(id));": '"beta"',
    "CREATE TRIGGER t AFTER INSERT ON beta.users FOR EACH ROW EXECUTE FUNCTION acme.f();": "beta",
    "CREATE TRIGGER t AFTER INSERT ON acme.u FOR EACH ROW EXECUTE FUNCTION beta.f();": "beta",
    "CREATE RULE r AS ON INSERT TO beta.users DO INSTEAD NOTHING;": '"beta.users"',
    "CREATE RULE r AS ON INSERT TO acme.u DO ALSO DELETE FROM beta.users;": '"beta.users"',
    "CREATE RULE r AS ON INSERT TO acme.u DO ALSO DELETE FROM public.users;": '"public.users"',
    "CREATE POLICY p ON beta.users USING (true);": '"beta.users"',
    "CREATE INDEX i ON beta.users (id);": '"beta.users"',
    "CREATE INDEX CONCURRENTLY i ON acme.users (id);": "concurrently",
    "CREATE STATISTICS beta.s ON a, b FROM acme.t;": '"beta.s"',
    "CREATE SEQUENCE acme.s OWNED BY beta.users.id;": '"beta.users"',
    "ALTER SEQUENCE beta.s RESTART;": '"beta.s"',
    "SELECT pg_catalog.setval('beta.s', 1, true);": '"beta.s"',
    "SELECT pg_catalog.setval('s', 1, true);": '".s"',
    "SELECT pg_catalog.setval('acme.s', (SELECT 1), true);": "position of a sequence",
    "SELECT pg_catalog.setval('acme.s', 1, true), pg_read_file('x');": "position of a sequence",
    "SELECT pg_catalog.set_config('search_path', 'beta', false);": "position of a sequence",
    "SELECT pg_catalog.set_config('role', 'postgres', false);": "position of a sequence",
    "ALTER TABLE acme.t ALTER a ADD GENERATED ALWAYS AS IDENTITY (SEQUENCE NAME public.x);": "it",
    "CREATE TYPE acme.r AS RANGE (subtype = int, multirange_type_name = public.m);": "it creates",
    "CREATE OPERATOR acme.+ (FUNCTION = acme.f, COMMUTATOR = OPERATOR(public.+));": "it creates",
    "COMMENT ON TABLE beta.users IS 'x';": '"beta.users"',
    "COMMENT ON COLUMN beta.users.id IS 'x';": '"beta.users"',
    "COMMENT ON ROLE postgres IS 'x';": "role objects",
    "COMMENT ON DATABASE postgres IS 'x';": "database objects",
    "COMMENT ON SCHEMA beta IS 'x';": 'schema "beta"',
    "GRANT ALL ON TABLE beta.users TO eve;": '"beta.users"',
    "GRANT ALL ON SCHEMA beta TO eve;": 'schema "beta"',
    "GRANT ALL ON ALL TABLES IN SCHEMA beta TO eve;": "more than privileges",
    "GRANT ALL ON DATABASE postgres TO eve;": "database objects",
    "GRANT SET ON PARAMETER log_statement TO eve;": "parameter",
    "GRANT SELECT ON TABLE acme.t TO eve GRANTED BY postgres;": "more than privileges",
    "ALTER DEFAULT PRIVILEGES GRANT ALL ON TABLES TO eve;": "outside this schema",
    "ALTER DEFAULT PRIVILEGES IN SCHEMA beta GRANT ALL ON TABLES TO eve;": "outside this schema",
    "ALTER SCHEMA beta OWNER TO eve;": 'schema "beta"',
    "ALTER TABLE beta.users OWNER TO eve;": '"beta.users"',
    "ALTER TABLE acme.t SET SCHEMA beta;": "ALTER OBJECT SCHEMA",
    "ALTER TABLE acme.t RENAME TO u;": "RENAME",
    "ALTER TABLE acme.t ADD COLUMN a int DEFAULT acme.f();": "AddColumn",
    "ALTER TABLE acme.t OWNER TO bob, ADD CONSTRAINT c CHECK (true);": "several changes",
    "ALTER TABLE acme.t INHERIT beta.users;": "AddInherit",
    "ALTER TABLE acme.t SET (foo = 1), ALTER a TYPE int USING acme.f();": "AlterColumnType",
}
SERVER = {
    "CREATE EXTENSION dblink;": "CREATE EXTENSION",
    "CREATE EVENT TRIGGER e ON ddl_command_end EXECUTE FUNCTION acme.f();": "CREATE EVENT TRIG",
    "CREATE PUBLICATION p FOR ALL TABLES;": "CREATE PUBLICATION",
    "ALTER PUBLICATION p ADD TABLE acme.t;": "ALTER PUBLICATION",
    "CREATE SUBSCRIPTION s CONNECTION '' PUBLICATION p;": "CREATE SUBSCRIPTION",
    "CREATE SERVER s FOREIGN DATA WRAPPER f;": "CREATE FOREIGN SERVER",
    "CREATE FOREIGN TABLE acme.t () SERVER s;": "CREATE FOREIGN TABLE",
    "CREATE USER MAPPING FOR bob SERVER s;": "CREATE USER MAPPING",
    "DO $$ BEGIN END $$;": "DO",
    "CALL acme.p();": "CALL",
    "ALTER SYSTEM SET log_statement = 'all';": "ALTER SYSTEM",
    "ALTER DATABASE postgres SET role = 'x';": "ALTER DATABASE",
    "ALTER DATABASE postgres OWNER TO bob;": "database objects",
    "CREATE DATABASE d;": "CREATEDB",
    "DROP DATABASE d;": "DROPDB",
    "CREATE TABLESPACE t LOCATION '/';": "CREATE TABLE SPACE",
    "CREATE LANGUAGE x;": "CREATE EXTENSION",
    "CREATE CAST (text AS int) WITH INOUT;": "CREATE CAST",
    "CREATE ACCESS METHOD a TYPE INDEX HANDLER h;": "CREATE AM",
    "CREATE TEXT SEARCH TEMPLATE acme.t (LEXIZE = x);": "do not create objects",
    "CREATE TYPE acme.t (INPUT = f, OUTPUT = g);": "base type",
    "LISTEN x;": "LISTEN",
    "NOTIFY x;": "NOTIFY",
    "LOCK TABLE acme.t;": "LOCK",
    "VACUUM;": "VACUUM",
    "SET search_path = acme;": "it sets search_path",
    "SET standard_conforming_strings = off;": "it sets standard_conforming_strings",
    "SET client_encoding = 'SJIS';": "it sets client_encoding",
    "SET session_replication_role = replica;": "it sets session_replication_role",
    "SECURITY LABEL ON TABLE acme.t IS 'x';": "SEC LABEL",
    "PREPARE x AS SELECT 1;": "PREPARE",
    "EXECUTE x;": "EXECUTE",
    "DISCARD ALL;": "DISCARD",
    "EXPLAIN ANALYZE SELECT 1;": "EXPLAIN",
    "CLUSTER acme.t;": "",
    "REFRESH MATERIALIZED VIEW beta.m;": '"beta.m"',
}
CODE = {
    "CREATE FUNCTION acme.f() RETURNS int LANGUAGE c AS '/tmp/x.so', 'f';": "language c",
    "CREATE FUNCTION acme.f(text) RETURNS text LANGUAGE internal AS 'pg_read_file';": "internal",
    "CREATE FUNCTION acme.f() RETURNS int LANGUAGE plpython3u AS 'x';": "plpython3u",
    "CREATE FUNCTION beta.f() RETURNS int LANGUAGE sql AS 'SELECT 1';": '"beta.f"',
    "CREATE FUNCTION acme.f() RETURNS int LANGUAGE sql SET role = 'x' AS 'SELECT 1';": "its role",
    "CREATE FUNCTION acme.f() RETURNS int LANGUAGE sql SUPPORT beta.s AS 'SELECT 1';": "support",
    "CREATE FUNCTION acme.f() RETURNS int BEGIN ATOMIC DELETE FROM beta.t; SELECT 1; END;": "beta",
    "CREATE FUNCTION acme.f(a int DEFAULT beta.g()) RETURNS int LANGUAGE sql AS '';": "beta",
    "CREATE TABLE acme.t (a int CHECK (beta.f(a)));": '"f" in the schema "beta"',
    "CREATE TABLE acme.t (a int DEFAULT beta.f());": '"f" in the schema "beta"',
    "CREATE TABLE acme.t (a int DEFAULT nextval('beta.s'::regclass));": '"beta"',
    "CREATE TABLE acme.t (a int DEFAULT nextval('\"beta\".s'));": '"beta"',
    "CREATE TABLE acme.t (a regclass DEFAULT 16384::regclass);": "by its OID",
    "CREATE TABLE acme.t (a beta.mood);": '"mood" in the schema "beta"',
    "CREATE TABLE acme.t (a int CHECK (a OPERATOR(beta.=) 1));": '"=" in the schema "beta"',
    "CREATE TABLE acme.t (a text COLLATE beta.c);": '"c" in the schema "beta"',
    "CREATE TABLE acme.t (a text DEFAULT pg_read_file('/etc/passwd'));": "pg_read_file()",
    "CREATE TABLE acme.t (a text CHECK (set_config('role', a, false) = a));": "set_config()",
    "CREATE TABLE acme.t (a text CHECK (pg_catalog.lo_export(1, a) = 1));": "lo_export()",
    "CREATE DOMAIN acme.d AS text CHECK (beta.f(VALUE));": '"beta"',
    "CREATE DOMAIN acme.d AS text CHECK (public.dblink_exec(VALUE) = '');": "dblink_exec()",
    "CREATE INDEX i ON acme.t (beta.f(a));": '"beta"',
    "CREATE INDEX i ON acme.t (a beta.ops);": '"beta"',
    "CREATE AGGREGATE acme.a (int) (SFUNC = beta.f, STYPE = int);": '"beta"',
}
FORGED = ROLES | TRANSACTIONS | FILES | OTHERS | SERVER | CODE


@pytest.mark.parametrize(("statement", "reason"), FORGED.items(), ids=list(FORGED))
def test_what_does_not_belong_in_a_backup_is_refused(statement: str, reason: str) -> None:
    message = refusal(statement)
    assert reason in message
    assert "Nothing was touched" in message


ROWS = "CREATE TABLE acme.t (a text);\nCOPY acme.t (a) FROM stdin;\n{}\\.\n"
BEHIND = [
    ROWS.format("x\n") + "\\! touch /tmp/pwned\n",
    ROWS.format("x\n\\.\n\\! id\n"),
    "CREATE TABLE acme.t (a text);\nCOPY acme.t (a) FROM stdin;\nx\n",
    "COPY acme.t (a) FROM stdin; CREATE ROLE evil;\nx\n\\.\n",
    "COPY acme.t (a) FROM stdin; -- \nx\n\\.\n",
    "CREATE FUNCTION acme.f() RETURNS int LANGUAGE sql AS $a$ $a$; COMMIT; --$a$;",
    "COMMENT ON TABLE acme.t IS 'a\\'; CREATE ROLE evil; --';",
    "COMMENT ON TABLE acme.t IS U&'a' UESCAPE '!'; DROP SCHEMA beta; --';",
    "/* /* */ */ CREATE ROLE evil; -- */",
    "-- \rCREATE ROLE evil;",
    "\\unrestrict Abc123\nCREATE ROLE evil;",
    "\\restrict Abc123\nCREATE ROLE evil;",
    "\\unrestrict wrong",
    "CREATE ROLE evil",
    ";;; COMMIT AND CHAIN;",
    "CREATE RULE r AS ON INSERT TO acme.t DO (SELECT 1; DELETE FROM beta.t);",
]


@pytest.mark.parametrize("script", BEHIND)
def test_what_is_hidden_is_refused(script: str) -> None:
    refusal(script)


@pytest.mark.parametrize("row", ["\\.\r\n", "\\.x\n", "x\0\n"], ids=["cr", "more", "nul"])
def test_what_ends_rows_for_others_is_refused(row: str) -> None:
    """psql takes such a line for the end, or does not see an end behind it."""
    with pytest.raises(UnreadableScriptError):
        look("COPY acme.t (a) FROM stdin;\n" + row + "\\.\n")


DATA_NAMES = ["acme", "50% off", "%n", 'q"uo.te d', "-n", "a\\b", "[x]", "é", "a'b", "a.b", "A B"]


@pytest.mark.parametrize("schema", DATA_NAMES)
def test_every_schema_may_hold_its_own(schema: str) -> None:
    name = '"' + schema.replace('"', '""') + '"'
    literal = "'" + f'{name}."s"'.replace("'", "''") + "'"
    if "\\" in literal:
        literal = "E" + literal.replace("\\", "\\\\")
    script = f"""CREATE SCHEMA {name};
CREATE SEQUENCE {name}."s";
CREATE TABLE {name}.t (a int DEFAULT nextval({literal}::regclass));
COPY {name}.t (a) FROM stdin;
1
\\.
SELECT pg_catalog.setval({literal}, 1, true);
COMMENT ON COLUMN {name}.t.a IS 'COPY x FROM stdin;
';
"""
    turns = look(script, schema)
    assert turns == [Turn.SKIP, Turn.MAKE, Turn.MAKE, Turn.FILL, Turn.MAKE, Turn.MAKE]


HONEST = {
    "SET default_tablespace = 'fast';": Turn.SETTING,
    "ALTER TABLE acme.t ADD CONSTRAINT f FOREIGN KEY (a) REFERENCES public.c(id);": Turn.BIND,
    "CREATE TABLE acme.t (a public.citext, b information_schema.sql_identifier);": Turn.MAKE,
    "CREATE VIEW acme.v AS SELECT * FROM acme.t JOIN public.c USING (id, a);": Turn.MAKE,
    "CREATE VIEW acme.v AS SELECT (t.p).a.b AS x FROM acme.t t;": Turn.MAKE,
    "CREATE TYPE acme.e AS ENUM ('beta', 'x');": Turn.MAKE,
    "CREATE TRIGGER t AFTER UPDATE OF a, b ON acme.t EXECUTE FUNCTION acme.f('b', 'c');": Turn.MAKE,
    "CREATE CONSTRAINT TRIGGER t AFTER INSERT ON acme.t DEFERRABLE INITIALLY DEFERRED FOR EACH ROW"
    " EXECUTE FUNCTION acme.f();": Turn.DEFER,
    "GRANT SELECT(a, b) ON TABLE acme.t TO PUBLIC;": Turn.GRANT,
    "REVOKE ALL ON FUNCTION acme.f(a integer) FROM PUBLIC;": Turn.GRANT,
    "ALTER DEFAULT PRIVILEGES FOR ROLE b IN SCHEMA acme GRANT ALL ON TABLES TO a, c;": Turn.GRANT,
    "COMMENT ON OPERATOR FAMILY acme.oc USING btree IS 'x';": Turn.MAKE,
    "COMMENT ON CONSTRAINT c ON DOMAIN acme.d IS 'x';": Turn.MAKE,
    "COMMENT ON TRIGGER tr ON acme.t IS 'x';": Turn.MAKE,
    "CREATE TABLE acme.t (a int CHECK (" + " + ".join(["a"] * 300) + " > 0));": Turn.MAKE,
    "CREATE FUNCTION acme.f() RETURNS int LANGUAGE sql AS $$\nCOPY x FROM stdin;\n$$;": Turn.MAKE,
}


@pytest.mark.parametrize(("statement", "turn"), HONEST.items(), ids=[key[:60] for key in HONEST])
def test_what_belongs_in_a_backup_is_taken(statement: str, turn: Turn) -> None:
    assert look(f"{HEAD}{statement}\n{TAIL}")[-1] is turn


def test_a_grant_of_another_role_is_run_as_ours() -> None:
    script = (
        "SET SESSION AUTHORIZATION app;\nGRANT SELECT ON TABLE acme.t TO PUBLIC;\n"
        "RESET SESSION AUTHORIZATION;\n"
    )
    assert look(HEAD + script + TAIL)[-3:] == [Turn.SKIP, Turn.GRANT, Turn.SKIP]


def test_a_refusal_names_the_statement_and_not_its_data() -> None:
    message = refusal("ALTER ROLE bob PASSWORD 'hush'; INSERT INTO acme.t VALUES ('hush');")
    assert "ALTER ROLE" in message
    assert "hush" not in message

"""What env.py sends is judged by its text: PostgreSQL's own parser, and the session's own path."""

from __future__ import annotations

import pytest

from tenantmig.history.env_statement import judge

PATH = ("a b", "ext")
HARMLESS = (
    'SET search_path TO "a b", ext',
    'SET search_path TO "a b", ext, pg_temp',
    """SELECT set_config('search_path', '"a b", ext', false)""",
    "SELECT set_config('my.setting', 'x', false)",
    "SELECT schema FROM tenants",
    "SELECT 'CREATE SCHEMA x'",
    "SHOW search_path",
    "SELECT current_setting('search_path')",
    "SET ROLE app",
    "SET lock_timeout = 3",
    "CREATE FUNCTION f() RETURNS int LANGUAGE sql SET search_path = x AS 'SELECT 1'",
    "COMMENT ON SCHEMA x IS 'y'",
    "ALTER FUNCTION f() SET search_path = ''",
    "ALTER PROCEDURE p() RESET ALL",
    "ALTER ROUTINE f() SET search_path TO x",
    "DO $$BEGIN INSERT INTO t VALUES (1) ON CONFLICT DO NOTHING; END$$",
    "DO $$BEGIN IF NOT EXISTS (SELECT FROM information_schema.tables) THEN NULL; END IF; END$$",
    "DO $$BEGIN CREATE TABLE x (table_schema text); END$$",
    "DO $$BEGIN CREATE TRIGGER g AFTER INSERT ON t EXECUTE FUNCTION s.f(); END$$",
    "DO $$BEGIN GRANT EXECUTE ON FUNCTION f() TO x; END$$",
)
PLACING = (
    ('SET search_path TO "a b"', "SET search_path"),  # without what the settings put behind it
    ('SET search_path TO "a b", ext, public', "SET search_path"),
    ('SET search_path TO "A B", ext', "SET search_path"),
    ("SET search_path TO DEFAULT", "SET search_path"),
    ("SET LOCAL search_path = public", "SET search_path"),
    ("SET SCHEMA 'x'", "SET search_path"),
    ("RESET search_path", "SET search_path"),
    ("RESET ALL", "RESET ALL"),
    ("DISCARD ALL", "DISCARD ALL"),
    ("SET SESSION AUTHORIZATION x", "SET SESSION AUTHORIZATION"),
    ("SELECT pg_catalog.set_config('Search_Path', %s, false)", "set_config('search_path', ...)"),
    ("SELECT set_config(name, 'x', false) FROM t", "set_config() of a setting that cannot be"),
    ("WITH x AS (SELECT set_config('search_path', 'q', true)) SELECT * FROM x", "set_config("),
    ("UPDATE pg_settings SET setting = 'x' WHERE name = 'search_path'", "UPDATE pg_settings"),
    ("ALTER ROLE a SET search_path = x", "ALTER ... SET search_path"),
    ("ALTER DATABASE d SET search_path = x", "ALTER ... SET search_path"),
    ("SELECT 1; /* now */ create  schema x", "CREATE SCHEMA"),
    ("CREATE SCHEMA AUTHORIZATION x CREATE TABLE t ()", "CREATE SCHEMA"),
    ("CREATE SCHEMA IF NOT EXISTS %s", "CREATE SCHEMA"),
    ("CREATE SCHEMA <object at 0x1>", "CREATE SCHEMA"),
    ("DROP SCHEMA IF EXISTS x CASCADE", "DROP SCHEMA"),
    ("ALTER SCHEMA x RENAME TO y", "ALTER SCHEMA"),
    ("ALTER SCHEMA x OWNER TO y", "ALTER SCHEMA"),
    ("DO $$BEGIN EXECUTE 'create schema x'; END$$", "DO, with a schema or search_path in it"),
    ("DO 'BEGIN CREATE /* x */ SCHEMA y; END'", "DO, with a schema"),
    ("DO $$BEGIN -- a\nCREATE -- b\nSCHEMA y; END$$", "DO, with a schema"),
    ("DO $$BEGIN PERFORM set_config('a' || 'b', 'c', false); END$$", "DO, with a schema"),
    ("DO $$BEGIN SET LOCAL search_path = x; END$$", "DO, with a schema"),
    ("DO $$BEGIN RESET ALL; END$$", "DO, with a schema"),
    ("DO $$BEGIN EXECUTE format('CREATE %s x', 'SCHEMA'); END$$", "DO, with an EXECUTE"),
    ("DO $$BEGIN EXECUTE what; END$$", "DO, with an EXECUTE"),
)


@pytest.mark.parametrize("text", HARMLESS)
def test_what_places_no_table_is_let_be(text: str) -> None:
    assert judge(text, PATH) is None


@pytest.mark.parametrize(("text", "said"), PLACING)
def test_what_places_tables_is_named(text: str, said: str) -> None:
    told = judge(text, PATH)
    assert told is not None
    assert told.startswith(said)

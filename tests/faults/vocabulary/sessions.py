"""What is kept on a session, what reads rows, and what leaves the transaction or the connection."""

from __future__ import annotations

from tests.faults.vocabulary.kind import kind

SETTINGS = [
    "datestyle = 'German'", "datestyle = 'SQL, DMY'", "timezone = 'Asia/Kolkata'",
    "timezone = 'America/New_York'", "session_replication_role = 'replica'",
    "check_function_bodies = off", "transform_null_equals = on", "app.scope = 'x'",
    "intervalstyle = 'iso_8601'", "bytea_output = 'escape'", "extra_float_digits = -3",
    "default_text_search_config = 'pg_catalog.german'", "row_security = off", "array_nulls = off",
    "client_min_messages = warning", "xmlbinary = 'hex'", "default_toast_compression = 'pglz'",
    "quote_all_identifiers = on", "standard_conforming_strings = on", "work_mem = '8MB'",
    "plpgsql.variable_conflict = 'use_column'", "lock_timeout = 0", "statement_timeout = 0",
    "idle_in_transaction_session_timeout = 0", "search_path = :own", "constraint_exclusion = on",
]  # fmt: skip
HOW = [
    'op.execute("SET <<setting>>")',
    'op.execute("SET SESSION <<setting>>")',
    'op.execute("SET LOCAL <<setting>>")',
    'op.get_bind().exec_driver_sql("SET <<setting>>")',
    "op.execute(\"SELECT set_config('app.scope', '<<t>>', <<sql_bool>>)\")",
    "op.get_bind().execute(sa.text(\"SELECT set_config('timezone', 'Asia/Tokyo', false)\"))",
    "op.execute(\"DO $$ BEGIN PERFORM set_config('app.scope', 'do', <<sql_bool>>); END $$\")",
    "op.execute(\"DO $$ BEGIN EXECUTE 'SET <<bare_setting>>'; END $$\")",
    "op.execute(\"UPDATE thing SET name = name WHERE set_config('app.scope', 'u', false) IS NULL\")",
    'op.execute("RESET app.scope")',
    'op.execute("RESET datestyle; SET app.scope TO DEFAULT")',
]
PROBE = """
op.execute('''INSERT INTO results SELECT '<<t>>', 0, concat_ws('|',
    current_setting('app.scope', true), current_setting('timezone'), current_setting('datestyle'),
    current_setting('session_replication_role'), timestamptz '2024-01-02 03:04+00',
    date '2024-03-04', interval '1 day 2 hours', 0.1::float8 / 3, '\\\\x01'::bytea,
    current_setting('transform_null_equals'), current_setting('row_security'),
    current_setting('work_mem'), to_tsvector('houses Häuser'), current_user)''')
"""
TRIGGER = """
op.execute('''CREATE FUNCTION <<t>>_f() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN NEW.found := NEW.found || '!'; <<in_trigger>> RETURN NEW; END $$''')
op.execute('CREATE TRIGGER <<t>>_g BEFORE INSERT ON results FOR EACH ROW'
           ' EXECUTE FUNCTION <<t>>_f()')
op.execute("INSERT INTO results VALUES ('<<t>>', 1, 'seen')")
"""
READS = [
    "op.get_bind().execute(sa.text('SELECT count(*) FROM thing')).scalar()",
    "op.get_bind().execute(sa.text('SELECT id FROM thing WHERE id > 3')).fetchall()",
    "op.get_bind().execute(sa.text(\"SELECT 1 FROM thing WHERE name = 'vip'\")).first()",
    "op.get_bind().scalar(sa.text('SELECT max(id) FROM thing')) - 3",
    "op.get_bind().execute(sa.text('SELECT id FROM thing WHERE id = 99')).first()",
    "op.get_bind().execute(sa.select(sa.table('thing', sa.column('id')))).rowcount > 3",
    "op.get_bind().execute(sa.text('UPDATE thing SET qty = qty')).rowcount > 3",
    "[r for r in op.get_bind().execute(sa.text('SELECT * FROM thing')).mappings() if r['id'] > 3]",
    "sa.inspect(op.get_bind()).has_table('vips')",
    "'vips' in sa.inspect(op.get_bind()).get_table_names()",
    "op.get_bind().dialect.has_table(op.get_bind(), 'vips')",
    "sa.inspect(op.get_bind()).has_table('absent')",
    "[c for c in sa.inspect(op.get_bind()).get_columns('thing') if c['name'] == 'absent']",
    "op.get_bind().execute(sa.text(\"DELETE FROM results WHERE found = 'no' RETURNING 1\")).first()",
    "op.get_bind().execute(sa.text('UPDATE thing SET qty = 5 WHERE id > 3 RETURNING id')).all()",
    "op.get_bind().execute(sa.text(\"SELECT to_regclass('vips')\")).scalar()",
    "op.get_bind().dialect.name == 'postgresql'",
    "op.get_context().dialect.name != 'sqlite'",
    "op.get_bind().dialect.server_version_info >= (12,)",
    "not context.is_offline_mode()",
    "op.get_bind().in_transaction()",
]
POOLS = {
    "setting": [s for s in SETTINGS if ":own" not in s],
    "bare_setting": ["timezone = 5", "session_replication_role = replica", "datestyle = iso"],
    "set": HOW,
    "sql_bool": ["true", "false"],
    "in_trigger": ["", "PERFORM set_config('app.scope', 'trigger', <<sql_bool>>);"],
    "read": READS,
}
KINDS = [
    kind("a setting", "<<set>>", weight=14),
    kind("a setting and a look", "<<set>>", PROBE, weight=14),
    kind("a look at the session", PROBE, weight=5),
    kind("a trigger", TRIGGER, PROBE, weight=4),
    kind(
        "a branch on what is read",
        "if <<read>>:\n    <<does>>",
        head="from alembic import context",
        weight=26,
    ),
    kind(
        "a loop over rows",
        """
for row in op.get_bind().execute(sa.text('SELECT id, name FROM thing ORDER BY id')).fetchall():
    op.get_bind().execute(sa.text("INSERT INTO results VALUES ('<<t>>', :id, :name)"),
                          {'id': row.id * 2, 'name': row.name})
""",
        weight=3,
    ),
    kind(
        "a temporary table for the next",
        "op.execute('CREATE TEMP TABLE <<t>>_tmp AS SELECT id FROM thing')",
        "op.execute(\"INSERT INTO results SELECT '<<t>>', id, 'temp' FROM <<t>>_tmp\")",
        weight=3,
    ),
    kind(
        "a temporary table dropped",
        "op.execute('CREATE TEMP TABLE <<t>>_tmp ON COMMIT DROP AS SELECT id FROM thing')\n"
        "op.execute(\"INSERT INTO results SELECT '<<t>>', id, 'temp' FROM <<t>>_tmp\")",
    ),
    kind(
        "a temporary view and function",
        "op.execute('CREATE TEMP VIEW <<t>>_v AS SELECT 5 AS n')\n"
        "op.execute('CREATE FUNCTION pg_temp.<<t>>_f() RETURNS int LANGUAGE sql AS $$SELECT 6$$')",
        "op.execute(\"INSERT INTO results SELECT '<<t>>', n + pg_temp.<<t>>_f(), '' FROM <<t>>_v\")",
    ),
    kind(
        "a prepared statement",
        "op.execute(\"PREPARE <<t>>_p AS INSERT INTO results VALUES ('<<t>>', 1, 'prepared')\")",
        "op.execute('EXECUTE <<t>>_p')",
    ),
    kind(
        "the last number of a sequence",
        "op.execute('CREATE SEQUENCE <<t>>_s START 40')\n"
        "op.execute(\"INSERT INTO results SELECT '<<t>>', nextval('<<t>>_s') FROM thing\")",
        "op.execute(\"INSERT INTO results VALUES ('<<t>>', currval('<<t>>_s') + 100, 'curr')\")\n"
        "op.execute(\"INSERT INTO results VALUES ('<<t>>', lastval() + 200, 'last')\")",
    ),
    kind(
        "a seeded random()",
        "op.execute('SELECT setseed(0.5)')",
        "op.execute(\"INSERT INTO results SELECT '<<t>>', (1000 * random())::int, 'r'\")",
    ),
    kind(
        "a function that is not checked",
        "op.execute('SET check_function_bodies = off')",
        "op.execute('CREATE FUNCTION <<t>>() RETURNS int LANGUAGE sql AS"
        " $$ SELECT nowhere FROM absent_<<t>> $$')",
    ),
    kind(
        "replication role and a trigger",
        'op.execute("SET session_replication_role = replica")',
        TRIGGER,
    ),
    kind(
        "null equals",
        "op.execute('SET transform_null_equals = on')",
        "op.execute(\"INSERT INTO results SELECT '<<t>>', id, (NULL = found)::text FROM results\")",
    ),
    kind(
        "a domain of days",
        "op.execute(\"SET datestyle = 'ISO, DMY'\")",
        "op.execute(\"INSERT INTO results VALUES ('<<t>>', '03/04/2024'::date - '2024-01-01'::date)\")",
    ),
    kind(
        "a role for the rest",
        "op.execute('SET ROLE oracle_writer')",
        PROBE,
        "op.execute('RESET ROLE')",
        weight=1,
    ),
    kind(
        "row security by a setting",
        """
op.execute("SET app.scope = 'mine'")
op.execute('CREATE TABLE <<t>> (scope text)')
op.execute("INSERT INTO <<t>> VALUES (current_setting('app.scope', true)), ('other')")
""",
        "op.execute(\"DELETE FROM <<t>> WHERE scope = current_setting('app.scope', true)\")",
    ),
    kind(
        "a DO block",
        """
op.execute('''DO $$ DECLARE r record; BEGIN
  FOR r IN SELECT id FROM thing ORDER BY id LOOP
    EXECUTE format('INSERT INTO results VALUES (%L, %s, %L)', '<<t>>', r.id, current_schema());
  END LOOP; END $$''')
""",
        weight=3,
    ),
    kind(
        "a function used at once",
        """
op.execute('''CREATE OR REPLACE FUNCTION <<t>>(n int) RETURNS int LANGUAGE plpgsql AS $$
  BEGIN RETURN n * (SELECT count(*) FROM thing); END $$''')
op.execute("INSERT INTO results SELECT '<<t>>', <<t>>(2), 'f'")
""",
    ),
]

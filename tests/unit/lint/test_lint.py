"""Lint: a script that triggers each rule and one that does not; what scripts allow; ranges."""

from __future__ import annotations

import functools
import shutil
import sys
import tempfile
from pathlib import Path

import pytest

from tenantmig.errors import EnvironmentFileError, SelectionError, SquawkError, UnknownRevisionError
from tenantmig.fleet.fleet import Fleet
from tenantmig.history.revisions import History
from tenantmig.lint import CHOICE, OURS, SQUAWK, Choice, Finding, LintReport, Severity
from tenantmig.lint.linter import EVERY_RULE, NO_SQL, NOT_OFFLINE, OF_PSYCOPG2, UNNAMED
from tests.fixtures.command import INI, REPOSITORY, Project
from tests.fixtures.history import write_history, write_revision

SHAPES = REPOSITORY / "tests" / "scenarios" / "shapes"
USERS = (
    "a1",
    'op.execute("CREATE TABLE users (id bigint PRIMARY KEY, name text, old_name text)")',
    'op.execute("DROP TABLE users")',
)
BLOCK = "with op.get_context().autocommit_block():\n    "


def lint(
    folder: Path,
    *scripts: tuple[str, ...],
    toml: str = "",
    only: str | None = None,
    choice: Choice = CHOICE,
) -> LintReport:
    """Lint a linear history of (revision, upgrade, downgrade), without any database."""
    write_history(folder / "history", *scripts)  # type: ignore[arg-type]
    ini = folder / "alembic.ini"
    ini.write_text(INI.format(script_location=folder / "history", root=folder))
    (folder / "tenantmig.toml").write_text(toml)
    return Fleet.open(ini).lint(only, choice=choice)


def rules(report: LintReport, source: str = OURS) -> set[str]:
    return {finding.rule for finding in report.findings if finding.source == source}


def sql(*statements: str) -> str:
    return "\n".join(f'op.execute("""{statement}""")' for statement in statements)


NOTHING = "pass"
IRREVERSIBLE = 'raise NotImplementedError("gone")'
FUNCTION = "CREATE FUNCTION f() RETURNS int LANGUAGE plpgsql {} AS $$ BEGIN {} RETURN 1; END $$"
TRIGGER = (
    "CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $$"
    " BEGIN NEW.name := 'a''b\\\\x'; {} RETURN NEW; END $$"
)

CONSTRAINT = (
    "DO $$ BEGIN IF NOT EXISTS (SELECT FROM pg_constraint WHERE {}) THEN NULL; END IF; END $$"
)
JOINED = "SELECT 1 FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE {}"
CATALOGS = (  # one that every tenant answers, and one that asks of the tenant's own schema
    (CONSTRAINT.format("conname = 'f'"), CONSTRAINT.format("conrelid = 'users'::regclass")),
    (
        "SELECT 1 FROM pg_constraint WHERE conname = 'f'",
        "SELECT 1 FROM pg_constraint WHERE connamespace = current_schema()::regnamespace",
    ),
    (
        "SELECT 1 FROM information_schema.columns WHERE table_name = 'users'",
        "SELECT 1 FROM information_schema.columns WHERE table_schema = CURRENT_SCHEMA",
    ),
    (
        "SELECT 1 FROM information_schema.tables WHERE table_schema = 'public'",
        "SELECT 1 FROM information_schema.tables WHERE table_schema = ANY(current_schemas(false))",
    ),
    (
        "SELECT 1 FROM pg_class WHERE relname = 'users'",
        "SELECT 1 FROM pg_class WHERE relname = 'users' AND pg_table_is_visible(oid)",
    ),
    (JOINED.format("relname = 'users'"), JOINED.format("nspname = current_schema()")),
    (
        "SELECT 1 FROM pg_type WHERE typname = 'mood'",
        "SELECT 1 FROM pg_enum WHERE enumtypid = to_regtype('mood')",
    ),
    (
        "SELECT 1 FROM pg_indexes WHERE indexname = 'i'",
        "SELECT 1 FROM pg_indexes WHERE schemaname = current_schema()",
    ),
    ("SELECT to_regclass('public.users')", "SELECT to_regclass('users')"),
    ("SELECT 'acme.users'::regclass", "SELECT 1 FROM pg_roles WHERE rolname = 'x'"),
    (
        "SELECT 1 FROM pg_policy WHERE polrelid = (SELECT oid FROM pg_class WHERE relname = 'u')",
        "SELECT 1 FROM pg_trigger WHERE tgrelid = 'users'::regclass AND tgname = 't'",
    ),
)

OUR_RULES: dict[str, tuple[tuple[str, str], tuple[str, str]]] = {
    # rule: ((upgrade, downgrade) that triggers it, one that does not)
    "hard-coded-schema writes": (
        (sql("CREATE TABLE acme.t (id bigint)"), NOTHING),
        (sql("CREATE TABLE t (id bigint)"), NOTHING),
    ),
    "psycopg2-only method": (
        (
            "if op is None:\n    op.get_bind().connection.cursor().copy_expert('COPY t', None)",
            NOTHING,
        ),
        ("if op is None:\n    op.get_bind().connection.cursor().copy('COPY t')", NOTHING),
    ),
    "psycopg2-only in": (
        ("if op is None:\n    op.execute(sa.text('DELETE FROM t WHERE id IN :ids'))", NOTHING),
        (
            "if op is None:\n    op.execute(sa.text('DELETE FROM t WHERE id = ANY(:i)'))",
            NOTHING,
        ),
    ),
    "hard-coded-schema shared": (
        (sql("INSERT INTO public.plans VALUES (1)"), NOTHING),
        (sql("INSERT INTO users SELECT * FROM public.plans"), NOTHING),
    ),
    "hard-coded-schema directive": (
        ("op.create_table('t', sa.Column('id', sa.BigInteger), schema='public')", NOTHING),
        ("op.create_table('t', sa.Column('id', sa.BigInteger), schema='tenant')", NOTHING),
    ),
    "hard-coded-schema reads": (
        (sql("INSERT INTO users SELECT * FROM acme.users"), NOTHING),
        (sql("INSERT INTO users SELECT * FROM pg_catalog.pg_roles"), NOTHING),
    ),
    "hard-coded-schema type": (
        (sql("CREATE TYPE acme.color AS ENUM ('red')"), NOTHING),
        (sql("CREATE TYPE color AS ENUM ('red')"), NOTHING),
    ),
    "hard-coded-schema downgrade": (
        (NOTHING, sql("DROP VIEW acme.v")),
        (NOTHING, sql("DROP VIEW IF EXISTS v")),
    ),
    "hard-coded-schema path": (
        (sql("SET search_path = public"), NOTHING),
        (sql("SET work_mem = '64MB'"), NOTHING),
    ),
    "hard-coded-schema create": ((sql("CREATE SCHEMA audit"), NOTHING), (sql("SELECT 1"), NOTHING)),
    "hard-coded-schema move": (
        (sql("ALTER TABLE users SET SCHEMA public"), NOTHING),
        (sql("ALTER TABLE users SET TABLESPACE pg_default"), NOTHING),
    ),
    "hard-coded-schema grant": (
        (sql("GRANT SELECT ON ALL TABLES IN SCHEMA public TO app"), NOTHING),
        (sql("GRANT SELECT ON users TO app"), NOTHING),
    ),
    "hard-coded-schema comment": (
        (sql("COMMENT ON COLUMN acme.users.name IS 'x'"), NOTHING),
        (sql("COMMENT ON COLUMN users.name IS 'x'"), NOTHING),
    ),
    "hard-coded-schema in DO": (
        (sql("DO $$ BEGIN UPDATE acme.users SET name = ''; END $$"), NOTHING),
        (sql("DO $$ BEGIN UPDATE users SET name = ''; END $$"), NOTHING),
    ),
    "hard-coded-schema in trigger": (
        (sql(TRIGGER.format("INSERT INTO acme.log VALUES (1);")), NOTHING),
        (sql(TRIGGER.format("INSERT INTO log VALUES (1);")), NOTHING),
    ),
    "extension-in-tenant": (
        (sql("CREATE EXTENSION IF NOT EXISTS citext"), NOTHING),
        (sql("CREATE COLLATION german (provider = icu, locale = 'de')"), NOTHING),
    ),
    "extension-in-tenant drop": (
        (NOTHING, sql("DROP EXTENSION citext")),
        (NOTHING, sql("DROP COLLATION IF EXISTS german")),
    ),
    "only-in-public relation": (
        (sql("INSERT INTO users SELECT * FROM plans"), NOTHING),
        (sql("WITH plans AS (SELECT * FROM users) INSERT INTO users SELECT * FROM plans"), NOTHING),
    ),
    "only-in-public alter": (
        (sql("ALTER TABLE plans ADD COLUMN x bigint"), NOTHING),
        (sql("ALTER TABLE IF EXISTS plans ADD COLUMN x bigint"), NOTHING),
    ),
    "only-in-public key": (
        (sql("CREATE TABLE t (id bigint REFERENCES plans)"), NOTHING),
        (
            sql("CREATE TABLE t (id bigint REFERENCES public.plans, u bigint REFERENCES users)"),
            NOTHING,
        ),
    ),
    "only-in-public type": (
        (sql("ALTER TABLE users ADD COLUMN email citext"), NOTHING),
        (
            sql(
                "CREATE DOMAIN email AS text",
                "CREATE TABLE t (a serial, b email, c jsonb[], d users)",
                "CREATE FUNCTION f(a users.name%TYPE) RETURNS text LANGUAGE sql"
                " SET search_path FROM CURRENT AS 'SELECT a'",
            ),
            NOTHING,
        ),
    ),
    "only-in-public function": (
        (sql("ALTER TABLE users ADD COLUMN key uuid DEFAULT uuid_generate_v4()"), NOTHING),
        (
            sql(
                "ALTER TABLE users ADD COLUMN key uuid DEFAULT gen_random_uuid()",
                "SELECT count(*), date(now()), coalesce(max(id), 0) FROM users",
                "ALTER SEQUENCE users_id_seq RESTART",
                "ALTER INDEX users_pkey RENAME TO pk_users",
            ),
            NOTHING,
        ),
    ),
    "only-in-public trigger": (
        (
            sql("CREATE TRIGGER t AFTER INSERT ON users FOR EACH ROW EXECUTE FUNCTION audit()"),
            NOTHING,
        ),
        (
            sql(
                TRIGGER.format(""),
                "CREATE TRIGGER t AFTER INSERT ON users FOR EACH ROW EXECUTE FUNCTION f()",
            ),
            NOTHING,
        ),
    ),
    "only-in-public created in DO": (
        (sql("DO $$ BEGIN NULL; END $$", "ALTER TABLE users ADD COLUMN c color"), NOTHING),
        (
            sql(
                "DO $$ BEGIN CREATE TYPE color AS ENUM ('red'); END $$",
                "ALTER TABLE users ADD COLUMN c color",
            ),
            NOTHING,
        ),
    ),
    "only-in-public renamed": (
        (sql("ALTER TABLE users RENAME COLUMN name TO people", "SELECT * FROM people"), NOTHING),
        (sql("ALTER TABLE users RENAME TO people", "SELECT * FROM people"), NOTHING),
    ),
    "foreign-key-to-tenant": (
        (sql("CREATE TABLE t (id bigint REFERENCES acme.users)"), NOTHING),
        (
            sql("CREATE TABLE t (id bigint REFERENCES public.plans, u bigint REFERENCES users)"),
            NOTHING,
        ),
    ),
    "foreign-key-to-tenant directive": (
        (
            "op.create_foreign_key('f', 'users', 'users', ['id'], ['id'], referent_schema='acme')",
            NOTHING,
        ),
        ("op.create_foreign_key('f', 'users', 'users', ['id'], ['id'])", NOTHING),
    ),
    "shared-table-lock": (
        (sql("ALTER TABLE public.plans ADD COLUMN x bigint"), NOTHING),
        (sql("ALTER TABLE users ADD COLUMN x bigint"), NOTHING),
    ),
    "shared-table-lock explicit": (
        (sql("LOCK TABLE public.plans"), NOTHING),
        (sql("LOCK TABLE users"), NOTHING),
    ),
    "shared-table-lock rows": (
        (sql("SELECT * FROM public.plans FOR UPDATE"), NOTHING),
        (sql("SELECT * FROM public.plans"), NOTHING),
    ),
    "function-search-path": (
        (sql(FUNCTION.format("", "")), NOTHING),
        (sql(FUNCTION.format("SET search_path FROM CURRENT", "")), NOTHING),
    ),
    "function-search-path atomic": (
        (
            sql("CREATE FUNCTION f() RETURNS bigint LANGUAGE sql AS 'SELECT max(id) FROM users'"),
            NOTHING,
        ),
        (
            sql(
                "CREATE FUNCTION f() RETURNS bigint LANGUAGE sql"
                " BEGIN ATOMIC SELECT max(id) FROM users; END"
            ),
            NOTHING,
        ),
    ),
    "autocommit-not-idempotent": (
        (BLOCK + sql("UPDATE users SET name = name || '!'"), NOTHING),
        (BLOCK + sql("CREATE INDEX CONCURRENTLY i ON users (name)"), NOTHING),
    ),
    "autocommit-not-idempotent table": (
        (BLOCK + sql("CREATE TABLE t (id bigint)"), NOTHING),
        (BLOCK + sql("CREATE TABLE IF NOT EXISTS t (id bigint)"), NOTHING),
    ),
    "autocommit-not-idempotent column": (
        (BLOCK + sql("ALTER TABLE users ADD COLUMN x bigint"), NOTHING),
        (BLOCK + sql("ALTER TABLE users ADD COLUMN IF NOT EXISTS x bigint"), NOTHING),
    ),
    "autocommit-not-idempotent after": (
        ("op.execute('COMMIT')\n" + sql("UPDATE users SET name = ''"), NOTHING),
        (
            BLOCK
            + sql("ALTER TABLE users VALIDATE CONSTRAINT c")
            + "\n"
            + sql("UPDATE users SET name = ''"),
            NOTHING,
        ),
    ),
    "lossy-downgrade column": (
        (
            "op.drop_column('users', 'old_name')",
            "op.add_column('users', sa.Column('old_name', sa.Text))",
        ),
        ("op.drop_column('users', 'old_name')", IRREVERSIBLE),
    ),
    "lossy-downgrade moved": (
        (
            sql("UPDATE users SET name = old_name", "ALTER TABLE users DROP COLUMN old_name"),
            sql("ALTER TABLE users ADD COLUMN old_name text"),
        ),
        (
            sql("UPDATE users SET name = old_name", "ALTER TABLE users DROP COLUMN old_name"),
            sql("ALTER TABLE users ADD COLUMN old_name text", "UPDATE users SET old_name = name"),
        ),
    ),
    "lossy-downgrade table": (
        ("op.drop_table('users')", sql("CREATE TABLE users (id bigint)")),
        (sql("CREATE TABLE t (id bigint)", "DROP TABLE t"), NOTHING),
    ),
    "lossy-downgrade truncate": (
        (sql("TRUNCATE users"), NOTHING),
        (sql("CREATE TEMP TABLE t AS SELECT 1", "TRUNCATE t"), NOTHING),
    ),
    "lossy-downgrade delete": (
        (sql("DELETE FROM users"), NOTHING),
        (sql("DELETE FROM users WHERE name = 'x'"), NOTHING),
    ),
    "lossy-downgrade on the way down": (
        (NOTHING, "op.drop_table('users')"),
        (sql("CREATE TABLE t (id bigint)"), "op.drop_table('t')"),
    ),
    "lossy-downgrade column on the way down": (
        (NOTHING, "op.drop_column('users', 'name')"),
        ("op.add_column('users', sa.Column('x', sa.Text))", "op.drop_column('users', 'x')"),
    ),
    "lossy-downgrade moved on the way down": (
        (NOTHING, sql("CREATE TABLE people (id bigint)", "DROP TABLE users")),
        (NOTHING, sql("CREATE TABLE people AS SELECT * FROM users", "DROP TABLE users")),
    ),
    "concurrent-index-mixed": (
        (
            sql("ALTER TABLE users ADD COLUMN x bigint")
            + "\n"
            + BLOCK
            + sql("CREATE INDEX CONCURRENTLY i ON users (x)"),
            NOTHING,
        ),
        (
            BLOCK
            + sql("DROP INDEX CONCURRENTLY IF EXISTS i").replace("\n", "\n    ")
            + "\n    "
            + sql("CREATE INDEX CONCURRENTLY i ON users (name)"),
            NOTHING,
        ),
    ),
    **{
        f"catalog-without-schema {number}": ((sql(bad), NOTHING), (sql(good), NOTHING))
        for number, (bad, good) in enumerate(CATALOGS)
    },
    "drop-without-name": (
        ("op.drop_constraint(None, 'users', type_='foreignkey')", NOTHING),
        ("op.drop_constraint('fk_users', 'users', type_='foreignkey')", NOTHING),
    ),
    "drop-without-name downgrade": (
        (NOTHING, "with op.batch_alter_table('users') as batch:\n    batch.drop_index(None)"),
        (NOTHING, "op.drop_index('i')"),
    ),
    "only-in-public key directive": (
        ("op.create_foreign_key('f', 'users', 'plans', ['id'], ['id'])", NOTHING),
        ("op.create_foreign_key('f', 'users', 'users', ['id'], ['id'])", NOTHING),
    ),
    "not-offline": (
        ("op.get_bind().execute(sa.text('SELECT 1')).scalar_one()", NOTHING),
        (sql("SELECT 1"), NOTHING),
    ),
    "unreadable-sql": ((sql("ALTER TABLE users ADD COLUMN"), NOTHING), (sql("SELECT 1"), NOTHING)),
}
SQUAWKS_RULES = {
    "require-concurrent-index-creation": (
        (sql("CREATE INDEX i ON users (name)"), NOTHING),
        (BLOCK + sql("CREATE INDEX CONCURRENTLY i ON users (name)"), NOTHING),
    ),
    "ban-concurrent-index-creation-in-transaction": (
        (sql("CREATE INDEX CONCURRENTLY i ON users (name)"), NOTHING),
        (BLOCK + sql("CREATE INDEX CONCURRENTLY i ON users (name)"), NOTHING),
    ),
    "adding-required-field": (
        (sql("ALTER TABLE users ADD COLUMN x bigint NOT NULL"), NOTHING),
        (sql("ALTER TABLE users ADD COLUMN x bigint"), NOTHING),
    ),
    "constraint-missing-not-valid": (
        ("op.create_check_constraint('c', 'users', 'id > 0')", NOTHING),
        ("op.create_check_constraint('c', 'users', 'id > 0', postgresql_not_valid=True)", NOTHING),
    ),
    "ban-drop-column": (
        ("op.drop_column('users', 'name')", IRREVERSIBLE),
        ("op.add_column('users', sa.Column('x', sa.Text))", "op.drop_column('users', 'x')"),
    ),
}


@functools.cache
def every_case() -> LintReport:
    """Lint all of them at once: a history in which each is a branch that begins at `a1`."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_history(folder / "history", USERS)
        cases = {**OUR_RULES, **SQUAWKS_RULES}
        for case, scripts in cases.items():
            for kind, (upgrade, downgrade) in zip(("bad", "good"), scripts, strict=True):
                write_revision(folder / "history", _revision(case, kind), "a1", upgrade, downgrade)
        ini = folder / "alembic.ini"
        ini.write_text(INI.format(script_location=folder / "history", root=folder))
        return Fleet.open(ini, version_length=64).lint()


def _revision(case: str, kind: str) -> str:
    return f"{case.replace(' ', '_').replace('-', '_')}_{kind}"


def _found(case: str, kind: str, source: str) -> list[Finding]:
    revision = _revision(case, kind)
    return [f for f in every_case().findings if (f.revision, f.source) == (revision, source)]


@pytest.mark.slow
@pytest.mark.parametrize("case", OUR_RULES)
def test_each_rule_of_ours_tells_one_script_and_leaves_the_other_alone(case: str) -> None:
    rule = case.partition(" ")[0]
    beside = {NOT_OFFLINE} - {rule}  # told of a script that only a database can run
    [found] = [one for one in _found(case, "bad", OURS) if one.rule not in beside]
    assert found.rule == rule
    assert found.why
    assert found.instead
    assert found.line > 10
    assert not [one for one in _found(case, "good", OURS) if one.rule not in beside]


@pytest.mark.slow
@pytest.mark.parametrize("rule", SQUAWKS_RULES)
def test_rules_of_squawk(rule: str) -> None:
    [found] = [f for f in _found(rule, "bad", SQUAWK) if f.rule == rule]
    assert found.why
    assert found.instead
    assert found.line > 10
    assert rule not in {f.rule for f in _found(rule, "good", SQUAWK)}


def test_every_rule_of_ours_has_a_case() -> None:
    told = {finding.rule for finding in every_case().findings if finding.source == OURS}
    names = {rule.__name__.replace("_", "-") for rule in EVERY_RULE}
    assert told == names | {NOT_OFFLINE, NO_SQL, UNNAMED, OF_PSYCOPG2}


def _made(folder: Path) -> Path:
    folder.mkdir()
    return folder


def _line(finding: Finding) -> str:
    return Path(finding.file).read_text().splitlines()[finding.line - 1]


# -- where a finding stands -----------------------------------------------------------------------


def test_a_finding_stands_on_the_line_that_sent_the_statement(tmp_path: Path) -> None:
    upgrade = """
for table in ("plans", "teams"):
    op.execute(
        f"INSERT INTO public.{table} VALUES (1)"
    )
op.create_table(
    "t", sa.Column("id", sa.BigInteger), schema="acme"
)
"""
    report = lint(tmp_path, USERS, ("a2", upgrade), only="a2")
    found = [f for f in report.findings if f.rule == "hard-coded-schema"]
    assert [_line(f).strip() for f in found] == ["op.execute(", "op.execute(", "op.create_table("]
    assert "public.plans" in found[0].why
    assert "public.teams" in found[1].why


def test_squawk_speaks_of_the_right_one_of_many_statements(tmp_path: Path) -> None:
    upgrade = sql(
        "COMMENT ON TABLE users IS 'é;\n;\n'",
        "SELECT 1 -- a comment at the end",
        "SELECT 1; SELECT 2;\n\nALTER TABLE users ALTER COLUMN name SET NOT NULL",
        "SELECT 3",
    )
    report = lint(tmp_path, USERS, ("a2", upgrade), only="a2")
    [found] = [f for f in report.findings if f.source == SQUAWK]
    assert found.rule == "adding-not-nullable-field"
    assert _line(found).strip() == 'op.execute("""SELECT 1; SELECT 2;'


def test_what_cannot_be_written_offline_is_told_and_looked_at_as_far_as_it_shows(
    tmp_path: Path,
) -> None:
    upgrade = """
op.execute("INSERT INTO public.plans VALUES (1)")
rows = op.get_bind().execute(sa.text("SELECT id FROM acme.users")).scalars().all()
op.create_table("later", sa.Column("id", sa.BigInteger))
op.execute("ALTER TABLE later ADD CONSTRAINT f FOREIGN KEY (id) REFERENCES globex.users")
"""
    after = sql("INSERT INTO later VALUES (1)")
    report = lint(tmp_path, USERS, ("a2", upgrade), ("a3", after), only="a2:")
    told = {
        (f.revision, f.rule, _line(f).strip()[:14]) for f in report.findings if f.source == OURS
    }
    assert told == {
        ("a2", "not-offline", "rows = op.get_"),
        ("a2", "hard-coded-schema", 'op.execute("IN'),
        ("a2", "hard-coded-schema", "rows = op.get_"),
        ("a2", "foreign-key-to-tenant", 'op.execute("AL'),
    }


def test_a_foreign_key_is_found_where_not_all_of_a_script_could_be_seen(tmp_path: Path) -> None:
    reads = "op.get_bind().execute(sa.text('SELECT 1')).one()\n"
    made = "op.create_table('teams', sa.Column('id', sa.BigInteger, primary_key=True))\n"
    keys = """op.create_foreign_key('f', 'users', 'plans', ['id'], ['id'])
op.create_foreign_key('g', 'users', 'teams', ['id'], ['id'])
op.create_table('t', sa.Column('id', sa.ForeignKey('gone.id')),
                sa.Column('u', sa.ForeignKey('public.gone.id')),
                sa.ForeignKeyConstraint(['id'], ['lost.id']))"""
    later = sql("CREATE TABLE u (id bigint REFERENCES plans, t bigint REFERENCES teams)")
    scripts = (USERS, ("a2", reads + made + keys), ("a3", later))
    found = [f for f in lint(tmp_path, *scripts).findings if f.rule == "only-in-public"]
    named = {(f.revision, f.why.split()[5].rstrip(",")) for f in found}
    assert named == {("a2", "plans"), ("a2", "gone"), ("a2", "lost"), ("a3", "plans")}


def test_rows_that_are_deleted_are_not_told_as_a_table_that_goes(tmp_path: Path) -> None:
    scripts = (USERS, ("a2", sql("DELETE FROM users")), ("a3", sql("TRUNCATE users")))
    found = [f.why for f in lint(tmp_path, *scripts).findings if f.rule == "lossy-downgrade"]
    assert len(found) == 2
    assert all(why.startswith("the upgrade deletes the rows of the table users") for why in found)


def test_tables_of_models_are_not_taken_for_missing(tmp_path: Path) -> None:
    models = "sa.MetaData().create_all(op.get_bind())\nop.get_bind().execute(sa.select(1)).one()"
    use = sql("INSERT INTO plans VALUES (1)")
    assert rules(lint(tmp_path, ("a1", models), ("a2", use), only="a2")) == set()


def test_a_name_counts_from_the_revision_that_creates_it(tmp_path: Path) -> None:
    create, use = sql("CREATE TABLE plans (id bigint)"), sql("INSERT INTO plans VALUES (1)")
    write_history(tmp_path / "history", USERS, ("a2", use), ("a3", create), ("a4", use))
    write_revision(tmp_path / "history", "b2", "a1", use)
    write_revision(tmp_path / "history", "c2", "a1", use)
    script = tmp_path / "history" / "versions" / "c2.py"
    script.write_text(script.read_text().replace("depends_on = None", "depends_on = 'a3'"))
    ini = tmp_path / "alembic.ini"
    ini.write_text(INI.format(script_location=tmp_path / "history", root=tmp_path))
    assert {f.revision for f in Fleet.open(ini).lint().findings if f.source == OURS} == {"a2", "b2"}


def test_extension_schemas_are_written_and_their_names_known(tmp_path: Path) -> None:
    upgrade = sql("ALTER TABLE users ADD COLUMN email citext, ADD COLUMN x ext.hstore")
    assert "only-in-public" in rules(lint(_made(tmp_path / "a"), USERS, ("a2", upgrade)))
    toml = 'extension_schemas = ["ext"]'
    assert rules(lint(_made(tmp_path / "b"), USERS, ("a2", upgrade), toml=toml)) == set()


# -- what scripts allow ---------------------------------------------------------------------------

ALLOW = "# tenantmig: allow hard-coded-schema"


ALLOWING = (
    f'op.execute("DROP VIEW acme.v")  {ALLOW} it is the last one',
    f'{ALLOW} it is the last one\nop.execute("DROP VIEW acme.v")',
    f'op.execute(\n    {ALLOW} it is the last one\n    "DROP VIEW acme.v"\n)',
    f'{ALLOW} it is the last one\nfor v in "vw":\n    op.execute(f"DROP VIEW acme.{{v}}")',
    f'for v in "vw":\n    {ALLOW} it is the last one\n    op.execute(f"DROP VIEW acme.{{v}}")',
)
IDLE = {
    f'op.execute("DROP VIEW acme.v")  {ALLOW}': "allowance-without-reason",
    f'op.execute("SELECT 1")  {ALLOW} why not': "allowance-unused",
    f'{ALLOW} why not\nx = 1\nop.execute("DROP VIEW acme.v")': "allowance-unused",
    f"op.execute(\"SELECT '{ALLOW} x'\")": None,
    "pass  # tenantmig: allow": "allowance-without-reason",
    "pass  # tenantmig: allow no-such-rule why not": "allowance-unused",
}


def test_a_script_allows_what_it_gives_a_reason_for(tmp_path: Path) -> None:
    scripts = [(f"b{n}", upgrade) for n, upgrade in enumerate(ALLOWING)]
    report = lint(tmp_path, *scripts)
    assert not rules(report)
    assert {(f.revision, f.rule, f.allowed) for f in report.allowed} == {
        (revision, "hard-coded-schema", "it is the last one") for revision, _ in scripts
    }


def test_an_allowance_that_allows_nothing_is_told(tmp_path: Path) -> None:
    report = lint(tmp_path, *((f"b{n}", upgrade) for n, upgrade in enumerate(IDLE)))
    assert not report.allowed
    for n, (upgrade, told) in enumerate(IDLE.items()):
        found = [f for f in report.findings if f.revision == f"b{n}" and f.source == OURS]
        violated = {"hard-coded-schema"} if "acme" in upgrade else set()
        assert {f.rule for f in found} == violated | ({told} if told else set())
        assert all("tenantmig: allow" in _line(f) for f in found if f.rule == told)


def test_squawks_rules_can_be_allowed(tmp_path: Path) -> None:
    upgrade = "op.create_index('i', 'users', ['name'])"
    allow = "  # tenantmig: allow require-concurrent-index-creation small"
    assert not lint(_made(tmp_path / "b"), USERS, ("a2", upgrade + allow), only="a2").findings
    assert lint(_made(tmp_path / "a"), USERS, ("a2", upgrade), only="a2").findings


def test_a_squawk_toml_beside_the_ini_is_heeded(tmp_path: Path) -> None:
    (tmp_path / ".squawk.toml").write_text('excluded_rules = ["prefer-bigint-over-int"]')
    one = "op.create_table('t', sa.Column('id', sa.Integer), sa.Column('a', sa.String(9)))"
    style = Choice(min_severity=Severity.INFO)
    assert rules(lint(tmp_path, ("a1", one), choice=style), SQUAWK) == {"prefer-text-field"}


@pytest.mark.slow
def test_which_findings_are_told_can_be_said_and_those_of_tenancy_come_first(
    tmp_path: Path,
) -> None:
    narrow = "op.create_table('t', sa.Column('id', sa.Integer), sa.Column('a', sa.String(9)))\n"
    index = "op.create_index('i', 'users', ['name'])\n"
    upgrade = narrow + index + sql("UPDATE acme.users SET name = ''")
    fleet = lint(tmp_path, USERS, ("a2", upgrade), only="a2")
    told = [(f.source, f.severity, f.rule) for f in fleet.findings]
    assert told == [
        (OURS, Severity.ERROR, "hard-coded-schema"),
        (SQUAWK, Severity.WARNING, "require-concurrent-index-creation"),
    ]
    ini = tmp_path / "alembic.ini"

    def found(choice: Choice) -> set[str]:
        return {f.rule for f in Fleet.open(ini).lint("a2", choice=choice).findings}

    style = {"prefer-bigint-over-int", "prefer-text-field"}
    assert found(Choice(Severity.INFO)) == style | {rule for *_, rule in told}
    assert found(Choice(Severity.ERROR)) == {"hard-coded-schema"}
    assert found(Choice(only=("prefer-text-field",))) == {"prefer-text-field"}
    assert found(Choice(Severity.INFO, source=SQUAWK)) == style | {told[1][2]}
    with pytest.raises(SelectionError, match="no rule 'prefer-txt-field'"):
        found(Choice(only=("prefer-txt-field",)))


# -- which revisions ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("chosen", "revisions"),
    [
        (None, "a1 a2 a3"),
        ("a2:a3", "a2 a3"),
        ("a2:", "a2 a3"),
        (":a2", "a1 a2"),
        ("-1:", "a2 a3"),
        ("a2", "a2"),
        ("head", "a3"),
    ],
)
def test_ranges_are_those_of_alembic_history(chosen: str | None, revisions: str) -> None:
    scripts = History(SHAPES / "linear" / "alembic.ini").scripts(chosen)
    assert [script.revision for script in scripts] == revisions.split()


@pytest.mark.parametrize(
    "chosen", ["nope", "a1:nope", "nope:", "a3:a1", "current:", "a1:a2:a3", ""]
)
def test_a_range_that_is_none_is_refused(chosen: str) -> None:
    with pytest.raises(UnknownRevisionError):
        History(SHAPES / "linear" / "alembic.ini").scripts(chosen)


@pytest.mark.parametrize("shape", ["empty", "merged", "two_bases"])
def test_histories_of_every_shape(shape: str, tmp_path: Path) -> None:
    report = _shape(shape, tmp_path).lint()
    scripts = (SHAPES / shape / "versions").glob("*.py")
    assert set(report.revisions) == {script.stem for script in scripts}
    assert rules(report) == set()


def _shape(shape: str, folder: Path) -> Fleet:
    """A copy of a history of `scenarios/shapes`, with the env.py of `tenantmig init`."""
    shutil.copytree(SHAPES / shape, folder / shape)
    template = REPOSITORY / "tenantmig" / "history" / "templates" / "env.py.txt"
    (folder / shape / "env.py").write_text(template.read_text())
    return Fleet.open(folder / shape / "alembic.ini")


@pytest.mark.slow
def test_our_own_history_is_clean() -> None:
    report = Fleet.open(REPOSITORY / "alembic.ini").lint()
    assert not report.findings
    assert len(report.revisions) == len(list((REPOSITORY / "alembic" / "versions").glob("*.py")))


# -- refusals -------------------------------------------------------------------------------------


def test_without_squawk_it_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SquawkError, match=r"pip install 'tenantmig\[lint\]'"):
        lint(tmp_path, USERS)


def test_a_squawk_that_fails_is_no_clean_bill(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "squawk").write_text("#!/bin/sh\necho out of order >&2\nexit 3\n")
    (tmp_path / "squawk").chmod(0o755)
    lint(tmp_path, USERS)  # starts the fork server, which needs the true interpreter
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    with pytest.raises(SquawkError, match="out of order"):
        Fleet.open(tmp_path / "alembic.ini").lint()


def test_an_env_py_that_cannot_be_run_offline_is_refused(tmp_path: Path) -> None:
    write_history(tmp_path / "history", USERS)
    for text in ("raise OSError('no such vault')", "x = 1"):
        (tmp_path / "history" / "env.py").write_text(text)
        ini = tmp_path / "alembic.ini"
        ini.write_text(INI.format(script_location=tmp_path / "history", root=tmp_path))
        with pytest.raises(EnvironmentFileError, match="offline"):
            Fleet.open(ini).lint()


def test_a_script_says_in_which_encoding_it_is(tmp_path: Path) -> None:
    history = write_history(tmp_path / "history", ("r1", "op.execute(\"SELECT 'x'\")"))
    script = history / "versions" / "r1.py"
    text = script.read_text().replace("'x'", "'caf\u00e9'")
    for written in (
        f"\ufeff{text}".encode(),
        f"# -*- coding: latin-1 -*-\n{text}".encode("latin-1"),
    ):
        script.write_bytes(written)
        assert Fleet.open(Project(tmp_path, "", history).ini).lint().revisions == ("r1",)


def test_what_a_script_says_when_it_fails_holds_no_password(tmp_path: Path) -> None:
    url = "postgresql://app:hunter2@localhost/app"
    history = write_history(tmp_path / "history", ("r1", f"raise RuntimeError({url!r})"))
    ini = Project(tmp_path, "", history).ini
    (finding,) = Fleet.open(ini, database_url=url).lint().findings
    assert finding.rule == "not-offline"
    assert "hunter2" not in finding.why
    assert "***" in finding.why


def test_lint_sees_what_x_makes_scripts_send(tmp_path: Path) -> None:
    asks = "if op.get_context().environment_context.get_x_argument(True).get('data') == 'true':"
    script = "a2", f"{asks}\n    op.execute('UPDATE acme.users SET name = 1')"
    assert "hard-coded-schema" not in rules(lint(tmp_path / "without", USERS, script))
    given = lint(tmp_path / "with", USERS, script, toml='x = ["data=true"]\n')
    assert "hard-coded-schema" in rules(given)

"""No tenant gets another result than plain Alembic gives it alone in a process.

Whatever a script keeps in Python, and however it learns which tenant it runs for: each case is a
revision, or a history of its own where cases would disturb each other.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from psycopg.sql import Identifier

from tenantmig import Fleet
from tests.fixtures.command import Project
from tests.fixtures.database import Database, fresh_database
from tests.fixtures.history import write_history
from tests.fixtures.oracles import catalog, content
from tests.fixtures.server import AnyServer

NAMES = ["t1", "t2", "t3", "t4", "t5"]
ODD = "t4"
"""No witness: whoever branches on it shows nothing to the first two."""
BASE = (
    "r1",
    """op.create_table(
    'users', sa.Column('id', sa.Integer, primary_key=True), sa.Column('note', sa.Text)
)
op.execute("INSERT INTO users SELECT n, current_schema() FROM generate_series(1, 2) AS n")""",
    "op.drop_table('users')",
)
HELPERS = """
import contextvars
import functools
import os
import sys

import sqlalchemy as sa
from alembic import context, op
from sqlalchemy.orm import Session, declarative_base

metadata = sa.MetaData()
Base = declarative_base()
TENANT = contextvars.ContextVar("TENANT", default="nobody")
kept = {}
seen = []
done = False
LOADED_FOR = os.environ.get("TENANT_OF_ENV", "nobody")


@functools.lru_cache
def columns(table):
    return [c["name"] for c in sa.inspect(op.get_bind()).get_columns(table)]


@functools.cache
def names():
    return op.get_bind().execute(sa.text("SELECT note FROM users ORDER BY id")).scalars().all()


def inspector():
    if "inspector" not in kept:
        kept["inspector"] = sa.inspect(op.get_bind())
    return kept["inspector"]


def once():
    global done
    if not done:
        done = True
        op.execute("ALTER TABLE users ADD COLUMN once text")


def collect():
    seen.extend(op.get_bind().execute(sa.text("SELECT note FROM users")).scalars())
    return seen


def reports():
    return sa.Table("reports", metadata, sa.Column("id", sa.Integer), sa.Column("n", sa.Text))


class Counter:
    n = 0

    @classmethod
    def next(cls):
        cls.n += 1
        return cls.n
"""
HEAD = "import helpers\nimport os, sys, contextvars, functools\n"
KEEPS = {
    "an lru_cache": """if 'mark' not in helpers.columns('users'):
    op.add_column('users', sa.Column('mark', sa.Text))""",
    "cached rows": """for name in helpers.names():
    op.execute(sa.text('INSERT INTO users VALUES ((SELECT max(id) + 1 FROM users), :n)')
               .bindparams(n=name))""",
    "an inspector": """found = helpers.inspector().get_columns('users')
if 'extra' not in {c['name'] for c in found}:
    op.add_column('users', sa.Column('extra', sa.Text))""",
    "a flag": "helpers.once()",
    "a list": """notes = op.create_table('notes', sa.Column('n', sa.Text))
op.bulk_insert(notes, [{'n': each} for each in helpers.collect()])""",
    "a MetaData": """table = helpers.reports()
table.create(op.get_bind())
op.execute(table.insert().values(id=1, n='a'))""",
    "an ORM class": """class Report(helpers.Base):
    __tablename__ = 'orm_reports'
    id = sa.Column(sa.Integer, primary_key=True)
Report.__table__.create(op.get_bind())
with helpers.Session(op.get_bind()) as session:
    session.add(Report(id=helpers.Counter.next()))
    session.flush()
    session.connection()""",
    "a counter": "op.execute(f'CREATE TABLE counted_{helpers.Counter.next()} ()')",
    "an attribute of the function": """if not getattr(upgrade, 'done', False):
    upgrade.done = True
    op.execute('CREATE TABLE by_attribute ()')""",
    "a patched library": """original = op.create_table
def patched(name, *arguments, **options):
    return original(name + '_patched', *arguments, **options)
op.create_table = patched""",
    "what is patched": "op.create_table('after', sa.Column('id', sa.Integer))",
    "a default": """def add(name, kept=[]):
    kept.append(name)
    return len(kept)
op.execute(f'CREATE TABLE default_{add(1)} ()')""",
}
SPECIAL = "op.execute('CREATE TABLE special ()')"
LEARNS = {
    "os.environ": f"if os.environ['TENANT_OF_ENV'] == {ODD!r}:\n    {SPECIAL}",
    "os.getenv": f"if os.getenv('TENANT_OF_ENV') == {ODD!r}:\n    op.execute('CREATE TABLE g ()')",
    "a context variable": f"""if helpers.TENANT.get() == {ODD!r}:
    op.execute('CREATE TABLE v ()')""",
    "the MetaData of the models": f"""if helpers.metadata.schema == {ODD!r}:
    op.execute('CREATE TABLE m ()')""",
    "sys.argv": f"if 'tenant={ODD}' in sys.argv:\n    op.execute('CREATE TABLE a ()')",
    "an inspector": f"""if sa.inspect(op.get_bind()).default_schema_name == {ODD!r}:
    op.execute('CREATE TABLE i ()')""",
    "the implementation": f"""if op.get_context().impl.context_opts['region'] == {ODD!r}:
    op.execute('CREATE TABLE o ()')""",
    "the environment, when it was loaded": f"""if helpers.LOADED_FOR == {ODD!r}:
    op.execute('CREATE TABLE l ()')""",
    "the options": f"""if op.get_context().opts['region'][-1] == {ODD[-1]!r}:
    op.execute('CREATE TABLE p ()')""",
    "length": """if len(op.get_context().opts['region']) != 2:
    op.execute('CREATE TABLE q ()')""",
    "what env.py patched": "op.execute('CREATE TABLE ' + helpers.kept['name'] + '_x ()')",
    "the connection's address": f"""if {ODD!r} in op.get_bind().engine.url.render_as_string() + str(
    op.get_bind().get_execution_options()['schema_translate_map']):
    op.execute('CREATE TABLE u ()')""",
}
ENV = """tenant.region = tenant.schema
import os
import helpers
os.environ["TENANT_OF_ENV"] = tenant.name
helpers.TENANT.set(tenant.name)
helpers.metadata.schema = tenant.schema
helpers.kept["name"] = tenant.schema


def run_migrations_online"""
WRITES = {
    "an f-string": """schema = op.get_context().version_table_schema
op.execute(f"UPDATE {schema}.users SET note = '{schema}'")""",
    "an option": """schema = op.get_context().opts['version_table_schema']
op.create_table('a', sa.Column('id', sa.Integer), schema=schema)
op.execute('CREATE INDEX ix_a ON "%s".a (id)' % schema)""",
    "the inspector": """schema = sa.inspect(op.get_bind()).default_schema_name
users = sa.table('users', sa.column('note'), schema=schema)
op.execute(users.update().values(note='b'))""",
}


@dataclass(frozen=True)
class Case:
    """A history after its base, and what stands otherwise in env.py."""

    scripts: dict[str, str]
    head: str = HEAD
    is_environment: bool = False
    engines: dict[str, int] | None = None


CASES = {
    "keeps": Case(KEEPS, engines={"alembic": len(NAMES)}),
    "learns": Case(LEARNS, is_environment=True, engines={"alembic": len(NAMES)}),
    "writes": Case(WRITES, head="", engines={"alembic": 2, "replay": len(NAMES) - 2}),
}


def described(database: Database, *schemas: str) -> dict[str, Any]:
    with database.connect() as connection:
        return {name: (catalog(connection, name), content(connection, name)) for name in schemas}


def build(folder: Path, case: Case) -> Path:
    """Write the history of a case, with its helpers beside env.py."""
    scripts = [(f"s{n:02}", case.head + body) for n, body in enumerate(case.scripts.values())]
    history = write_history(folder / "history", BASE, *scripts)
    (folder / "helpers.py").write_text(HELPERS)
    if case.is_environment:
        env = (history / "env.py").read_text()
        env = env.replace("def run_migrations_online", ENV, 1)
        env = env.replace("connection=connection,", "connection=connection, region=tenant.region,")
        (history / "env.py").write_text(env)
    return history


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "engine", "server_fixture"),
    [
        *((name, engine, "server") for name in CASES for engine in ("auto", "alembic")),
        *((name, "auto", "server16") for name in CASES),
    ],
)
def test_as_plain_alembic_alone(
    name: str, engine: str, server_fixture: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    any_server: AnyServer = request.getfixturevalue(server_fixture)
    case = CASES[name]
    history = build(tmp_path, case)
    with fresh_database(any_server) as ours, fresh_database(any_server) as plain:
        alembic = Project(tmp_path, plain.url, history)
        ini = alembic.ini.read_text()
        alembic.ini.write_text(
            ini.replace("prepend_sys_path = ", f"prepend_sys_path = {tmp_path}:")
        )
        for tenant in NAMES:
            plain.execute(f"CREATE SCHEMA {Identifier(tenant).as_string()}")
            alembic.alembic("-x", f"tenant={tenant}", "upgrade", "head")
        settings = {"database_url": ours.url, "engine": engine, "parallel": 2}
        with Fleet.open(alembic.ini, **settings) as fleet:
            assert fleet.onboard(NAMES, "r1").is_complete
            report = fleet.upgrade()
        assert report.is_complete, [tenant.error for tenant in report.tenants]
        expected, found = described(plain, *NAMES), described(ours, *NAMES)
        for tenant in NAMES:
            assert found[tenant] == expected[tenant], tenant
    if engine == "auto":
        assert Counter(t.engine for t in report.tenants) == case.engines, report.obstacles


@pytest.mark.slow
def test_a_plan_says_which_way_each_revision_goes(tmp_path: Path, database: Database) -> None:
    """And neither it, nor its SQL, nor lint runs a script that is not proved pure."""
    mark = tmp_path / "mark"
    writes = f"open({str(mark)!r}, 'w').write('run')\nop.execute('CREATE TABLE impure ()')"
    history = write_history(
        tmp_path / "history",
        BASE,
        ("r2", "op.execute('CREATE TABLE pure ()')"),
        ("r3", writes),
        ("r4", "if op.get_context().opts['x'] == 'a':\n    op.execute('SELECT 1')"),
    )
    project = Project(tmp_path, database.url, history)
    project.run("onboard", "acme", "--to", "r1")
    ways = project.run("plan", "--json").json["ways"]
    assert [(way["revision"], way["engine"], way["process"]) for way in ways] == [
        ("r2", "replay", "shared"),
        ("r3", "alembic", "own"),
        ("r4", "alembic", "shared"),
    ]
    assert "it writes a file (line 12)" in ways[1]["reason"]
    assert "it compares a value that depends on the tenant (line 12)" in ways[2]["reason"]
    told = project.run("plan").out
    assert "it writes a file" in " ".join(told.split())
    shown = project.run("plan", "r3", "--sql").out
    assert "CREATE TABLE pure" in shown
    assert "-- The SQL of revision r3 is not shown: it writes a file (line 12)" in shown
    assert "impure" not in shown
    project.run("lint", expect=None)
    assert not mark.exists()
    project.run("upgrade", "r3")
    assert mark.read_text() == "run"


HOOKS = {
    "a listener in a script": (
        """done = []
@sa.event.listens_for(sa.Table, "after_create")
def once(target, connection, **_):
    if target.name == "plain" and not done:
        done.append(1)
        connection.execute(sa.text("CREATE TABLE first_only ()"))
""",
        "op.create_table('plain', sa.Column('id', sa.Integer))",
    ),
    "a compiler in a script": (
        """from sqlalchemy.ext.compiler import compiles
from sqlalchemy.schema import CreateTable
count = 0
@compiles(CreateTable, "postgresql")
def numbered(element, compiler, **options):
    global count
    count += element.element.name == "plain"
    return compiler.visit_create_table(element, **options).replace("plain", f"plain{count}")
""",
        "op.create_table('plain', sa.Column('id', sa.Integer))",
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", HOOKS)
def test_what_sqlalchemy_calls_on_its_own(
    name: str, tmp_path: Path, server: AnyServer, database: Database
) -> None:
    """The revision is pure; what stands beside it is not, and reaches every revision.

    By the command: in the process of the tests the hook would stay.
    """
    module, body = HOOKS[name]
    history = write_history(tmp_path / "history", BASE, ("r2", body))
    script = history / "versions" / "r2.py"
    script.write_text(script.read_text().replace("\n\n\ndef", f"\n\n\n{module}\n\ndef", 1))
    with fresh_database(server) as plain:
        alembic = Project(tmp_path, plain.url, history)
        for tenant in NAMES:
            plain.execute(f"CREATE SCHEMA {tenant}")
            alembic.alembic("-x", f"tenant={tenant}", "upgrade", "r1")
            alembic.alembic("-x", f"tenant={tenant}", "upgrade", "head")
        ours = Project(tmp_path, database.url, history)
        ours.run("onboard", *NAMES, "--to", "r1")
        report = ours.run("upgrade", "--json").json
        assert described(database, *NAMES) == described(plain, *NAMES)
    assert {tenant["engine"] for tenant in report["tenants"]} == {"alembic"}

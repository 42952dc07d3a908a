"""What must not be replayed is not; and what is leaves each tenant as plain Alembic would."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from psycopg.sql import Identifier

from tenantmig import Fleet, Selection, Tenant
from tests.fixtures.command import Project
from tests.fixtures.database import Database, fresh_database
from tests.fixtures.history import write_history, write_revision
from tests.fixtures.oracles import catalog, content
from tests.fixtures.rollouts import OpenFleet, by_name
from tests.fixtures.server import AnyServer

NAMES = ["users", "id", "public_", "acme", 'q"uo.te %s:d', "n" * 63]
BASE = (
    "r1",
    """op.create_table(
    'users', sa.Column('id', sa.Integer, primary_key=True), sa.Column('note', sa.Text)
)
op.execute("INSERT INTO users VALUES (1, 'users'), (2, 'id')")""",
    "op.drop_table('users')",
)
NO_WITNESS = "users"  # the last: whoever branches on it shows nothing to the witnesses


@dataclass(frozen=True)
class Trap:
    """A revision; whether it is replayed; what is different in some tenants before it runs."""

    upgrade: str
    is_replayed: bool
    downgrade: str = "pass"
    before: Mapping[str, str] = field(default_factory=dict)
    env: Mapping[str, str] = field(default_factory=dict)
    """What stands otherwise in env.py."""
    by_chance: bool = False
    """Each tenant gets rows of its own."""
    others: tuple[str, ...] = ()
    """Who goes through alembic beside the witnesses, if the others are replayed."""


PLAIN = "op.add_column('users', sa.Column('size', sa.Integer))"
RUN = "            context.run_migrations()\n"
TRAPS = {
    "env.py sends something after the revisions": Trap(
        PLAIN,
        False,
        env={RUN: RUN + "            context.execute('COMMENT ON TABLE users IS NULL')\n"},
    ),
    "env.py sends something before the revisions": Trap(
        PLAIN, False, env={RUN: "            context.execute('SET work_mem = 9999')\n" + RUN}
    ),
    "env.py hears of each revision": Trap(
        PLAIN,
        False,
        env={"apply=assert_in_tenant": "apply=[assert_in_tenant, lambda **_: None]"},
    ),
    "a plain column": Trap(
        "op.add_column('users', sa.Column('size', sa.Integer, server_default='7'))", True
    ),
    "a qualified name": Trap(
        """op.add_column('users', sa.Column('size', sa.Integer), schema=None)
op.create_index('ix_users_id', 'users', ['id'])
op.create_table('log', sa.Column('id', sa.Integer, primary_key=True),
                sa.Column('user_id', sa.Integer, sa.ForeignKey('users.id')))""",
        True,
    ),
    "uuid4": Trap(
        """import uuid
op.execute(f"UPDATE users SET note = '{uuid.uuid4()}'")""",
        False,
        by_chance=True,
    ),
    "a clock": Trap(
        """import datetime
op.execute(f"UPDATE users SET note = '{datetime.date.today()}'")""",
        False,
    ),
    "a branch on chance": Trap(
        """import random
if random.random() > 2:
    op.execute('DROP TABLE users')""",
        False,
    ),
    "a branch on the tenant's name, by -x": Trap(
        f"""from alembic import context
if context.get_x_argument(as_dictionary=True)['tenant'] == {NO_WITNESS!r}:
    op.add_column('users', sa.Column('special', sa.Integer))""",
        False,
    ),
    "a branch on the tenant's name, by the configuration": Trap(
        f"""from alembic import context
if 'tenant={NO_WITNESS}' in context.config.cmd_opts.x:
    op.add_column('users', sa.Column('special', sa.Integer))""",
        False,
    ),
    "a branch on the tenant's name, by the context": Trap(
        f"""if op.get_context().version_table_schema == {NO_WITNESS!r}:
    op.add_column('users', sa.Column('special', sa.Integer))""",
        False,
    ),
    "a branch on the tenant's name, by the connection": Trap(
        f"""if op.get_bind().dialect.default_schema_name == {NO_WITNESS!r}:
    op.add_column('users', sa.Column('special', sa.Integer))""",
        False,
    ),
    "a branch on the tenant's name, by the translate map": Trap(
        f"""options = op.get_bind().get_execution_options()
if options['schema_translate_map'][None] == {NO_WITNESS!r}:
    op.add_column('users', sa.Column('special', sa.Integer))""",
        False,
    ),
    "a branch on the tenant's name, in SQL": Trap(
        f"""if op.get_bind().execute(sa.text('SELECT current_schema()')).scalar() == {NO_WITNESS!r}:
    op.add_column('users', sa.Column('special', sa.Integer))""",
        False,
    ),
    "a branch on rows": Trap(
        """if op.get_bind().execute(sa.text('SELECT id FROM users WHERE id > 2')).fetchall():
    op.add_column('users', sa.Column('special', sa.Integer))""",
        True,
        before={NO_WITNESS: "INSERT INTO users VALUES (3, 'more')"},
        others=(NO_WITNESS,),
    ),
    "a branch on a count": Trap(
        """if op.get_bind().execute(sa.text('SELECT count(*) FROM users')).scalar() > 2:
    op.add_column('users', sa.Column('special', sa.Integer))""",
        False,
        before={NO_WITNESS: "INSERT INTO users VALUES (3, 'more')"},
    ),
    "a row count": Trap(
        """if op.get_bind().execute(sa.text('UPDATE users SET note = note')).rowcount > 2:
    op.add_column('users', sa.Column('special', sa.Integer))""",
        False,
        before={NO_WITNESS: "INSERT INTO users VALUES (3, 'more')"},
    ),
    "the dialect's name": Trap(
        """if op.get_bind().dialect.name == 'postgresql' and op.get_context().dialect.name != 'x':
    op.add_column('users', sa.Column('size', sa.Integer))""",
        True,
    ),
    "an enum, checked first": Trap(
        """mood = sa.Enum('sad', 'fine', name='mood')
mood.create(op.get_bind(), checkfirst=True)
op.add_column('users', sa.Column('mood', mood))""",
        True,
        downgrade="op.drop_column('users', 'mood')\nop.execute('DROP TYPE mood')",
        before={NO_WITNESS: "CREATE TYPE mood AS ENUM ('sad', 'fine')"},
        others=(NO_WITNESS,),
    ),
    "an enum of a table": Trap(
        """op.create_table('feeling', sa.Column('mood', sa.Enum('sad', 'fine', name='mood')))""",
        True,
    ),
    "defaults in Python": Trap(
        """import uuid
log = op.create_table('log', sa.Column('id', sa.Text, default=lambda: str(uuid.uuid4())),
                      sa.Column('n', sa.Integer, default=5))
op.bulk_insert(log, [{}, {}])""",
        False,
        by_chance=True,
    ),
    "rows in Python": Trap(
        """log = op.create_table('log', sa.Column('a', sa.Text), sa.Column('n', sa.JSON))
op.bulk_insert(log, [{'a': "it's 100% :fine", 'n': {'b': 1}}, {'a': None, 'n': []}])""",
        True,
    ),
    "parameters with a type": Trap(
        """import decimal
op.execute("CREATE TABLE spans (s interval minute, n numeric, t text)")
sums = op.create_table('sums', sa.Column('n', sa.Numeric), sa.Column('i', sa.Integer))
exact = decimal.Decimal('2.50')
op.bulk_insert(sums, [{'n': 0.125, 'i': 1}, {'n': exact, 'i': 3}, {'n': None, 'i': 5}])
op.execute(sa.text('UPDATE sums SET i = round(i * :f)').bindparams(f=2.5))
bind = op.get_bind()
bind.exec_driver_sql("INSERT INTO spans VALUES (%s, %s, 'a' || %s)", ('5', 1.0, 1.0))
bind.exec_driver_sql("INSERT INTO spans (n) VALUES (%s)", [(0.1,), (7,), (2**40,), ('007',)])
bind.exec_driver_sql("UPDATE spans SET n = %(x)s::int / 2, t = %(x)s || t", {'x': '007'})""",
        True,
    ),
    "a catalog of its own": Trap(
        "op.add_column('users', sa.Column('size', sa.Integer))",
        True,
        before={NO_WITNESS: "ALTER TABLE users ADD extra int"},
        others=(NO_WITNESS,),
    ),
    "signs in literals": Trap(
        r"""op.execute("UPDATE users SET note = '100% \\:name %(x)s users id public_ ?'")
op.execute(sa.text("UPDATE users SET note = note || :more").bindparams(more="a%b:c'd"))
op.create_check_constraint('ck', 'users', "note NOT LIKE '%%users.%%'")""",
        True,
    ),
    "its own schema in a literal": Trap(
        """schema = op.get_context().opts['version_table_schema']
op.get_bind().execute(sa.text('UPDATE users SET note = :s'), {'s': schema})""",
        True,  # it only writes the name; one that needs quotes may be written in more ways
        others=('q"uo.te %s:d',),
    ),
    "its own schema in a literal, compared before": Trap(
        f"""schema = op.get_context().opts['version_table_schema']
more = {{'s': schema, 'n': 20 if schema == {NO_WITNESS!r} else 10}}
op.get_bind().execute(sa.text('UPDATE users SET note = :s, id = id + :n'), more)""",
        False,
    ),
    "its own schema as a part of a literal": Trap(
        """schema = op.get_context().opts['version_table_schema']
op.get_bind().execute(sa.text('UPDATE users SET note = :s'), {'s': f'<{schema}> is %s'})""",
        False,  # the recordings differ in more than names
    ),
    "COPY": Trap(
        """cursor = op.get_bind().connection.driver_connection.cursor()
with cursor.copy('COPY users FROM STDIN') as copy:
    copy.write_row((3, 'copied'))""",
        False,
    ),
    "a file": Trap(
        """import pathlib
with pathlib.Path(__file__).with_suffix('.log').open('a') as log:
    log.write('hello')
op.add_column('users', sa.Column('size', sa.Integer))""",
        False,
    ),
    "a file that is read": Trap(
        """import pathlib
text = pathlib.Path(__file__).read_text()
op.add_column('users', sa.Column(f'size_{len(text)}', sa.Integer))""",
        True,
    ),
    "another program": Trap(
        """import subprocess
subprocess.run(['true'], check=True)
op.add_column('users', sa.Column('size', sa.Integer))""",
        False,
    ),
    "a setting of the session": Trap(
        """op.execute("SET work_mem = '8MB'")
op.add_column('users', sa.Column('size', sa.Integer))""",
        False,
    ),
    "a savepoint": Trap(
        """with op.get_bind().begin_nested():
    op.add_column('users', sa.Column('size', sa.Integer))""",
        True,
    ),
    "a failure that is caught": Trap(
        """op.execute('SELECT pg_sleep(0.3)')
try:
    with op.get_bind().begin_nested():
        op.execute('ALTER TABLE missing ADD a int')
except sa.exc.ProgrammingError:
    op.add_column('users', sa.Column('size', sa.Integer))""",
        False,
    ),
    "a temporary table": Trap(
        """op.execute('CREATE TEMP TABLE scratch AS SELECT * FROM users')
op.execute('DROP TABLE scratch')""",
        False,
    ),
    "a function with a body": Trap(
        '''op.execute("""CREATE FUNCTION one() RETURNS int LANGUAGE sql AS $$ SELECT 1; SELECT 2 $$;
-- and a comment""")''',
        True,
    ),
}


def described(database: Database) -> dict[str, Any]:
    """The catalog and the rows of each tenant."""
    with database.connect() as connection:
        return {name: (catalog(connection, name), content(connection, name)) for name in NAMES}


def compare(ours: dict[str, Any], theirs: dict[str, Any], *, by_chance: bool) -> None:
    """Make sure that both have the same; rows that each tenant gets by chance are its own."""
    if by_chance:
        rows = [str(rows) for _, rows in ours.values()]
        assert len(set(rows)) == len(NAMES)
        ours = {tenant: c for tenant, (c, _) in ours.items()}
        theirs = {tenant: c for tenant, (c, _) in theirs.items()}
    assert ours == theirs


def prepare(database: Database, trap: Trap) -> None:
    """Make some tenants different."""
    for name, statement in trap.before.items():
        database.execute(f"SET search_path = {name}; {statement}")


CORE = {"a qualified name", "rows in Python", "an enum of a table", "a function with a body"}


class Bases(NamedTuple):
    """Two databases to copy: the tenants at r1 by tenantmig, and by plain Alembic."""

    ours: str
    plain: str


@pytest.fixture(scope="module")
def bases(tmp_path_factory: pytest.TempPathFactory, server: AnyServer) -> Iterator[Bases]:
    """The tenants before the trap; that they are equal is looked at once."""
    folder = tmp_path_factory.mktemp("bases")
    history = write_history(folder / "history", BASE)
    with fresh_database(server) as ours, fresh_database(server) as plain:
        alembic = Project(folder, plain.url, history)
        alembic.settings('names = "wide"\n')
        with Fleet.open(folder / "alembic.ini", database_url=ours.url, names="wide") as fleet:
            assert fleet.onboard(NAMES, "r1").is_complete
        for tenant in NAMES:
            plain.execute(f"CREATE SCHEMA {Identifier(tenant).as_string()}")
        upgrade_plainly(alembic, "r1")
        assert described(ours) == described(plain)
        yield Bases(ours.name, plain.name)


def upgrade_plainly(project: Project, revision: str) -> None:
    """Bring each tenant there by Alembic, in a process of its own."""
    tenants = json.dumps({name: name for name in NAMES})
    run = project.run(str(project.ini), json.dumps([revision]), tenants, program="plain")
    assert run.json == [dict.fromkeys(NAMES)]


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=pytest.mark.core if n in CORE else ()) for n in TRAPS]
)
def test_a_trap(name: str, tmp_path: Path, server: AnyServer, bases: Bases) -> None:
    trap = TRAPS[name]
    history = write_history(tmp_path / "history", BASE, ("r2", trap.upgrade, trap.downgrade))
    for old, new in trap.env.items():
        env = (history / "env.py").read_text()
        assert old in env
        (history / "env.py").write_text(env.replace(old, new, 1))
    with fresh_database(server, bases.ours) as ours, fresh_database(server, bases.plain) as plain:
        alembic = Project(tmp_path, plain.url, history)
        alembic.settings('names = "wide"\n')
        prepare(ours, trap)
        prepare(plain, trap)
        settings = {"database_url": ours.url, "names": "wide", "parallel": 2}
        with Fleet.open(alembic.ini, **settings) as fleet:
            report = fleet.upgrade()
        assert report.is_complete, [tenant.error for tenant in report.tenants]
        upgrade_plainly(alembic, "r2")
        compare(described(ours), described(plain), by_chance=trap.by_chance)
    engines = Counter(tenant.engine for tenant in report.tenants)
    if trap.is_replayed:
        alembics = 2 + len(trap.others)
        assert engines == {"alembic": alembics, "replay": len(NAMES) - alembics}, report.obstacles
        assert {by_name(report)[tenant].engine for tenant in trap.others} <= {"alembic"}
    else:
        assert engines == {"alembic": len(NAMES)}
        assert set(report.obstacles) == {"r2"}


@pytest.mark.core
def test_only_a_small_tenant_takes_several_revisions_in_one_transaction(
    tmp_path: Path, database: Database, open_fleet: OpenFleet
) -> None:
    """In a large one a statement may take long, and would keep the locks of those before it."""
    making = [(f"r{n}", f"op.execute('CREATE TABLE t{n} ()')") for n in (2, 3)]
    Project(tmp_path, database.url, write_history(tmp_path / "history", BASE, *making))
    fleet = open_fleet(names="wide", parallel=2)
    assert fleet.onboard(NAMES, "r1").is_complete
    small, large = "public_", NO_WITNESS
    filling = f"INSERT INTO {large}.users SELECT n FROM generate_series(3, 30000) AS n"
    database.execute(filling)
    report = by_name(fleet.upgrade())
    assert [report[name].engine for name in (small, large)] == ["replay", "replay"]
    made = "SELECT count(DISTINCT xmin::text) FROM pg_class WHERE relname IN ('t2', 't3')"
    for name, transactions in ((small, 1), (large, 2)):
        found = database.fetch(f"{made} AND relnamespace = '{name}'::regnamespace")
        assert found == [(transactions,)], name


# -- several heads ---------------------------------------------------------------------------

SEVERAL = "the version table has several heads"
LEFT = (
    "left",
    "r1",
    "op.add_column('users', sa.Column('size', sa.Integer, server_default='7'))",
    "op.drop_column('users', 'size')",
)
RIGHT = (
    "right",
    "r1",
    """op.create_table('log', sa.Column('id', sa.Integer, primary_key=True))
op.execute('INSERT INTO log SELECT id FROM users')""",
    "op.drop_table('log')",
)
MERGE = (
    "merge",
    ("left", "right"),
    "op.execute('UPDATE users SET size = (SELECT count(*) FROM log)')",
    "op.execute('UPDATE users SET size = 7')",
)
AFTER = ("zafter", "merge", "op.create_index('ix', 'users', ['size'])", "op.drop_index('ix')")


@pytest.mark.slow
def test_a_trap_of_several_heads(
    tmp_path: Path, server: AnyServer, database: Database, open_fleet: OpenFleet
) -> None:
    """Where a version table has several rows, nothing is replayed; before and after, it is."""
    history = write_history(tmp_path / "history", BASE)
    born = [f"born {n}" for n in range(4)]
    with fresh_database(server) as plain:
        alembic = Project(tmp_path, plain.url, history)
        alembic.settings('names = "wide"\n')
        fleet = open_fleet(names="wide", parallel=2)

        def compare(*command: str, tenants: Sequence[str] = NAMES) -> None:
            for tenant in tenants:
                alembic.alembic("-x", f"tenant={tenant}", *command)
            for name in tenants:
                ours, theirs = (looked_at(where, name) for where in (database, plain))
                assert ours == theirs, name

        assert fleet.onboard(NAMES, "r1").is_complete
        for tenant in (*NAMES, *born):
            plain.execute(f"CREATE SCHEMA {Identifier(tenant).as_string()}")
        compare("upgrade", "r1")

        write_revision(history, *LEFT)
        write_revision(history, *RIGHT)
        fleet = open_fleet(names="wide", parallel=2)
        report = fleet.upgrade("heads")
        compare("upgrade", "heads")
        (second,) = report.obstacles  # the other is replayed: one row becomes one row
        assert report.obstacles == {second: SEVERAL}
        assert {t.to_revision for t in report.tenants} == {"left,right"}

        write_revision(history, *MERGE)
        write_revision(history, *AFTER)
        fleet = open_fleet(names="wide", parallel=2)
        report = fleet.upgrade()
        compare("upgrade", "head")
        assert report.obstacles == {"merge": SEVERAL}
        engines = Counter(tenant.engine for tenant in report.tenants)
        assert engines == {"alembic": 2, "replay": len(NAMES) - 2}  # the last stretch's
        assert f"not replayed because merge {SEVERAL}" in fleet_says(
            tmp_path, database, "show", str(report.run)
        )

        report = fleet.onboard([Tenant(name, name) for name in born])
        compare("upgrade", "head", tenants=born)
        assert report.obstacles == {second: SEVERAL, "merge": SEVERAL}

        report = fleet.downgrade("r1", Selection(is_all=True))
        assert report.is_complete, [(t.tenant, t.to_revision, t.error) for t in report.tenants]
        compare("downgrade", "r1", tenants=(*NAMES, *born))
        assert set(report.obstacles.values()) == {SEVERAL}
        assert "merge" in report.obstacles


def looked_at(database: Database, name: str) -> Any:
    """The catalog and the rows of one tenant."""
    with database.connect() as connection:
        return catalog(connection, name), content(connection, name)


def fleet_says(folder: Path, database: Database, *command: str) -> str:
    """What the command prints of this fleet."""
    project = Project(folder, database.url, folder / "history")
    return " ".join(project.run(*command).out.split())

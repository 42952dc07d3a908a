"""What is proved of a script from its code alone, and what is not."""

from __future__ import annotations

import textwrap
from pathlib import Path

import pytest

from tenantmig.domain.recording import AUTOCOMMIT
from tenantmig.history.purity import EnvironmentProof, Proof, Purity
from tenantmig.history.revisions import History
from tests.fixtures.command import REPOSITORY

HELPERS = '''
import functools
import sqlalchemy as sa
from alembic import op

NAMES = ["a", "b"]
SEEN = []
done = False
metadata = sa.MetaData()
ROWS = ({"id": 1},)


def has_table(name, bind):
    """Reads the catalog."""
    return name in sa.inspect(bind).get_table_names()


def add_note(table, size=10):
    op.add_column(table, sa.Column("note", sa.String(size)))


def remember(name):
    SEEN.append(name)


@functools.lru_cache
def cached(name):
    return sa.Column(name, sa.Integer)


def flag():
    global done
    done = True


def again(items, kept=[]):
    kept.append(items)
    return kept


def parent(name):
    add_note(name)
    return remember(name)


class Registry:
    def __init__(self):
        self.names = []

    def add(self, name):
        self.names.append(name)


registry = Registry()


class Money(sa.types.TypeDecorator):
    impl = sa.Numeric
    cache_ok = True

    def process_bind_param(self, value, dialect):
        return value
'''
HEAD = """
import sqlalchemy as sa
from alembic import op, context
from sqlalchemy.dialects import postgresql
import helpers
"""
PURE = {
    "nothing": "pass",
    "a column": "op.add_column('users', sa.Column('size', sa.Integer, server_default='7'))",
    "a table with everything": """
        op.create_table(
            'log', sa.Column('id', sa.BigInteger, sa.Identity(), primary_key=True),
            sa.Column('kind', postgresql.ENUM('a', 'b', name='kind')),
            sa.Column('user_id', sa.ForeignKey('users.id', ondelete='CASCADE')),
            sa.CheckConstraint('id > 0'), sa.UniqueConstraint('user_id', name='uq'),
            sa.Column('at', sa.DateTime(timezone=True), server_default=sa.func.now()))""",
    "rows": """
        users = sa.table('users', sa.column('id', sa.Integer), sa.column('note'))
        op.bulk_insert(users, [{'id': n, 'note': f'n{n}'} for n in range(3)])
        op.execute(users.update().where(users.c.id == 2).values(note='two'))""",
    "reading and branching": """
        bind = op.get_bind()
        found = {c['name'] for c in sa.inspect(bind).get_columns('users')}
        if 'note' not in found and bind.dialect.name == 'postgresql':
            op.add_column('users', sa.Column('note', sa.Text))
        for row in bind.execute(sa.text('SELECT id FROM users')):
            bind.execute(sa.text('UPDATE users SET note = :n WHERE id = :i'),
                         {'n': str(row.id).upper(), 'i': row.id})""",
    "batch": """
        with op.batch_alter_table('users') as batch:
            batch.drop_column('note')
            batch.create_index(batch.f('ix'), ['id'])""",
    "autocommit": """
        with op.get_context().autocommit_block():
            op.create_index('ix', 'users', ['id'], postgresql_concurrently=True)""",
    "lists made here": """
        names = []
        for name in ('a', 'b'):
            names.append(name.upper())
        names += ['c']
        by_name = {}
        by_name['x'] = names
        op.execute(', '.join(sorted(names)))""",
    "a helper that reads": """
        if helpers.has_table('users', op.get_bind()):
            helpers.add_note('users', size=20)""",
    "constants of a helper": "[op.drop_column('users', name) for name in helpers.NAMES]",
    "a copy of a constant": """
        names = list(helpers.NAMES)
        names.append('c')
        op.execute(' '.join(names))""",
    "a type of the project": "op.add_column('users', sa.Column('price', helpers.Money(10, 2)))",
    "a session": """
        from sqlalchemy.orm import Session
        with Session(bind=op.get_bind()) as session:
            session.execute(sa.text('SELECT 1'))""",
    "a file": """
        from pathlib import Path
        op.execute((Path(__file__).parent / 'x.sql').read_text())""",
    "a nested function": """
        def add(table, *names, **options):
            for name in names:
                op.add_column(table, sa.Column(name, sa.Text, **options))
        add('users', 'a', 'b', nullable=True)""",
    "an error": "raise NotImplementedError('no way back')",
    "a lambda": "op.execute(max(['a', 'bb'], key=lambda text: len(text)))",
    "irreversible": "from tenantmig import irreversible\n        irreversible('gone')",
    "a decimal": """
        from decimal import Decimal
        import datetime
        op.execute(sa.text('SELECT :d, :t').bindparams(d=Decimal('1.5'),
                   t=datetime.datetime(2020, 1, 1, tzinfo=datetime.timezone.utc)))""",
}
IMPURE = {
    "a list of a helper": "helpers.SEEN.append('a')",
    "a helper that changes its list": "helpers.remember('a')",
    "two helpers deep": "helpers.parent('users')",
    "lru_cache": "op.add_column('users', helpers.cached('a'))",
    "a flag": "helpers.flag()",
    "a flag that is read": "if not helpers.done:\n            op.execute('SELECT 1')",
    "a mutable default": "helpers.again('a')",
    "an alias of a list": "names = helpers.NAMES\n        names.append('c')",
    "an alias, augmented": "names = helpers.NAMES\n        names += ['c']",
    "an element of a constant": "for row in helpers.ROWS:\n            row['id'] = 2",
    "an element of a copy": "rows = list(helpers.ROWS)\n        rows[0]['id'] = 2",
    "a MetaData of a helper": "sa.Table('log', helpers.metadata, sa.Column('id', sa.Integer))",
    "a MetaData that reflects": "helpers.metadata.reflect(op.get_bind())",
    "an object of a helper": "helpers.registry.add('a')",
    "an attribute of a helper": "helpers.done = True",
    "an attribute of a function": "upgrade.done = True",
    "an attribute of Alembic": "op.create_table = op.execute",
    "setattr": "setattr(helpers, 'done', True)",
    "getattr": "getattr(helpers, 'SEEN').append(1)",
    "globals": "globals()['x'] = 1",
    "os.environ": "import os\n        op.execute(os.environ.get('TENANT', ''))",
    "os.getenv": "from os import getenv\n        op.execute(getenv('TENANT'))",
    "sys.argv": "import sys\n        op.execute(sys.argv[-1])",
    "sys.modules": "import sys\n        sys.modules['x'] = None",
    "a context variable": "import contextvars\n        contextvars.ContextVar('t').get()",
    "a connection of its own": "import psycopg\n        psycopg.connect('')",
    "an engine of its own": "sa.create_engine('postgresql://').connect()",
    "sqlite": "import sqlite3\n        sqlite3.connect('x.db')",
    "a thread": "import threading\n        threading.Thread(target=print).start()",
    "another program": "import subprocess\n        subprocess.run(['true'])",
    "a file that is written": "open('x', 'w').write('a')",
    "a listener": "sa.event.listen(sa.Table, 'after_create', print)",
    "eval": "eval('1')",
    "exec": "exec('x = 1')",
    "a dunder": "op.__dict__['x'] = 1",
    "an unknown library": "import requests\n        requests.get('http://x')",
    "a class kept": "class A:\n            seen = []\n        helpers.registry.names.append(A)",
    "a directive of the project": "op.create_view('v')",
    "the pool": "op.get_bind().engine.pool.dispose()",
    "the driver's connection": "op.get_bind().connection.driver_connection.cursor()",
    "the state of a connection": "op.get_bind().info['seen'] = 1",
    "recursion": "upgrade()",
    "async": "op.run_async(print)",
    "an implementation of Alembic": "op.get_context().impl.add_column('t', sa.Column('a'))",
    "an operation": "from alembic.operations import ops\n"
    "        op.invoke(ops.AddColumnOp('t', sa.Column('a', sa.Text)))",
    "an operation of the script": """from alembic.operations import MigrateOperation
        class Note(MigrateOperation):
            pass
        op.invoke(Note())""",
    "an operation that is registered": """
        @op.register_operation('note')
        class Note:
            pass""",
    "an implementation that is registered": """
        from alembic.operations import ops
        @op.implementation_for(ops.AddColumnOp, replace=True)
        def add(operations, it):
            pass""",
    "what the logging module keeps": "import logging\n        logging.basicConfig()",
    "the seed of chance": "import random\n        random.seed(1)",
    "a global of its own": "global X\n        X = 1",
}
BY_TENANT = {
    "-x": "if context.get_x_argument(as_dictionary=True)['tenant'] == 'a':\n            pass",
    "the configuration": "if 'tenant=a' in context.config.cmd_opts.x:\n            pass",
    "the context": "if op.get_context().version_table_schema == 'a':\n            pass",
    "the dialect": "if op.get_bind().dialect.default_schema_name == 'a':\n            pass",
    "the inspector": "x = {'a': 1}.get(sa.inspect(op.get_bind()).default_schema_name)",
    "the implementation": "x = op.get_context().impl.context_opts['version_table_schema'][0]",
    "length": "n = len(op.get_context().version_table_schema)",
    "hash": "x = {op.get_context().version_table_schema: 1}",
    "a set": "x = 'a' in {op.get_context().version_table_schema}",
    "a slice": "x = op.get_context().version_table_schema[:3]",
    "a method": "x = op.get_context().version_table_schema.replace('a', 'b')",
    "starts with": "x = op.get_context().version_table_schema.startswith('a')",
    "a format that cuts": "x = f'{op.get_context().version_table_schema:.2}'",
    "an old format that cuts": "x = '%.2s' % op.get_context().version_table_schema",
    "a loop over it": "for c in op.get_context().version_table_schema:\n            op.execute(c)",
    "sorted": "x = sorted(op.get_context().version_table_schema)",
    "match": """
        match op.get_context().version_table_schema:
            case 'a':
                pass""",
    "a hash of it": "import hashlib\n        hashlib.md5(op.get_context().opts['x'])",
    "a text made of it": "s = sa.text(op.get_context().opts['x'])\n        if s.text == 'a':\n"
    "            pass",
    "through a list": "x = [op.get_context().opts['x']]\n        y = x[0] == 'a'",
    "through a function": """
        def same(text):
            return text == 'a'
        same(op.get_context().opts['x'])""",
    "a comprehension": "x = [c for c in ['a'] if c == op.get_context().opts['x']]",
    "a file": "from pathlib import Path\n        Path(op.get_context().opts['x']).read_text()",
    "calculated": "x = op.get_context().opts['x'] * 2",
}
FORMATS = {
    "an f-string": "s = op.get_context().version_table_schema\n"
    "        op.execute(f'DELETE FROM {s}.users')",
    "an option": "s = context.config.attributes.get('schema', 'x')\n"
    "        op.add_column('users', sa.Column('a', sa.Text), schema=s)",
    "-x": "s = context.get_x_argument(as_dictionary=True).get('tenant')\n"
    "        op.execute('SELECT ' + s)",
    "the inspector": "i = sa.inspect(op.get_bind())\n"
    "        i.get_table_names(schema=i.default_schema_name)",
    "format": "op.execute('DELETE FROM {}.users'.format(op.get_context().opts['x']))",
    "a table": "t = sa.table('users', sa.column('id'), schema=op.get_context().opts['x'])\n"
    "        op.execute(t.delete().where(t.c.id == 1))",
}
BY_MOMENT = {
    "now": "import datetime\n        op.execute(f'{datetime.datetime.now()}')",
    "today": "from datetime import date\n        op.execute(f'{date.today()}')",
    "uuid4": "import uuid\n        op.execute(f'{uuid.uuid4()}')",
    "chance": "import random\n        op.execute(f'{random.random()}')",
    "a commit": "op.get_bind().commit()",
    "a second connection": "with op.get_bind().engine.connect() as other:\n"
    "            other.execute(sa.text('SELECT 1'))",
}
MODULES = {
    "a list that is read": ("ROWS = [{'id': 1}]", "op.bulk_insert(sa.table('t'), ROWS)", True),
    "a list that is changed": ("ROWS = []", "ROWS.append(1)", False),
    "a light table": (
        "T = sa.table('t', sa.column('id'))",
        "op.execute(T.insert().values(id=1))",
        True,
    ),
    "a table": (
        "T = sa.Table('t', sa.MetaData(), sa.Column('id', sa.Integer))",
        "op.bulk_insert(T, [{'id': 1}])",
        True,
    ),
    "a table that grows": (
        "T = sa.Table('t', sa.MetaData(), sa.Column('id', sa.Integer))",
        "T.append_column(sa.Column('b', sa.Text))",
        False,
    ),
    "a column": ("C = sa.Column('c', sa.Text)", "op.add_column('t', C)", False),
    "columns": ("C = [sa.Column('c', sa.Text)]", "op.create_table('t', *C)", False),
    "a MetaData": ("M = sa.MetaData()", "sa.Table('t', M)", False),
    "a MetaData that makes": (
        "M = sa.MetaData()\nT = sa.Table('t', M)",
        "M.create_all(op.get_bind())",
        True,
    ),
    "an enum": ("E = sa.Enum('a', name='e')", "E.create(op.get_bind(), checkfirst=True)", True),
    "an enum beside a schema": (
        "E = sa.Enum('a', name='e')",
        "E.create(op.get_bind())\n    op.create_table('t', sa.Column('e', E), schema='other')",
        False,
    ),
    "an ORM class": (
        "from sqlalchemy.orm import declarative_base\nBase = declarative_base()\n"
        "class T(Base):\n    __tablename__ = 't'\n    id = sa.Column(sa.Integer, primary_key=True)",
        "op.execute(sa.insert(T).values(id=1))",
        True,
    ),
    "an ORM class made by the revision": (
        "from sqlalchemy.orm import declarative_base\nBase = declarative_base()",
        "class T(Base):\n        __tablename__ = 't'\n        id = sa.Column(sa.Integer)",
        False,
    ),
    "an ORM class that is changed": (
        "from sqlalchemy.orm import declarative_base\nBase = declarative_base()\n"
        "class T(Base):\n    __tablename__ = 't'\n    id = sa.Column(sa.Integer, primary_key=True)",
        "T.note = sa.Column(sa.Text)",
        False,
    ),
    "an inspector": ("I = None", "global I\n    I = I or sa.inspect(op.get_bind())", False),
    "a name that is bound twice": ("X = 1\nfor X in (1, 2):\n    pass", "op.execute(X)", False),
    "the environment, when it is loaded": (
        "import os\nX = os.environ.get('X')",
        "op.execute(X)",
        False,
    ),
    "a cached function": (
        "import functools\n@functools.cache\ndef f():\n    return 1",
        "op.execute(f())",
        False,
    ),
    "a generator that stays": ("G = iter([1, 2])", "op.execute(next(G))", False),
    "a counter": ("import itertools\nG = itertools.count()", "op.execute(next(G))", False),
    "a default dictionary": (
        "import collections\nD = collections.defaultdict(list)",
        "D['a'].append(1)",
        False,
    ),
    "a namespace": ("import types\nN = types.SimpleNamespace(a=1)", "N.a = 2", False),
    "a bound method": ("ADD = [].append", "ADD(1)", False),
    "a class of the script": ("class K:\n    seen = []", "K.seen.append(1)", False),
    "an instance": (
        "class K:\n    def __init__(self):\n        self.n = 0\n"
        "    def next(self):\n        self.n += 1\n        return self.n\nK1 = K()",
        "op.execute(K1.next())",
        False,
    ),
    "rows of a generator": (
        "def rows():\n    yield {'id': 1}\nROWS = rows()",
        "op.bulk_insert(sa.table('t'), list(ROWS))",
        False,
    ),
    "an open file": ("F = open('x.sql')", "op.execute(F.read())", False),
    "files that are found": (
        "from pathlib import Path\nF = Path(__file__).parent.glob('*.sql')",
        "[op.execute(f.read_text()) for f in F]",
        False,
    ),
    "a counter of a class": (
        "import itertools\nclass K:\n    n = itertools.count()",
        "op.execute(next(K.n))",
        False,
    ),
    "a dictionary of a class": ("class K:\n    d = {}", "K().d['a'] = 1", False),
    "a MetaData of a class": (
        "class K:\n    m = sa.MetaData()",
        "sa.Table('t', K.m, sa.Column('id', sa.Integer))",
        False,
    ),
    "a declarative base": (
        "from sqlalchemy.orm import DeclarativeBase\nclass Base(DeclarativeBase):\n    pass",
        "class T(Base):\n        __tablename__ = 't'\n        id = sa.Column(sa.Integer)",
        False,
    ),
    "a mapped class that something listens to": (
        "from sqlalchemy.orm import declarative_base\nBase = declarative_base()\n"
        "class T(Base):\n    __tablename__ = 't'\n    i = sa.Column(sa.Integer, primary_key=True)\n"
        "@sa.event.listens_for(T, 'before_insert')\ndef hear(mapper, connection, target):\n"
        "    target.i = 1",
        "op.execute(sa.insert(T).values(i=1))",
        False,
    ),
    "a class that is registered": (
        "class T(sa.types.TypeDecorator):\n    impl = sa.Text\nhelpers.remember(T)",
        "op.add_column('t', sa.Column('a', T()))",
        False,
    ),
    "a class whose methods are wrapped": (
        "class T(sa.types.TypeDecorator):\n    impl = sa.Text\n    @property\n"
        "    def name(self):\n        return 'a'",
        "op.add_column('t', sa.Column('a', T()))",
        True,
    ),
    "objects of a mapped class": (
        "from sqlalchemy.orm import declarative_base\nBase = declarative_base()\n"
        "class T(Base):\n    __tablename__ = 't'\n    id = sa.Column(sa.Integer)\nROWS = [T(id=1)]",
        "from sqlalchemy.orm import Session\n    Session(op.get_bind()).add_all(ROWS)",
        False,
    ),
    "what a library calls": (
        "ROWS = [{'id': 1}]\ndef up(row):\n    row['id'] += 1\n    return row",
        "op.bulk_insert(sa.table('t'), list(map(up, ROWS)))",
        False,
    ),
    "what sorting takes away": (
        "ROWS = [{'o': 1}]",
        "sorted(ROWS, key=lambda row: row.pop('o'))",
        False,
    ),
    "a chain of what it holds": (
        "import itertools\nROWS = [{'id': 1}]",
        "for row in itertools.chain(ROWS, []):\n        row['id'] += 1",
        False,
    ),
    "the longest list": ("L = [[1]]", "x = max(L, key=len)\n    x.append(1)", False),
    "the level of a logger": (
        "import datetime\nT = sa.table('t', sa.column('at'))",
        "import logging\n    logging.getLogger('x').setLevel(10)",
        False,
    ),
    "a closure": (
        "def make():\n    kept = []\n    def add(x):\n        kept.append(x)\n        return kept\n"
        "    return add\nADD = make()",
        "op.execute(ADD(1))",
        False,
    ),
}


def prove(folder: Path, body: str, head: str = HEAD, module: str = "") -> Proof:
    (folder / "helpers.py").write_text(HELPERS)
    script = folder / "r1.py"
    script.write_text(f"{head}\n{module}\ndef upgrade():\n    {textwrap.dedent(body).strip()}\n")
    return Purity([str(folder)]).prove(str(script), "upgrade")


def body_of(text: str) -> str:
    """Indent a body as a function's."""
    return textwrap.indent(textwrap.dedent("        " + text.lstrip("\n ")), "    ").strip()


@pytest.mark.parametrize("name", PURE)
def test_pure(name: str, tmp_path: Path) -> None:
    proof = prove(tmp_path, body_of(PURE[name]))
    assert (proof.impure, proof.not_replayed) == (None, None)


@pytest.mark.parametrize("name", IMPURE)
def test_impure(name: str, tmp_path: Path) -> None:
    assert prove(tmp_path, body_of(IMPURE[name])).impure


@pytest.mark.parametrize("name", BY_TENANT)
def test_what_asks_for_the_tenant_is_not_replayed(name: str, tmp_path: Path) -> None:
    proof = prove(tmp_path, body_of(BY_TENANT[name]))
    assert proof.impure or proof.not_replayed


@pytest.mark.parametrize("name", FORMATS)
def test_what_only_writes_the_tenant_is_pure(name: str, tmp_path: Path) -> None:
    proof = prove(tmp_path, body_of(FORMATS[name]))
    assert (proof.impure, proof.not_replayed, proof.formats_tenant) == (None, None, True)


@pytest.mark.parametrize("name", BY_MOMENT)
def test_what_differs_by_moment_shares_a_process(name: str, tmp_path: Path) -> None:
    proof = prove(tmp_path, body_of(BY_MOMENT[name]))
    assert proof.is_pure
    assert proof.not_replayed


@pytest.mark.parametrize("name", MODULES)
def test_what_a_module_holds(name: str, tmp_path: Path) -> None:
    module, body, is_pure = MODULES[name]
    proof = prove(tmp_path, body, module=module)
    assert proof.is_pure is is_pure, proof


def test_a_module_of_the_project_with_a_librarys_name(tmp_path: Path) -> None:
    (tmp_path / "textwrap.py").write_text("seen = []\ndef dedent(x):\n    seen.append(x)\n")
    assert prove(tmp_path, "import textwrap\n    op.execute(textwrap.dedent('a'))").impure


def test_a_project_vouches_for_a_module(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text("import os\ndef name():\n    return os.environ['X']\n")
    script = tmp_path / "r1.py"
    script.write_text(f"{HEAD}\nimport mine\ndef upgrade():\n    op.execute(mine.name())\n")
    (tmp_path / "helpers.py").write_text(HELPERS)
    assert not Purity([str(tmp_path)]).prove(str(script), "upgrade").is_pure
    assert Purity([str(tmp_path)], ["mine"]).prove(str(script), "upgrade").is_pure


def test_this_repository_is_proved() -> None:
    """Its env.py imports its models; all of its history may be replayed."""
    history = History(REPOSITORY / "alembic.ini")
    assert history.proofs.environment == EnvironmentProof()
    assert history.proofs.loading is None
    reasons = [history.obstacle(revision) for revision in history.revisions]
    assert {reason for reason in reasons if reason} <= {AUTOCOMMIT}


ENV = (REPOSITORY / "tenantmig" / "history" / "templates" / "env.py.txt").read_text()
ONLINE = "def run_migrations_online"
ENVIRONMENTS = {
    "the environment": ('import os\nos.environ["T"] = tenant.name\n', True),
    "a variable of a module": ("import helpers\nhelpers.done = tenant.schema\n", True),
    "a comparison": ("if tenant.name == 'a':\n    x = 1\n", True),
    "a method": ("if tenant.name.startswith('a'):\n    x = 1\n", True),
    "a function": ("import helpers\nhelpers.remember(tenant.schema)\n", True),
    "a file": ("open('x', 'w').write(tenant.schema)\n", True),
    "a call of which nothing is known": ("import helpers\nhelpers.flag()\n", True),
    "the log": ("from logging.config import fileConfig\nfileConfig('x.ini')\n", False),
    "a path": ("import sys\nsys.path.append('.')\n", False),
    "nothing": ("", False),
}


@pytest.mark.parametrize("name", ENVIRONMENTS)
def test_an_env_py_that_may_depend_on_the_tenant(name: str, tmp_path: Path) -> None:
    more, is_by_tenant = ENVIRONMENTS[name]
    (tmp_path / "helpers.py").write_text(HELPERS)
    env = tmp_path / "env.py"
    env.write_text(ENV.replace(ONLINE, f"{more}\n\n{ONLINE}", 1))
    proof = Purity([str(tmp_path)]).prove_environment(str(env))
    assert (proof.by_tenant is not None) is is_by_tenant, proof
    assert proof.unshared or not is_by_tenant


def test_a_url_in_env_py_is_told_with_what_to_do(tmp_path: Path) -> None:
    env = tmp_path / "env.py"
    (tmp_path / "helpers.py").write_text(HELPERS)
    give = 'context.config.set_main_option("sqlalchemy.url", {})\n'
    for more, line in (
        ("import helpers\n" + give.format("helpers.flag().url"), 2),
        ("import helpers\nsettings = helpers.flag()\n" + give.format("str(settings.url)"), 3),
        (f"import os\ndef url():\n    return os.environ['U']\n{give.format('url()')}", 4),
        ("import helpers\nother = helpers.flag()\n" + give.format("'x'"), None),
    ):
        env.write_text(ENV.replace(ONLINE, f"{more}\n\n{ONLINE}", 1))
        at = ENV.partition(ONLINE)[0].count("\n")
        told = str(Purity([str(tmp_path)]).prove_environment(str(env)).by_tenant)
        assert (f"remove line {at + (line or 0)} of env.py: tenantmig" in told) is bool(line), told

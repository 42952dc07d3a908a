"""State in Python: kept by a script or by a module beside it, harmless or not."""

from __future__ import annotations

from tests.faults.vocabulary.kind import Kind, kind

INSERT = "op.execute(f\"INSERT INTO results VALUES ('<<t>>', {n}, '{text}')\")"
NOTE = """

def note(n, text=''):
    from alembic import op
    op.execute(f"INSERT INTO results VALUES ('<<t>>', {n}, '{text}')")
"""
IDS = "op.get_bind().execute(sa.text('SELECT id FROM thing ORDER BY id')).scalars()"
# what stands at the top, what uses it: each must be at home in a script and in a helper
STATES: dict[str, tuple[str, str]] = {
    "a done flag": ("DONE = False", "    global DONE\n    if not DONE:\n        note(1)\n    DONE = True"),
    "a list": ("SEEN = []", f"    SEEN.extend({IDS})\n    note(len(SEEN), str(SEEN))"),
    "a dict": (
        "ROWS = {}",
        "    for row in op.get_bind().execute(sa.text('SELECT id, name FROM thing')):\n"
        "        ROWS.setdefault(row.id, row.name)\n"
        "    for n, text in sorted(ROWS.items()):\n        note(n, str(text)[:3].replace(\"'\", ''))",
    ),
    "a set": ("KNOWN = set()", f"    KNOWN.update({IDS})\n    note(len(KNOWN))"),
    "a counter": ("import itertools\nNUMBERS = itertools.count(1)", "    note(next(NUMBERS))"),
    "an iterator": ("NAMES = iter(['a', 'b', 'c', 'd', 'e'])", "    note(1, next(NAMES, 'none'))"),
    "a cache": (
        "import functools\n\n@functools.lru_cache\ndef most():\n"
        "    return op.get_bind().execute(sa.text('SELECT max(id) FROM thing')).scalar()",
        "    note(most())",
    ),
    "a cache of arguments": (
        "import functools\n\n@functools.cache\ndef found(table):\n"
        "    return sa.inspect(op.get_bind()).has_table(table) and "
        "op.get_bind().execute(sa.text(f'SELECT count(*) FROM {table}')).scalar()",
        "    note(found('thing'))",
    ),
    "a default argument": (
        "def add(x, seen=[]):\n    seen.append(x)\n    return len(seen)",
        "    note(add(5))",
    ),
    "an attribute of a function": (
        "def tick():\n    tick.n = getattr(tick, 'n', 0) + 1\n    return tick.n",
        "    note(tick())",
    ),
    "an attribute of a class": (
        "class Kept:\n    n = 0",
        "    Kept.n += 1\n    note(Kept.n)",
    ),
    "an object": (
        "class Kept:\n    def __init__(self):\n        self.rows = None\nKEPT = Kept()",
        "    if KEPT.rows is None:\n"
        f"        KEPT.rows = list({IDS})\n"
        "    note(len(KEPT.rows))",
    ),
    "a closure": (
        "def counting():\n    n = 0\n    def step():\n        nonlocal n\n        n += 1\n"
        "        return n\n    return step\nSTEP = counting()",
        "    note(STEP())",
    ),
    "a generator": (
        "def numbers():\n    n = 0\n    while True:\n        n += 1\n        yield n\nGEN = numbers()",
        "    note(next(GEN))",
    ),
    "a MetaData": (
        "META = sa.MetaData()",
        "    made = sa.Table('<<t>>_m', META, sa.Column('id', sa.Integer), extend_existing=True)\n"
        "    made.create(op.get_bind())\n    note(len(META.tables))",
    ),
    "a MetaData that refuses": (
        "META = sa.MetaData()",
        "    made = sa.Table('<<t>>_m', META, sa.Column('id', sa.Integer))\n"
        "    made.create(op.get_bind())",
    ),
    "a reflected MetaData": (
        "META = sa.MetaData()",
        "    META.reflect(op.get_bind(), only=['thing'])\n"
        "    note(len(META.tables), ' '.join(META.tables)[:5])",
    ),
    "a Table": (
        "THING = sa.Table('results', sa.MetaData(), sa.Column('what', sa.Text),"
        " sa.Column('id', sa.Integer), sa.Column('found', sa.Text))",
        "    op.execute(THING.insert().values(what='<<t>>', id=5))",
    ),
    "a Table that grows": (
        "THING = sa.Table('<<t>>_g', sa.MetaData(), sa.Column('id', sa.Integer))",
        "    THING.append_column(sa.Column(f'c{len(THING.columns)}', sa.Integer))\n"
        "    THING.create(op.get_bind())",
    ),
    "an inspector": (
        "INSPECTOR = None",
        "    global INSPECTOR\n"
        "    if INSPECTOR is None:\n        INSPECTOR = sa.inspect(op.get_bind())\n"
        "    note(len(INSPECTOR.get_columns('thing')), INSPECTOR.default_schema_name[:1]"
        ".replace('\"', ''))",
    ),
    "a connection": (
        "BIND = None",
        "    global BIND\n    BIND = BIND or op.get_bind()\n"
        "    BIND.execute(sa.text(\"INSERT INTO results VALUES ('<<t>>', 1, 'kept')\"))",
    ),
    "an ORM class": (
        "from sqlalchemy import orm\nBase = orm.declarative_base()\n\n"
        "class Result(Base):\n    __tablename__ = 'results'\n"
        "    what = sa.Column(sa.Text, primary_key=True)\n"
        "    id = sa.Column(sa.Integer)\n    found = sa.Column(sa.Text)",
        "    session = orm.Session(bind=op.get_bind())\n"
        "    session.add(Result(what='<<t>>', id=1, found='orm'))\n    session.flush()",
    ),
    "an ORM class inside": (
        "from sqlalchemy import orm\nBase = orm.declarative_base()",
        "    class Result(Base):\n        __tablename__ = 'results'\n"
        "        what = sa.Column(sa.Text, primary_key=True)\n        id = sa.Column(sa.Integer)\n"
        "    session = orm.Session(bind=op.get_bind())\n"
        "    session.add(Result(what='<<t>>', id=len(Base.metadata.tables)))\n    session.flush()",
    ),
    "an ORM session kept": (
        "from sqlalchemy import orm\nSESSION = orm.sessionmaker()\nONE = None",
        "    global ONE\n    ONE = ONE or SESSION(bind=op.get_bind())\n"
        "    ONE.execute(sa.text(\"INSERT INTO results VALUES ('<<t>>', 1, 'session')\"))",
    ),
    "os.environ": (
        "import os",
        "    os.environ['<<t>>'] = os.environ.get('<<t>>', '') + 'x'\n"
        "    note(len(os.environ['<<t>>']))",
    ),
    "sys.modules": (
        "import sys",
        "    kept = sys.modules.setdefault('<<t>>', [])\n    kept.append(1)\n    note(len(kept))",
    ),
    "decimal's context": (
        "import decimal",
        "    note(1, str(decimal.Decimal(1) / 3))\n    decimal.getcontext().prec = 4",
    ),
    "a seeded chance": (
        "import random\nCHANCE = random.Random(7)",
        "    note(CHANCE.randrange(1000))",
    ),
    "an engine listener": (
        "from sqlalchemy import event\nHEARD = []",
        "    event.listen(op.get_bind(), 'after_cursor_execute',"
        " lambda *given: HEARD.append(1), named=False)\n"
        "    op.execute('SELECT 1 WHERE false')\n    note(len(HEARD))",
    ),
    "a constant": ("NAMES = ('a', 'b')\nSIZES = {'a': 1}", "    note(SIZES['a'], NAMES[1])"),
    "a constant table": (
        "LIGHT = sa.table('results', sa.column('what'), sa.column('id'))",
        "    op.execute(LIGHT.insert().values(what='<<t>>', id=3))",
    ),
    "a pure function": (
        "def shown(x, *, wide=False):\n    return f'{x:>5}' if wide else str(x)",
        "    note(1, shown(3, wide=True))",
    ),
    "a list that is only read": ("NAMES = ['a', 'b']", "    for text in NAMES:\n        note(1, text)"),
    "contextlib": (
        "import contextlib\nDEPTH = [0]\n\n@contextlib.contextmanager\ndef deeper():\n"
        "    DEPTH[0] += 1\n    yield DEPTH[0]",
        "    with deeper() as n:\n        note(n)",
    ),
    "a naming convention": (
        "META = sa.MetaData(naming_convention={'ix': 'ix_%(table_name)s_%(column_0_name)s'})",
        "    META.naming_convention = dict(META.naming_convention, ck=str(len(META.tables)))\n"
        "    note(len(META.naming_convention))\n"
        "    sa.Table(f'x{len(META.tables)}', META)\n    note(len(META.tables))",
    ),
    "an own operation": (
        "CALLS = []",
        "    CALLS.append(1)\n"
        "    op.calls_of_<<t>> = len(CALLS)\n    note(op.calls_of_<<t>>)",
    ),
    "a module attribute": (
        "import string",
        "    string.kept = getattr(string, 'kept', 0) + 1\n    note(string.kept)",
    ),
}  # fmt: skip
ONCE = {"a MetaData", "a MetaData that refuses", "a Table that grows", "an ORM class inside"}
"""What fails the second time even for one tenant."""


def _in_script(name: str, top: str, use: str) -> Kind:
    top = f"{top}{NOTE}\n\ndef _work_<<t>>():\n{use}"
    return kind(f"{name} in the script", "_work_<<t>>()", head=top)


def _in_helper(name: str, top: str, use: str) -> Kind:
    helper = (
        f"from alembic import op\nimport sqlalchemy as sa\n\n{top}{NOTE}\n\ndef work():\n{use}\n"
    )
    return kind(f"{name} in a helper", "work_<<t>>()", helper=helper,
                head="from <<helper>> import work as work_<<t>>")  # fmt: skip


def _in_helper_twice(name: str, top: str, use: str) -> Kind:
    one = _in_helper(name, top, use)
    return Kind(f"{name} in a helper of two scripts", one.up * 2, one.head, one.helper, weight=1)


KINDS = [
    made(name, *parts)
    for name, parts in STATES.items()
    for made in (_in_script, _in_helper, _in_helper_twice)
    if not (made is _in_helper_twice and name in ONCE)
]
POOLS: dict[str, list[str]] = {}

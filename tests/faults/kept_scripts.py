"""Histories that once came out otherwise than by plain Alembic; the random scripts found them.

What failed alone stands together here, a cause a script, so that it costs one comparison.
"""

from __future__ import annotations

from tests.faults.random_scripts import History

LITERALS = {
    "r01": ("", """
results = sa.table('results', sa.column('what'), sa.column('id'), sa.column('found'))
things = sa.table('thing', sa.column('id'), sa.column('qty'))
op.execute(results.insert().from_select(['what', 'id', 'found'], sa.select(
    sa.literal('round'), things.c.id, sa.cast(sa.func.round(1.5 * 3), sa.Text))))
"""),
    "r02": ("", """
op.execute(sa.text("INSERT INTO results SELECT 'text', id, 'v' || :x FROM thing")
           .bindparams(x=1000.0))
"""),
    "r03": ("", """
op.execute("CREATE TABLE many (n numeric, f float8, i bigint)")
many = sa.table('many', *[sa.column(c) for c in 'nfi'])
op.bulk_insert(many, [{'n': 100.0, 'f': 1.15, 'i': 3}, {'n': 3, 'f': 3, 'i': None}])
"""),
    "r04": ("", "op.execute(sa.text('UPDATE thing SET qty = qty * :f').bindparams(f=2.5))"),
}  # fmt: skip
STATE = {
    "r01": ("import random\nCHANCE = random.Random(7)", """
op.execute(f"INSERT INTO results VALUES ('chance', {CHANCE.randrange(1000)}, '')")
"""),
    "r02": ("import decimal", """
op.execute(f"INSERT INTO results VALUES ('third', 1, '{decimal.Decimal(1) / 3}')")
decimal.getcontext().prec = 4
"""),
    "r03": ("from sqlalchemy import orm\nBase = orm.declarative_base()", """
class Result(Base):
    __tablename__ = 'results'
    what = sa.Column(sa.Text, primary_key=True)
session = orm.Session(bind=op.get_bind())
session.add(Result(what=str(len(Base.metadata.tables))))
session.flush()
"""),
    "r04": ("BIND = None", """
global BIND
BIND = BIND or op.get_bind()
BIND.execute(sa.text("INSERT INTO results VALUES ('kept', 1, '')"))
"""),
    "r05": ("from kept_rows import rows", """
op.execute(f"INSERT INTO results VALUES ('rows', {rows()}, '')")
"""),
    "r06": ("import string", """
string.kept = getattr(string, 'kept', 0) + 1
op.execute(f"INSERT INTO results VALUES ('string', {string.kept}, '')")
"""),
    "r07": ("import os", """
os.environ['KEPT'] = os.environ.get('KEPT', '') + 'x'
op.execute(f"INSERT INTO results VALUES ('environ', {len(os.environ['KEPT'])}, '')")
"""),
}  # fmt: skip
ROWS = """
import functools
import sqlalchemy as sa
from alembic import op

@functools.cache
def rows():
    return op.get_bind().execute(sa.text('SELECT count(*) FROM thing')).scalar()
"""
BETWEEN = {
    "r01": ("", "op.create_table('t', sa.Column('m', sa.Enum('a', 'b', name='mood')))"),
    "r02": ("", """
op.get_bind().execute(sa.text('SELECT 1')).scalar()
op.create_table('u', sa.Column('m', sa.Enum('a', 'b', name='mood')))
"""),
    "r03": ("", "op.execute('SELECT setseed(0.5)')"),
    "r04": ("", "op.execute(\"INSERT INTO results SELECT 'r', (1000 * random())::int\")"),
    "r05": ("", "op.execute('SET check_function_bodies = off')"),
    "r06": ("", "op.execute('CREATE FUNCTION f() RETURNS int LANGUAGE sql AS $$SELECT no$$')"),
}  # fmt: skip
TELLERS = {
    "r01": ("", """
if vars(op.get_context())['version_table_schema'] == 'name':
    op.execute("INSERT INTO results VALUES ('vars', 1, '')")
"""),
    "r02": ("import os", """
if os.environ['KEPT_TENANT'] == 'name':
    op.create_index('by_name', 'thing', ['name'])
"""),
    "r03": ("import os\nimport psycopg", """
with psycopg.connect(os.environ['TENANTMIG_DATABASE_URL']) as own:
    own.execute("INSERT INTO outside.log VALUES ('psycopg', '')")
"""),
}  # fmt: skip
FIRST = ("acme", "Delta 5")  # the witnesses
KEPT = {
    "literals": History(LITERALS, ["r04"], FIRST),
    "state": History(STATE, ["r03", "r07"], FIRST, {"kept_rows": ROWS}),
    "between revisions": History(BETWEEN, ["r02", "r04", "r06"], FIRST),
    "who the tenant is": History(
        TELLERS, list(TELLERS), FIRST, env="import os\nos.environ['KEPT_TENANT'] = tenant.name"
    ),
}

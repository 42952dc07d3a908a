"""A script is cleared of writing rows only where it shows that it writes none."""

from __future__ import annotations

from pathlib import Path

import pytest

from tenantmig.history.row_changes import may_write_rows

HEAD = """
import sqlalchemy as sa
import myapp.types
from alembic import op
from sqlalchemy import text
from sqlalchemy.dialects import postgresql
revision = "r1"
"""
CLEAR = (
    "op.create_table('a', sa.Column('id', sa.Integer()), sa.Column('b', myapp.types.Guid(3)))",
    "with op.batch_alter_table('a') as batch:\n        batch.add_column(sa.Column('c', sa.Text()))",
    "op.execute('CREATE INDEX i ON a (id); ALTER TABLE a ADD b int;')",
    "op.execute('CREATE FUNCTION f() RETURNS int AS $$ INSERT INTO a VALUES (1) $$ LANGUAGE sql')",
    "op.execute(\"COMMENT ON TABLE a IS 'DELETE FROM a; INSERT'\")",
    "op.execute(sa.text('-- INSERT INTO a\\nDROP TABLE a'))",
    "op.alter_column('a', 'b', type_=postgresql.JSONB(), existing_type=sa.JSON())",
    "with op.get_context().autocommit_block():\n        op.create_index('i', 'a', ['id'])",
    "for name in ('a', 'b'):\n        op.drop_table(name)",
    "op.execute('CREATE TABLE c (id int GENERATED ALWAYS AS IDENTITY)')",
    "helper()",
    "op.add_column('a', sa.Column('b', sa.Text(), key='c'))",
    "pass",
    "op.create_table('a', sa.Column('t', sa.DateTime(), server_default=sa.text('now()')))",
    "op.execute(text('DROP TABLE a'))",
    "op.create_index(op.f('i'), 'a', [sa.func.lower(sa.column('b'))])",
    "if op.get_bind().dialect.name == 'postgresql':\n        op.drop_table('a')",
    "op.execute(\"COMMENT ON TABLE a IS E'x\\\\'; y'\")",
)
WRITES = (
    "op.bulk_insert(sa.table('a', sa.column('id')), [{'id': 1}])",
    "op.execute('INSERT INTO a VALUES (1)')",
    "op.execute(sa.text('UPDATE a SET id = 2'))",
    "op.execute('CREATE TABLE b AS SELECT 1')",
    "op.execute('ALTER TABLE a ADD b int; DELETE FROM a')",
    "op.execute('DROP TABLE b -- x\\n; WITH x AS (DELETE FROM a RETURNING 1) SELECT 1')",
    "op.execute('CREATE TABLE b AS (WITH x AS (SELECT 1) SELECT * FROM x)')",
    "op.execute('SELECT fill()')",
    'op.execute("DO $$ BEGIN DELETE FROM a; END $$")',
    "op.execute(f'UPDATE {1} SET a = 1')",
    "op.execute(sa.table('a').insert().values(id=1))",
    "op.execute(text)",
    "op.execute(myapp.types.text('DROP TABLE a'))",
    "op.get_bind().execute(sa.text('DROP TABLE a'), {'a': 1})",
    "sa.orm.Session(bind=op.get_bind()).add(1)",
    "print(myapp.types.fill(1))",
    "myapp.types.fill(op)",
    "getattr(op, 'bulk_' + 'insert')(1, [])",
    "op.run_async(print)",
    "op.execute(text('INSERT INTO a VALUES (1)'))",
    "list(map(op.execute, ['DELETE FROM a']))",
    "run = op.execute",
    "run = op.bulk_insert\n    run(1, [])",
    "list(map(myapp.types.fill, [1]))",
    "downgrade()",
    "again = downgrade\n    again()",
    "myapp.types.create_table('x')",
    "op.create_table('x', sa.Column('a', server_default=myapp.types.fill(op.get_bind())))",
    "op.create_table('x', sa.Column('a', server_default=fill(op.get_bind())))",
    "op.create_table('x', sa.Column('a', myapp.types.Guid(op.get_bind())))",
    "op.execute(\"COMMENT ON TABLE a IS E'a\\\\''; INSERT INTO a VALUES ('b')\")",
    "op.execute('SET standard_conforming_strings = off')",
    "op.execute('no SQL')",
    "op.execute('')\n    op = myapp\n    op.create_table('x')",
    "for op in (myapp,):\n        op.create_table('x')",
    "with myapp as op:\n        op.create_table('x')",
    "with myapp.types.filled() as batch:\n        batch.add_column(1)",
    "with myapp.types:\n        pass",
    "with op.batch_alter_table('a') as batch:\n        batch.execute('DELETE FROM a')",
    "with op.batch_alter_table('a') as batch:\n        batch = myapp\n        batch.add_column(1)",
    "op.get_context().connection.execute('DELETE FROM a')",
    "myapp.types.fill(helper)",
    "myapp.types.Seeder()",
    "sa.create_engine('x').connect().execute(sa.text('DROP TABLE a'))",
    "sa.event.listen(1, 'after_create', 2)",
    "op.create_table = myapp.types.fill",
    "helper = myapp.types.fill\n    helper()",
    "print(**{'key': 1})",
    "sorted([1], key=myapp.types.fill)",
    "with sa.x() as (op, y):\n        op.create_table('x')",
    "[op.create_table('x') for op in (myapp,)]",
    "x = op\n    x.create_table('a')",
)


def script(folder: Path, body: str) -> str:
    file = folder / "r1.py"
    helper = "def helper():\n    op.drop_index('i')\n"
    back = "def downgrade():\n    op.execute('DELETE FROM a')\n"
    file.write_text(f"{HEAD}\n{helper}\ndef upgrade():\n    {body}\n\n{back}")
    return str(file)


@pytest.mark.parametrize("body", CLEAR)
def test_what_writes_none(tmp_path: Path, body: str) -> None:
    may_write_rows.cache_clear()
    assert not may_write_rows(script(tmp_path, body))


@pytest.mark.parametrize("body", WRITES)
def test_what_may_write_some(tmp_path: Path, body: str) -> None:
    may_write_rows.cache_clear()
    assert may_write_rows(script(tmp_path, body))


def test_a_helper_of_the_script_and_bytecode(tmp_path: Path) -> None:
    file = Path(script(tmp_path, "helper()"))
    file.write_text(file.read_text().replace("op.drop_index('i')", "op.execute('DELETE FROM a')"))
    may_write_rows.cache_clear()
    assert may_write_rows(str(file))
    assert may_write_rows(str(file) + "c")


UPGRADE = "def upgrade():\n    pass\n"
UNPROVED = (
    "from app.x import upgrade, downgrade",
    "from app.x import downgrade",
    f"from app.x import seeded\n@seeded\n{UPGRADE}",
    f"from app.x import upgrade\n{UPGRADE}",
    f"{UPGRADE}{UPGRADE}",
    f"{UPGRADE}import app\nupgrade = app.fill",
    f"from app.x import *\n{UPGRADE}",
    "if True:\n    def upgrade():\n        pass\n",
    "async def upgrade():\n    pass\n",
    f"from app import seeded\n{UPGRADE}@seeded\ndef downgrade():\n    pass\n",
    f"from app import op\n{UPGRADE.replace('pass', 'op.create_table(1)')}",
    f"import app\napp.fill()\n{UPGRADE}",
)


@pytest.mark.parametrize("text", UNPROVED)
def test_a_script_that_shows_no_upgrade_of_its_own(tmp_path: Path, text: str) -> None:
    file = tmp_path / "r1.py"
    file.write_text(text)
    may_write_rows.cache_clear()
    assert may_write_rows(str(file))


def test_op_under_another_name(tmp_path: Path) -> None:
    file = tmp_path / "r1.py"
    file.write_text("from alembic import op as o\n\ndef upgrade():\n    o.drop_table('a')\n")
    may_write_rows.cache_clear()
    assert not may_write_rows(str(file))

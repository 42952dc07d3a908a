"""What leaves the transaction or the connection: commits, savepoints, connections of its own."""

from __future__ import annotations

from tests.faults.vocabulary.kind import kind

OWN = "INSERT INTO outside.log VALUES ('<<t>>', current_schema())"
URL = "os.environ['TENANTMIG_DATABASE_URL']"
KINDS = [
    kind(
        "a savepoint",
        """
with op.get_bind().begin_nested():
    op.execute("INSERT INTO results VALUES ('<<t>>', 1, 'nested')")
""",
    ),
    kind(
        "a savepoint rolled back",
        """
try:
    with op.get_bind().begin_nested():
        op.execute("INSERT INTO results VALUES ('<<t>>', 1, 'nested')")
        op.execute('INSERT INTO thing (id) SELECT 1 FROM thing WHERE id = 4')
except sa.exc.IntegrityError:
    op.execute("INSERT INTO results VALUES ('<<t>>', 2, 'caught')")
""",
    ),
    kind(
        "a COMMIT",
        "op.execute(\"INSERT INTO results VALUES ('<<t>>', 1, 'before')\")\n"
        "op.get_bind().commit()\n"
        "op.execute(\"INSERT INTO results VALUES ('<<t>>', 2, 'after')\")",
    ),
    kind(
        "an autocommit block",
        """
op.execute("INSERT INTO results VALUES ('<<t>>', 1, 'before')")
with op.get_context().autocommit_block():
    op.execute("INSERT INTO results VALUES ('<<t>>', 2, 'within')")
op.execute("INSERT INTO results VALUES ('<<t>>', 3, 'after')")
""",
    ),
    kind(
        "an engine's connection",
        f"""
with op.get_bind().engine.connect() as own:
    own.execute(sa.text("{OWN}"))
    own.commit()
""",
        weight=3,
    ),
    kind(
        "an engine's begin",
        f"with op.get_bind().engine.begin() as own:\n    own.execute(sa.text(\"{OWN}\"))",
    ),
    kind(
        "an engine of its own",
        f"""
engine = sa.create_engine({URL}.replace('postgresql:', 'postgresql+psycopg:'))
with engine.begin() as own:
    own.execute(sa.text("INSERT INTO outside.log VALUES ('<<t>>', 'engine')"))
engine.dispose()
""",
        head="import os",
    ),
    kind(
        "a psycopg connection",
        f"""
with psycopg.connect({URL}) as own:
    own.execute("INSERT INTO outside.log VALUES ('<<t>>', 'psycopg')")
""",
        head="import os\nimport psycopg",
        weight=4,
    ),
    kind(
        "a psycopg connection of a helper",
        "tell('<<t>>')",
        head="from <<helper>> import tell",
        helper=f"""
import os
import psycopg

def tell(what):
    with psycopg.connect({URL}) as own:
        own.execute("INSERT INTO outside.log VALUES (%s, 'helper')", [what])
""",
        weight=4,
    ),
    kind(
        "the driver's connection",
        """
cursor = op.get_bind().connection.cursor()
cursor.execute("INSERT INTO results VALUES ('<<t>>', %s, 'cursor')", [<<small>>])
""",
    ),
    kind(
        "the driver's connection, deep",
        """
op.get_bind().connection.driver_connection.execute(
    "INSERT INTO results VALUES ('<<t>>', 1, 'driver')")
""",
    ),
    kind(
        "sqlite3",
        """
with sqlite3.connect(os.environ['ORACLE_SQLITE']) as own:
    own.execute('CREATE TABLE IF NOT EXISTS log (what text)')
    own.execute("INSERT INTO log VALUES ('<<t>>')")
own.close()
""",
        head="import os\nimport sqlite3",
        weight=3,
    ),
    kind(
        "a thread",
        f"""
def write():
    with psycopg.connect({URL}) as own:
        own.execute("INSERT INTO outside.log VALUES ('<<t>>', 'thread')")
thread = threading.Thread(target=write)
thread.start()
thread.join()
""",
        head="import os\nimport threading\nimport psycopg",
    ),
    kind(
        "an ORM session that commits nothing",
        """
session = orm.Session(bind=op.get_bind())
session.execute(sa.text("INSERT INTO results VALUES ('<<t>>', 1, 'orm')"))
session.flush()
""",
        head="from sqlalchemy import orm",
    ),
    kind(
        "a table of another schema",
        "op.execute(\"INSERT INTO outside.log VALUES ('<<t>>', 'sql')\")",
    ),
    kind("a failure for a tenant with more rows", """
op.execute("INSERT INTO thing (id) SELECT 1 FROM thing WHERE id = 4")
""", is_last=True),
    kind("a failure for one tenant", """
if op.get_bind().execute(sa.text("SELECT 1 FROM thing WHERE name = 'vip'")).scalar():
    raise RuntimeError('vip')
""", is_last=True),
    kind("a failure for all", "op.execute('SELECT nowhere')", is_last=True),
]  # fmt: skip

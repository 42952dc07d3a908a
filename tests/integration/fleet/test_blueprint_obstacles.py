"""What keeps a history from births by blueprint: all that another birth may have otherwise."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from tests.fixtures.command import Project
from tests.fixtures.database import Database
from tests.fixtures.history import write_history
from tests.fixtures.rollouts import OpenFleet

READS = "op.get_bind().execute(sa.text('SELECT count(*) FROM t')).scalar()"
"""A script that reads a row is replayed for nobody."""
OBSTACLES = {
    "values of Python's chance": (
        "revision o1: it reads the clock or random numbers",
        """
import uuid
op.execute(f"INSERT INTO t (n) VALUES ('{uuid.uuid4()}')")
""",
    ),
    "a later moment": (
        "works something out from now",
        """op.execute("INSERT INTO t (at) VALUES (now() + interval '30 days')")""",
    ),
    "a moment without a default": (
        "two births have different values in t.at",
        """op.execute("INSERT INTO t (at) VALUES (now())")""",
    ),
    "today": ("current_date", """op.execute("INSERT INTO t (day) VALUES (CURRENT_DATE)")"""),
    "today by default": (
        "a value of t.made may be made by the clock",
        """
op.execute("INSERT INTO t (n) VALUES ('x')")
op.execute("ALTER TABLE t ADD made date DEFAULT CURRENT_DATE")
""",
    ),
    "an hour that a trigger keeps": (
        "works something out from now",
        """
op.execute("CREATE FUNCTION hour() RETURNS trigger LANGUAGE plpgsql AS"
           " 'BEGIN NEW.n = extract(hour FROM now()); RETURN NEW; END'")
op.execute("CREATE TRIGGER h BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION hour()")
op.execute("INSERT INTO t DEFAULT VALUES")
""",
    ),
    "a key to chance": (
        "two births have different values in c.p",
        """
op.execute("CREATE TABLE c (id uuid DEFAULT gen_random_uuid(), p uuid)")
op.execute("INSERT INTO c DEFAULT VALUES")
op.execute("INSERT INTO c (p) SELECT id FROM c")
""",
    ),
    "rows of others": (
        "reads common.plans",
        """op.execute("INSERT INTO t (n) SELECT name FROM common.plans")""",
    ),
    "rows of others that a function reads": (
        "reads common.plans",
        """op.execute("INSERT INTO t (n) SELECT common.newest()")""",
    ),
    "rows of others beside a foreign key to them": (
        "reads common.plans",
        """
op.execute("CREATE TABLE k (n text REFERENCES common.plans)")
op.execute("INSERT INTO t (n) SELECT name FROM common.plans")
""",
    ),
    "rows for others": (
        "touches common.told",
        """op.execute("INSERT INTO common.told VALUES ('x')")""",
    ),
    "a cast": (
        "a cast from tenant.mood",
        """
op.execute("CREATE TYPE mood AS ENUM ('a')")
op.execute("CREATE CAST (mood AS text) WITH INOUT")
""",
    ),
    "settings": (
        "pg_settings",
        """op.execute("INSERT INTO t (n) SELECT setting FROM pg_settings LIMIT 1")""",
    ),
    "the schema's name": (
        "the schema's name",
        """op.execute("INSERT INTO t (n) VALUES (current_schema())")""",
    ),
    "a decision by the schema's name": (
        "the schema's name",
        """
op.execute("DO $$ BEGIN IF current_schema() = 'c' THEN CREATE TABLE more (); END IF; END $$")
""",
    ),
    "a variable of the environment": (
        "it uses os.environ",
        """
import os
op.execute(f"INSERT INTO t (n) VALUES ('{os.environ.get('HOME')}')")
""",
    ),
    "a file": ("it writes a file", "open('/dev/null', 'w').close()"),
    "the tenant's name": (
        "depends on the tenant",
        """
found = len(op.get_context().config.attributes)
op.execute(f"CREATE TABLE more (n int DEFAULT {found})")
""",
    ),
    "what is read outside a transaction": (
        "outside a transaction",
        """
with op.get_context().autocommit_block():
    op.execute("INSERT INTO t (n) SELECT name FROM common.plans")
""",
    ),
}


@pytest.mark.parametrize("case", OBSTACLES)
def test_what_another_birth_may_have_otherwise_keeps_to_the_chain(
    case: str, tmp_path: Path, database: Database, open_fleet: OpenFleet
) -> None:
    reason, script = OBSTACLES[case]
    database.execute("CREATE SCHEMA common")
    database.execute("CREATE TABLE common.plans (name text PRIMARY KEY)")
    database.execute("CREATE TABLE common.told (name text)")
    database.execute(
        "CREATE FUNCTION common.newest() RETURNS text LANGUAGE plpgsql AS"
        " 'BEGIN RETURN (SELECT max(name) FROM common.plans); END'"
    )
    table = "op.execute('CREATE TABLE t (n text, at timestamptz, day date)')\n"
    history = write_history(tmp_path / "history", ("o1", f"{table}{script}\n{READS}"))
    Project(tmp_path, database.url, history)
    report = open_fleet().onboard(["a", "b", "c", "d"])
    assert report.is_complete, [tenant.error for tenant in report.tenants]
    assert reason in report.obstacles["blueprint"]
    assert "scratch" not in report.obstacles["blueprint"]
    assert Counter(tenant.engine for tenant in report.tenants) == {"alembic": 4}

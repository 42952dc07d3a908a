"""Births by blueprint: what the chain makes, whatever its scripts do on the way; else the chain."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from psycopg import sql

from tenantmig import Fleet, RunReport
from tenantmig.drift import blueprint_reading, blueprint_rows
from tenantmig.postgres.parsing import parse
from tests.fixtures.command import Project
from tests.fixtures.database import Database
from tests.fixtures.entities import PLAIN
from tests.fixtures.history import write_history
from tests.fixtures.oracles import catalog, content
from tests.fixtures.rollouts import OpenFleet
from tests.fixtures.sample_schema import ODD_NAMES, SAMPLE

WITNESSES = ["w_1", "w_2"]
READS = "op.get_bind().execute(sa.text('SELECT count(*) FROM pg_class')).scalar()"
"""A script that reads a row is replayed for nobody."""
OWN_VERSION = """
    CREATE TABLE alembic_version (version_num varchar(32) PRIMARY KEY);
    INSERT INTO alembic_version VALUES ('a1');
"""
MORE = r"""
    CREATE TABLE holes (a int, b text, c int, d numeric(8, 2), e int);
    ALTER TABLE holes DROP COLUMN b, DROP COLUMN e;
    ALTER TABLE holes ADD f bit(3) DEFAULT B'101', ADD CHECK (a > 0);
    INSERT INTO holes (a, c) VALUES (1, NULL), (2, 7);
    CREATE TABLE all_gone (a int); ALTER TABLE all_gone DROP COLUMN a;
    INSERT INTO all_gone DEFAULT VALUES; INSERT INTO all_gone DEFAULT VALUES;
    CREATE TABLE texts (t text, a text[], b bytea, j jsonb, at timestamptz);
    INSERT INTO texts VALUES (E'tab\tline\nback\\slash''quote', '{"a,b",NULL}', '\x00ff',
        '{"k": [1]}', '2001-02-03 04:05:06.789+09'), ('\N', '{}', '', 'null', NULL),
        ('', NULL, NULL, NULL, 'infinity');
    CREATE TABLE seeds (id bigint GENERATED ALWAYS AS IDENTITY (START 7), n int,
        made timestamptz DEFAULT now(), at timestamp DEFAULT (now() AT TIME ZONE 'utc'),
        u uuid DEFAULT gen_random_uuid());
    INSERT INTO seeds (n) SELECT generate_series(1, 250);
    SELECT setval('tickets', 36, false);
    CREATE UNLOGGED TABLE quick (a int) WITH (fillfactor = 70);
    CREATE TABLE bookings (during int4range, EXCLUDE USING gist (during WITH &&));
    CREATE TABLE tree (id int, PRIMARY KEY (id)) PARTITION BY RANGE (id);
    CREATE TABLE tree_1 PARTITION OF tree FOR VALUES FROM (0) TO (10) PARTITION BY LIST (id);
    CREATE TABLE tree_1_1 PARTITION OF tree_1 DEFAULT;
    CREATE INDEX tree_index ON tree ((id + 1)); INSERT INTO tree SELECT generate_series(0, 9);
    CREATE VIEW z_first AS SELECT id FROM users; CREATE VIEW a_last AS TABLE z_first;
    CREATE MATERIALIZED VIEW m_a AS SELECT count(*) AS n FROM tree;
    CREATE MATERIALIZED VIEW a_m AS TABLE m_a;
    CREATE PROCEDURE proceed(INOUT a int) LANGUAGE plpgsql SECURITY DEFINER AS 'BEGIN END';
    CREATE CONSTRAINT TRIGGER late AFTER UPDATE OF name ON users DEFERRABLE FOR EACH ROW
        EXECUTE FUNCTION touch();
    ALTER TABLE users DISABLE TRIGGER tr; ALTER TABLE users FORCE ROW LEVEL SECURITY;
    ALTER TABLE users REPLICA IDENTITY FULL, ALTER name SET STORAGE EXTERNAL,
        ALTER id SET STATISTICS 7;
    CREATE COLLATION own_order FROM "POSIX";
    CREATE TEXT SEARCH DICTIONARY own_words (TEMPLATE = simple);
    CREATE TEXT SEARCH CONFIGURATION own_search (COPY = simple);
    ALTER TEXT SEARCH CONFIGURATION own_search ALTER MAPPING FOR word WITH own_words;
    CREATE SEQUENCE cycled AS smallint MINVALUE -3 MAXVALUE 3 CYCLE CACHE 2;
    COMMENT ON FUNCTION touch() IS 'touch'; COMMENT ON TYPE mood IS 'mood';
    COMMENT ON INDEX tree_index IS 'tree'; COMMENT ON DOMAIN positive IS 'positive';
    GRANT SELECT (name) ON users TO PUBLIC; GRANT ALL ON cycled TO clerk;
    REVOKE EXECUTE ON FUNCTION touch() FROM PUBLIC; GRANT SELECT ON users, holes TO clerk;
    REVOKE UPDATE ON holes FROM CURRENT_USER; ALTER TABLE quick OWNER TO clerk;
"""
KINDS = SAMPLE.replace(OWN_VERSION.strip("\n"), "") + MORE
BY_DEFAULT = {"seeds": ("made", "at", "u")}
POSITIONS = """
    SELECT relname::text FROM pg_class WHERE relnamespace = %s::regnamespace AND relkind = 'S'
     ORDER BY 1
"""
NUMBERS = """
    SELECT relname::text, attnum, attname::text, attisdropped FROM pg_attribute
      JOIN pg_class ON pg_class.oid = attrelid
     WHERE relnamespace = %s::regnamespace AND attnum > 0 AND relkind IN ('r', 'p', 'v', 'm')
     ORDER BY 1, 2
"""
RIGHTS = """
    SELECT relname::text, relowner::regrole::text, relacl::text FROM pg_class
     WHERE relnamespace = %s::regnamespace ORDER BY 1
"""
"""Beside what the oracle of the catalog tells."""


@pytest.fixture
def clerk(database: Database) -> Iterator[str]:
    """A role that is granted things."""
    name = f"clerk_{database.name}"[:63]
    database.execute(f"CREATE ROLE {name}")
    yield name
    database.execute(f"DROP OWNED BY {name}")
    database.execute(f"DROP ROLE {name}")


def everything(database: Database, schema: str) -> dict[str, Any]:
    """All that a schema is and holds, but values that defaults made."""
    quoted = sql.Identifier(schema).as_string()
    with database.connect() as connection:
        rows = content(connection, schema)
        for table, columns in BY_DEFAULT.items():
            if table in rows:
                rows[table] = _without(connection, schema, table, columns)
        found: dict[str, Any] = {"catalog": catalog(connection, schema), "rows": rows}
    found |= {
        "numbers": database.fetch(NUMBERS, [quoted]),
        "rights": database.fetch(RIGHTS, [quoted]),
    }
    found["positions"] = [
        (name, database.fetch(f'SELECT last_value, is_called FROM {quoted}."{name}"'))
        for (name,) in database.fetch(POSITIONS, [quoted])
    ]
    return found


def _without(connection: Any, schema: str, table: str, columns: tuple[str, ...]) -> list[str]:
    rows = connection.execute(
        sql.SQL("SELECT to_jsonb(x) - %s::text[] FROM {} AS x ORDER BY 1").format(
            sql.Identifier(schema, table)
        ),
        [list(columns)],
    )
    return [str(row) for row in rows]


def onboarded(fleet: Fleet, *names: str) -> RunReport:
    """Onboard two witnesses and these tenants; all arrive."""
    report = fleet.onboard([*WITNESSES, *names])
    assert report.is_complete, [tenant.error for tenant in report.tenants]
    return report


def engines(report: RunReport) -> dict[str | None, int]:
    return Counter(tenant.engine for tenant in report.tenants)


def run(text: str) -> str:
    """A script that sends the statements of a text, one by one."""
    raw = text.encode()
    spans = [(one.stmt_location, one.stmt_len) for one in parse(text).stmts]
    sent = [raw[start : start + length if length else None].decode() for start, length in spans]
    return f"for statement in {sent!r}:\n    op.get_bind().exec_driver_sql(statement)"


def as_plain(tmp_path: Path, database: Database, history: Path) -> dict[str, Any]:
    """What plain Alembic makes of the same scripts."""
    plain = tmp_path / "plain"
    shutil.copytree(history / "versions", plain / "versions")
    (plain / "env.py").write_text(PLAIN.format(schema="golden"))
    database.execute("CREATE SCHEMA golden")
    (tmp_path / "project").mkdir()
    Project(tmp_path / "project", database.url, plain).alembic("upgrade", "head")
    return everything(database, "golden")


def test_every_kind_of_object_and_row_is_what_plain_alembic_makes(
    tmp_path: Path, database: Database, open_fleet: OpenFleet, clerk: str
) -> None:
    statements = KINDS.replace("clerk", clerk)
    history = write_history(tmp_path / "history", ("k1", run(statements)), ("k2", READS))
    Project(tmp_path, database.url, history)
    report = onboarded(open_fleet(names="wide"), *ODD_NAMES)
    assert set(report.obstacles) == {"k1", "k2"}, report.obstacles
    assert engines(report) == {"alembic": 2, "blueprint": len(ODD_NAMES)}
    expected = as_plain(tmp_path, database, history)
    for name in ODD_NAMES:
        found = everything(database, name)
        assert {k: v for k, v in found.items() if v != expected[k]} == {}, name


FAULTS: dict[str, tuple[Any, str, Any, str]] = {
    "an index": (
        blueprint_reading.Sorting,
        "parts",
        lambda plain: lambda s, one: () if one.kind == "index_stmt" else plain(s, one),
        "another one: index t by_n differs",
    ),
    "a character": (
        blueprint_rows,
        "written",
        lambda plain: lambda cell: plain("y" if cell == "x" else cell),
        "another one: two births have different values in t.n",
    ),
    "a column's number": (
        blueprint_reading,
        "with_holes",
        lambda plain: lambda text, _: [text],
        "another one: two births have different columns",
    ),
}
"""Faults of a program or of ours, which lose something both times: only the proof can see them."""


@pytest.mark.parametrize("fault", FAULTS)
def test_a_text_that_loses_something_is_found_by_the_proof(
    fault: str,
    tmp_path: Path,
    database: Database,
    open_fleet: OpenFleet,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    place, name, faulty, reason = FAULTS[fault]
    monkeypatch.setattr(place, name, faulty(getattr(place, name)))
    table = """
        CREATE TABLE t (n text, gone int, m text); INSERT INTO t VALUES ('x', 1, 'y');
        ALTER TABLE t DROP COLUMN gone; CREATE INDEX by_n ON t (n)
    """
    history = write_history(tmp_path / "history", ("f1", f"{run(table)}\n{READS}"))
    Project(tmp_path, database.url, history)
    report = onboarded(open_fleet(), "c", "d")
    assert reason in report.obstacles["blueprint"]
    assert engines(report) == {"alembic": 4}
    assert everything(database, "c") == everything(database, WITNESSES[0])

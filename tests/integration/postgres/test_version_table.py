"""Version tables: read for a fleet in few statements, and written like Alembic's own."""

from __future__ import annotations

from contextlib import ExitStack
from typing import Any

import psycopg
import pytest
from psycopg import sql

from tenantmig.postgres import version_table
from tenantmig.postgres.version import Version
from tenantmig.postgres.version_table import read_versions
from tenantmig.postgres.version_writing import write_version
from tests.fixtures.command import Project
from tests.fixtures.database import Database, Row
from tests.fixtures.oracles import catalog
from tests.fixtures.sample_schema import ODD_NAMES

TABLE = "alembic_version"


class Counting(psycopg.Connection[Row]):
    """A connection that counts its statements and may do something between them."""

    statements = 0
    before: dict[int, str]
    other: psycopg.Connection[Row]

    def execute(self, query: Any, *args: Any, **more: Any) -> psycopg.Cursor[Row]:
        self.statements += 1
        if order := self.__dict__.get("before", {}).get(self.statements):
            self.other.execute(order)
        return super().execute(query, *args, **more)


def _make(database: Database, schema: str, columns: str | None, *rows: str) -> None:
    connection = database.connect()
    connection.execute(sql.SQL("CREATE SCHEMA {}").format(sql.Identifier(schema)))
    if columns is not None:
        table = sql.Identifier(schema, TABLE)
        connection.execute(sql.SQL("CREATE TABLE {} ").format(table) + sql.SQL(columns))
        for row in rows:
            connection.execute(sql.SQL("INSERT INTO {} VALUES (%s)").format(table), [row])


def _read(database: Database, *schemas: str) -> dict[str, Version]:
    return read_versions(database.connect(), schemas, TABLE)


def _make_600(database: Database) -> list[str]:
    """Make the schemas t0 to t599, each at a revision of its own."""
    for start in range(0, 600, 100):  # in several transactions: each table takes locks
        database.execute(
            f"DO $$ BEGIN FOR i IN {start}..{start + 99} LOOP"
            " EXECUTE format('CREATE SCHEMA t%s', i);"
            " EXECUTE format('CREATE TABLE t%s.alembic_version (version_num varchar(32))', i);"
            " EXECUTE format('INSERT INTO t%s.alembic_version VALUES (%L)', i, 'r' || i);"
            " END LOOP; END $$"
        )
    return [f"t{number}" for number in range(600)]


COLUMN = "(version_num varchar(32) NOT NULL PRIMARY KEY)"


@pytest.mark.parametrize(("chunk", "most"), [(None, 6), (100, 12), (600, 2), (599, 4)])
def test_600_schemas_are_read_in_two_statements_a_chunk(
    database: Database, monkeypatch: pytest.MonkeyPatch, chunk: int | None, most: int
) -> None:
    if chunk:
        monkeypatch.setattr(version_table, "CHUNK", chunk)
    schemas = _make_600(database)
    with Counting.connect(database.url, autocommit=True) as connection:
        versions = read_versions(connection, schemas, TABLE)
        assert connection.statements <= most
    assert list(versions) == schemas
    assert versions == {f"t{number}": Version((f"r{number}",)) for number in range(600)}


def test_several_connections_share_the_schemas(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(version_table, "PART", 100)
    schemas = _make_600(database)
    with ExitStack() as opened:
        first, *helpers = [
            opened.enter_context(Counting.connect(database.url, autocommit=True)) for _ in range(3)
        ]
        versions = read_versions(first, schemas, TABLE, helpers)
        assert all(reader.statements > 0 for reader in (first, *helpers))
        assert sum(reader.statements for reader in (first, *helpers)) == 2 * 6
    assert list(versions) == schemas
    assert versions == {f"t{number}": Version((f"r{number}",)) for number in range(600)}


def test_a_helper_that_loses_its_connection_is_done_without(database: Database) -> None:
    _make(database, "acme", COLUMN, "r1")
    first, helper = database.connect(), database.connect()
    helper.close()
    schemas = ["acme", *(f"missing{number}" for number in range(2000))]
    assert read_versions(first, schemas, TABLE, [helper])["acme"] == Version(("r1",))
    first.close()
    with pytest.raises(psycopg.OperationalError):
        read_versions(first, schemas, TABLE, [helper])


def test_no_schemas_take_no_statement(database: Database) -> None:
    with Counting.connect(database.url, autocommit=True) as connection:
        assert read_versions(connection, [], TABLE) == {}
        assert connection.statements == 0


def test_sound_versions(database: Database) -> None:
    names = [*ODD_NAMES, "fresh", "branches", "partitioned"]
    for name in ODD_NAMES:
        _make(database, name, COLUMN, "a1")
    _make(database, "fresh", COLUMN)
    _make(database, "branches", COLUMN, "b2", "a1")
    _make(database, "partitioned", "(version_num text) PARTITION BY LIST (version_num)")
    expected = dict.fromkeys(ODD_NAMES, Version(("a1",)))
    expected |= {"fresh": Version(), "branches": Version(("a1", "b2")), "partitioned": Version()}
    assert _read(database, *names) == expected


def test_each_problem_is_found_and_keeps_no_other_tenant(database: Database) -> None:
    _make(database, "good", COLUMN, "a1")
    _make(database, "bare", None)
    _make(database, "foreign", "(version int)", "1")
    _make(database, "emptied", COLUMN)
    database.execute(
        "CREATE TABLE emptied.users (); CREATE SCHEMA view;"
        "CREATE VIEW view.alembic_version AS SELECT 'a1'::text AS version_num"
    )
    versions = _read(database, "good", "gone", "bare", "foreign", "emptied", "view")
    problems = {schema: version.problem or "" for schema, version in versions.items()}
    assert problems.pop("good") == ""
    for schema, reason in {
        "gone": "schema does not exist",
        "bare": "no version table (alembic_version); ",
        "foreign": "no column version_num",
        "emptied": "empty, but the schema has tables",
        "view": "no version table",
    }.items():
        assert reason in problems[schema]
        assert versions[schema].heads == ()
        assert versions[schema].is_schema_missing == (schema == "gone")
    assert "`tenantmig stamp" in problems["bare"]
    assert "`tenantmig stamp" in problems["emptied"]


def test_a_version_of_another_type_is_the_problem_of_one_tenant(database: Database) -> None:
    _make(database, "good", COLUMN, "a1")
    _make(database, "number", "(version_num int)", "1")
    versions = _read(database, "good", "number")
    assert versions["good"] == Version(("a1",))


def test_a_table_that_may_not_be_read_is_the_problem_of_one_tenant(database: Database) -> None:
    role = f"reader_{database.name}"
    for schema in ("good", "locked"):
        _make(database, schema, COLUMN, "a1")
    database.execute(
        f"CREATE ROLE {role}; GRANT USAGE ON SCHEMA good, locked TO {role};"
        f" GRANT SELECT ON good.alembic_version TO {role}"
    )
    try:
        connection = database.connect()
        connection.execute(f"SET ROLE {role}")
        versions = read_versions(connection, ["good", "locked"], TABLE)
        assert versions["good"] == Version(("a1",))
        assert versions["locked"].problem
    finally:
        database.execute(f"DROP OWNED BY {role}; DROP ROLE {role}")


def test_a_schema_dropped_between_the_statements_is_missing(database: Database) -> None:
    for schema in ("acme", "beta"):
        _make(database, schema, COLUMN, "a1")
    with Counting.connect(database.url, autocommit=True) as connection:
        connection.other = database.connect()
        connection.before = {2: "DROP SCHEMA beta CASCADE"}
        versions = read_versions(connection, ["acme", "beta"], TABLE)
    assert versions["acme"] == Version(("a1",))
    assert versions["beta"].is_schema_missing


@pytest.mark.parametrize("schema", ODD_NAMES)
def test_a_written_version_is_read_back(database: Database, schema: str) -> None:
    _make(database, schema, None)
    connection = database.connect()
    for heads in [("b2", "a1"), ("c3",), ()]:
        with connection.transaction():
            write_version(connection, schema, TABLE, heads)
        assert read_versions(connection, [schema], TABLE)[schema] == Version(tuple(sorted(heads)))


def test_a_written_version_is_rolled_back_with_its_transaction(database: Database) -> None:
    _make(database, "acme", COLUMN, "a1")
    connection = database.connect()
    with connection.transaction(force_rollback=True):
        write_version(connection, "acme", TABLE, ["b2"])
    assert _read(database, "acme")["acme"] == Version(("a1",))


def test_the_table_is_the_one_that_alembic_makes(project: Project, database: Database) -> None:
    database.execute("CREATE SCHEMA acme; CREATE SCHEMA ours")
    project.alembic("-x", "tenant=acme", "stamp", "0001")
    connection = database.connect()
    write_version(connection, "ours", TABLE, ["0001"])
    assert catalog(connection, "ours") == catalog(connection, "acme")

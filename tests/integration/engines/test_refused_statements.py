"""A statement of an autocommit_block that the server refused: failed, or in doubt if it must be."""

from __future__ import annotations

from pathlib import Path

import pytest

from tenantmig import Outcome
from tests.fixtures.command import Project
from tests.fixtures.database import Database
from tests.fixtures.history import write_history
from tests.fixtures.rollouts import OpenFleet, by_name

CREATE = (
    "r1",
    """op.execute('CREATE TABLE thing (id int, word text)')
op.execute('INSERT INTO thing VALUES (0), (1), (1)')
op.execute('CREATE INDEX taken ON thing (word)')
op.execute('CREATE PROCEDURE half() LANGUAGE plpgsql AS'
           ' $$ BEGIN DELETE FROM thing; COMMIT; PERFORM 1/0; END $$')""",
)
REFUSED = {
    "syntax": ("UPDAET thing SET id = 2", "42601"),
    "syntax_later": ("UPDATE thing SET id = 2; DROP TABEL thing", "42601"),
    "column": ("UPDATE thing SET nothing = 1", "42703"),
    "division": ("UPDATE thing SET id = id / 0", "22012"),
    "constraint": ("CREATE UNIQUE INDEX twice ON thing (id)", "23505"),
    "several": ("UPDATE thing SET id = 2; UPDATE thing SET id = id / 0", "22012"),
    "several_one_atomic": ("UPDATE thing SET id = 2; VACUUM thing", "25001"),
    "reading": ("SELECT 1 / (id - id) FROM thing", "22012"),
    "reading_column": ("SELECT nothing FROM thing", "42703"),
    "index_column": ("CREATE INDEX CONCURRENTLY ix ON thing (nothing)", "42703"),
    "index_class": ("CREATE INDEX CONCURRENTLY ix ON thing (word nothing_ops)", "42704"),
    "index_table": ("CREATE INDEX CONCURRENTLY ix ON nothing (id)", "42P01"),
    "index_taken": ("CREATE INDEX CONCURRENTLY taken ON thing (id)", "42P07"),
    "index_twice": ("CREATE UNIQUE INDEX CONCURRENTLY ix ON thing (id)", "23505"),
    "index_division": ("CREATE INDEX CONCURRENTLY ix ON thing ((1 / id))", "22012"),
    "unnamed": ("CREATE INDEX CONCURRENTLY ON thing (nothing)", "42703"),
    "no_index": ("DROP INDEX CONCURRENTLY nothing", "42704"),
    "two_indexes": ("DROP INDEX CONCURRENTLY taken, nothing", "0A000"),
    "reindex": ("REINDEX INDEX CONCURRENTLY nothing", "42P01"),
    "altered": ("ALTER TABLE thing ALTER id TYPE int USING 1 / id", "22012"),
    "detached": ("ALTER TABLE nothing DETACH PARTITION x CONCURRENTLY", "42P01"),
    "value": ("ALTER TYPE nothing ADD VALUE 'x'", "42704"),
    "block": ("DO $$ BEGIN UPDATE thing SET id = 2; PERFORM 1/0; END $$", "22012"),
    "block_syntax": ("DO $$ BEGIN UPDAET thing SET id = 2; END $$", "42601"),
    "procedure": ("CALL nothing()", "42883"),
    "vacuum": ("VACUUM nothing", "42P01"),
    "set_": ("SET nothing = 1", "42704"),
}
"""A statement, and its SQLSTATE: nothing of it is there."""
UNKNOWN = {
    "half_a_block": ("DO $$ BEGIN DELETE FROM thing; COMMIT; PERFORM 1/0; END $$", "22012"),
    "half_by_syntax": ("DO $$ BEGIN DELETE FROM thing; COMMIT; EXECUTE 'x'; END $$", "42601"),
    "half_a_call": ("CALL half()", "22012"),
    "block_that_calls": ("DO $$ BEGIN CALL half(); END $$", "22012"),
    "in_a_block": ("DO $a$ BEGIN DO $$ BEGIN CALL half(); END $$; END $a$", "22012"),
    "unnamed_twice": ("CREATE UNIQUE INDEX CONCURRENTLY ON thing (id)", "23505"),
}
"""A statement that leaves something, or may."""
SCRIPT = f"""
statement = {dict(REFUSED, **UNKNOWN)}[op.get_bind().dialect.default_schema_name][0]
with op.get_context().autocommit_block():
    op.execute('SELECT 1')
    op.get_bind().exec_driver_sql(statement)
"""


@pytest.mark.slow
@pytest.mark.parametrize("version", [16, 18])
def test_a_refused_statement_has_failed_unless_its_effect_is_unknown(
    tmp_path: Path, request: pytest.FixtureRequest, open_fleet: OpenFleet, version: int
) -> None:
    database: Database = request.getfixturevalue("database" if version == 18 else "database16")
    history = write_history(tmp_path / "history", CREATE, ("r2", SCRIPT))
    Project(tmp_path, database.url, history)
    settings = {"engine": "alembic", "parallel": 2, "canary": "0", "max_failures": "99"}
    fleet = open_fleet(database_url=database.url, **settings)
    fleet.onboard(sorted(REFUSED | UNKNOWN), "r1")
    found = by_name(fleet.upgrade())
    fleet.close()
    told = {name: (found[name].outcome, found[name].sqlstate) for name in found}
    wanted = {name: (Outcome.FAILED, code) for name, (_, code) in REFUSED.items()}
    wanted |= {name: (Outcome.IN_DOUBT, code) for name, (_, code) in UNKNOWN.items()}
    assert told == wanted
    assert not [name for name in REFUSED if "is committed" in str(found[name].error)]
    parts = {schema for (schema,) in database.fetch("SELECT schema FROM tenantmig.part")}
    assert parts == set(UNKNOWN)
    for name in REFUSED:
        rows = database.fetch(f'SELECT id FROM "{name}".thing ORDER BY 1')
        indexes = database.fetch(
            "SELECT indexrelid FROM pg_index JOIN pg_class AS c ON c.oid = indrelid"
            " WHERE relnamespace = %s::text::regnamespace AND relname = 'thing'",
            [name],
        )
        assert (rows, len(indexes)) == ([(0,), (1,), (1,)], 1), name
    database.execute("DROP INDEX unnamed_twice.thing_id_idx")

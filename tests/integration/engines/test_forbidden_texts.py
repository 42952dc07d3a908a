"""Texts that would end or begin a transaction are refused before they run, by every way."""

from __future__ import annotations

from pathlib import Path

import pytest

from tenantmig import Outcome, Selection
from tests.fixtures.command import Project
from tests.fixtures.database import Database
from tests.fixtures.history import write_history
from tests.fixtures.rollouts import OpenFleet, by_name

CREATE = (
    "r1",
    """op.execute('CREATE TABLE counter (n int)')
op.execute('INSERT INTO counter VALUES (0)')""",
)
COUNT = "op.execute('UPDATE counter SET n = n + 1')\n"
BLOCK = "with op.get_context().autocommit_block():\n    "
REFUSED = {
    "commit": ("op.execute('COMMIT')", "COMMIT", "autocommit_block"),
    "lower": ("op.execute(sa.text('  commit work;  '))", "COMMIT", "autocommit_block"),
    "comment": ("op.execute('/* now */ -- yes\\n  End')", "COMMIT", "autocommit_block"),
    "driver_sql": ("bind.exec_driver_sql('ROLLBACK')", "ROLLBACK", "autocommit_block"),
    "abort": ("op.execute('ABORT')", "ROLLBACK", "autocommit_block"),
    "begin": ("op.execute('BEGIN')", "BEGIN", "autocommit_block"),
    "start": ("op.execute('START TRANSACTION READ ONLY')", "START", "autocommit_block"),
    "several": ("op.execute('UPDATE counter SET n = 2; COMMIT; BEGIN')", "COMMIT", "commit()"),
    "two_phases": ("op.execute(\"PREPARE TRANSACTION 'x'\")", "PREPARE", "autocommit_block"),
    "prepared": ("op.execute(\"COMMIT PREPARED 'x'\")", "COMMIT PREPARED", "autocommit_block"),
    "chain": ("op.execute('COMMIT AND CHAIN')", "COMMIT", "autocommit_block"),
    "savepoint": ("op.execute('SAVEPOINT a')", "SAVEPOINT", "begin_nested"),
    "release": ("op.execute('SAVEPOINT a; RELEASE a')", "SAVEPOINT", "begin_nested"),
    "rollback_to": ("op.execute('ROLLBACK TO a')", "ROLLBACK TO", "begin_nested"),
    "in_a_block": (BLOCK + "op.execute('COMMIT')", "COMMIT", "autocommit_block"),
    "begin_in_a_block": (BLOCK + "op.execute('BEGIN; SELECT 1; COMMIT')", "BEGIN", "commit()"),
    "cursor": ("bind.connection.cursor().execute('COMMIT')", "COMMIT", "autocommit_block"),
    "cursor_bytes": ("bind.connection.cursor().execute(b'commit')", "COMMIT", "autocommit_block"),
    "driver": ("bind.connection.driver_connection.execute('COMMIT')", "COMMIT", "commit()"),
    "many": ("bind.connection.cursor().executemany('COMMIT', [()])", "COMMIT", "commit()"),
    "beside": (
        "with bind.engine.connect() as other:\n    other.exec_driver_sql('BEGIN')",
        "BEGIN",
        "autocommit_block",
    ),
    "role": ("op.execute('SET SESSION AUTHORIZATION postgres')", "SET SESSION", "SET LOCAL ROLE"),
    "own_role": ("op.execute('RESET SESSION AUTHORIZATION')", "SET SESSION", "SET LOCAL ROLE"),
    "role_by_name": (
        "op.execute(\"SET LOCAL session_authorization = 'postgres'\")",
        "SET SESSION",
        "SET LOCAL ROLE",
    ),
    "caught": (
        "try:\n    op.execute('COMMIT')\nexcept RuntimeError:\n    pass",
        "COMMIT",
        "autocommit_block",
    ),
}
"""A script, the statement that is named, and what to use instead."""
ALLOWED = {
    "words": "op.execute(\"UPDATE counter SET n = n WHERE 'COMMIT; BEGIN' <> 'end'\")",
    "function": "op.execute('CREATE FUNCTION f() RETURNS int LANGUAGE plpgsql AS"
    " $$ BEGIN RETURN 1; END $$')",
    "atomic": "op.execute('CREATE FUNCTION f() RETURNS int BEGIN ATOMIC SELECT 1; END')",
    "procedure": "op.execute('CREATE PROCEDURE p() LANGUAGE plpgsql AS $$ BEGIN COMMIT; END $$')",
    "plan": "op.execute('PREPARE p AS SELECT 1')",
    "column": "op.execute('ALTER TABLE counter ADD \"commit\" int')",
    "nested": "with bind.begin_nested():\n    op.execute('SELECT 1')",
    "nested_by_driver": "with bind.connection.driver_connection.transaction():\n"
    "    op.execute('SELECT 1')",
    "percent": "op.execute(sa.text(\"SELECT 'end' LIKE 'e%' AND :x = 'start'\")"
    ".bindparams(x='start'))",
}
DEEP = "COMMIT; SELECT 1 WHERE 1 = 1 " + "+ 1 " * 300
"""A text that is too deep for the parser."""
RAW = "bind.connection.driver_connection.pgconn.exec_(b'COMMIT')"


def bodies() -> dict[str, str]:
    """What r2 does for each tenant; it counts before, which must not stay."""
    found = {name: COUNT + body for name, (body, _, _) in REFUSED.items()}
    found |= {name: COUNT + body for name, body in ALLOWED.items()}
    return found | {"deep": COUNT + f"op.execute({DEEP!r})\n", "raw": COUNT + RAW}


SCRIPT = f"bind = op.get_bind()\nexec({bodies()!r}[bind.dialect.default_schema_name])"


@pytest.mark.slow
@pytest.mark.parametrize("version", [16, 18])
def test_a_transaction_as_text_is_refused_before_it_runs(
    tmp_path: Path, request: pytest.FixtureRequest, open_fleet: OpenFleet, version: int
) -> None:
    database: Database = request.getfixturevalue("database" if version == 18 else "database16")
    script = SCRIPT.replace("schema_name])", "schema_name], globals() | locals())")
    history = write_history(tmp_path / "history", CREATE, ("r2", script))
    Project(tmp_path, database.url, history)
    fleet = open_fleet(
        database_url=database.url, parallel=2, canary="0", max_failures="99", attempts=1
    )
    fleet.onboard(sorted(bodies()), "r1")
    found = by_name(fleet.upgrade())
    again = by_name(fleet.upgrade(selection=Selection(names=("deep", "raw"))))
    fleet.close()
    told = {name: (t.outcome, t.error) for name, t in found.items() if name in ALLOWED}
    assert told == dict.fromkeys(ALLOWED, (Outcome.UPGRADED, None))
    for name, (_, words, instead) in REFUSED.items():
        error = str(found[name].error)
        assert f"The script sends {words}" in error, name
        assert instead in error, name
        is_partial = "block" in name  # what stood before the block is committed
        assert found[name].outcome is (Outcome.IN_DOUBT if is_partial else Outcome.FAILED), name
        assert database.fetch(f'SELECT n FROM "{name}".counter') == [(int(is_partial),)], name
    for name in ("deep", "raw"):
        assert found[name].outcome is Outcome.IN_DOUBT, name
        assert "ended the revision's transaction" in str(found[name].error), name
        assert database.fetch(f'SELECT version_num FROM "{name}".alembic_version') == [("r1",)]
        assert again[name].outcome is Outcome.IN_DOUBT, name
        assert "committed in the middle of the revision" in str(again[name].error), name
        assert database.fetch(f'SELECT n FROM "{name}".counter') == [(1,)]

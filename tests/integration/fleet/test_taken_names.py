"""A name that is taken: the error says how to see it, and the runbook's ways lead on."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.fixtures.command import Project
from tests.fixtures.database import Database
from tests.fixtures.history import write_history
from tests.fixtures.rollouts import OpenFleet, by_name, outcomes, stands

R1 = ("r1", "op.execute(\"CREATE TABLE thing (id int); CREATE TYPE mood AS ENUM ('ok')\")")
INDEX = """
with op.get_context().autocommit_block():
    op.create_index("ix_thing", "thing", ["id"], postgresql_concurrently=True)
"""
LABEL = """
with op.get_context().autocommit_block():
    op.execute("ALTER TYPE mood ADD VALUE 'sad'")
"""
COLUMN = (
    "r4",
    "op.execute('ALTER TABLE thing ADD b int')",
    "op.execute('ALTER TABLE thing DROP b')",
)
HINT = "; `tenantmig drift -t {}` shows what exists there already"
ODD = "Stark & Sons"


@pytest.mark.slow
def test_what_a_killed_plain_alembic_left(
    tmp_path: Path, open_fleet: OpenFleet, database: Database
) -> None:
    history = write_history(tmp_path / "history", R1, ("r2", INDEX), ("r3", LABEL), COLUMN)
    project = Project(tmp_path, database.url, history)
    project.settings('names = "wide"\nmax_failures = "100%"\ncanary = "0"\n')
    fleet = open_fleet()
    names = ("ann", "bob", "cid", "label", "column", ODD)
    assert fleet.onboard(names, "r1").is_complete
    database.execute(f'CREATE INDEX ix_thing ON "{ODD}".thing (id)')
    database.execute("ALTER TYPE label.mood ADD VALUE 'sad'")
    database.execute('ALTER TABLE "column".thing ADD b int')
    report = fleet.upgrade()
    told = {name: str(one.error) for name, one in by_name(report).items() if one.error}
    assert set(told) == {"label", "column", ODD}
    for name, text, shown in (
        (ODD, 'relation "ix_thing" already exists', f"'{ODD}'"),
        ("label", 'enum label "sad" already exists', "label"),
        ("column", 'column "b" of relation "thing" already exists', "column"),
    ):
        assert told[name].endswith(text + HINT.format(shown)), told[name]
    assert stands(database, ODD, "label", "column") == {ODD: "r1", "label": "r2", "column": "r3"}
    drift = project.run("drift", "-t", ODD, expect=5).out
    assert "index ix_thing on thing: extra" in drift
    database.execute(f'DROP INDEX "{ODD}".ix_thing')
    project.run("stamp", "r3", "-t", "label")
    project.run("stamp", "r4", "-t", "column")
    resumed = fleet.resume(report.run)
    assert resumed.is_complete, outcomes(resumed)
    assert set(stands(database, *names).values()) == {"r4"}


@pytest.mark.slow
def test_no_word_of_drift_where_nothing_could_be_compared(
    tmp_path: Path, open_fleet: OpenFleet, database: Database
) -> None:
    twice = ("r2", "op.execute('ALTER TABLE thing ADD id int')")
    project = Project(tmp_path, database.url, write_history(tmp_path / "history", R1, twice))
    for command in (("onboard", "acme"), ("check",)):
        failed = project.run(*command, expect=None)
        assert "already exists" in failed.out + failed.err
        assert "tenantmig drift" not in failed.out + failed.err

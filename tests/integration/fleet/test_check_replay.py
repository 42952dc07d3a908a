"""`check --replay`: the default engine against plain Alembic, in scratch schemas with rows."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tenantmig.engines import template
from tests.fixtures.command import Project, untouched
from tests.fixtures.database import Database
from tests.fixtures.history import write_history
from tests.fixtures.rollouts import OpenFleet

SCRATCHES = "SELECT nspname FROM pg_namespace WHERE nspname LIKE 'tenantmig%'"
SAME = "catalogs and rows are the same as with plain Alembic"
TABLES = (
    "r1",
    """op.execute('''
    CREATE TYPE mood AS ENUM ('sad', 'fine');
    CREATE DOMAIN short AS varchar(20) NOT NULL;
    CREATE TABLE notes (code uuid PRIMARY KEY, user_id int NOT NULL, text text NOT NULL,
                        tags text[]);
    CREATE TABLE users (id serial PRIMARY KEY, name short UNIQUE, born date NOT NULL,
                        score numeric(4, 2), mood mood NOT NULL, data jsonb NOT NULL);
    ALTER TABLE notes ADD FOREIGN KEY (user_id) REFERENCES users;
    CREATE TABLE picky (n int NOT NULL CHECK (n = 5), kind text CHECK (kind IN ('a', 'b''c')));
    CREATE TABLE kinds (kind varchar(9) NOT NULL CHECK (kind IN ('a', 'b''c')));
    CREATE TABLE born (at timestamptz NOT NULL)''')""",
)
CHANGES = (
    "r2",
    """op.execute("UPDATE users SET name = name || '!' WHERE score > 1")
op.execute('UPDATE notes SET text = text || user_id')
op.execute("DO $$ BEGIN ASSERT (SELECT count(*) FROM kinds) IN (0, 3); END $$")
op.execute("INSERT INTO born VALUES (clock_timestamp())")
op.execute("INSERT INTO users (name, born, mood, data) VALUES ('new', '2024-01-01', 'sad', '[]')")
op.execute("COMMENT ON TABLE users IS 'it''s'")""",
)
INDEX = ("r3", "op.create_index('ix', 'notes', ['text'])")


@pytest.mark.slow
def test_this_repositorys_history(project: Project, database: Database) -> None:
    with untouched(database):
        report = project.run("check", "--replay", "--json").json["replay"]
    assert report["is_same"], report
    assert report["without_rows"] is None
    assert database.fetch(SCRATCHES) == []


@pytest.mark.slow
def test_rows_are_made_up_and_chance_is_not_held_against_replay(
    tmp_path: Path, database: Database
) -> None:
    history = write_history(tmp_path / "history", TABLES, CHANGES, INDEX)
    project = Project(tmp_path, database.url, history)
    with untouched(database):
        result = project.run("check", "--replay", expect=None)
    violated = 'new row for relation "picky" violates check constraint "picky_n_check"'
    assert result.out.splitlines()[-3:] == [
        f"Made-up rows: none in picky: {violated}",
        "Not compared: born.at, which differs between two runs of plain Alembic",
        f"Replay: 3 of 3 revisions replayed; {SAME}",
    ]
    assert result.code == 5  # the downgrades do nothing


@pytest.mark.slow
@pytest.mark.parametrize(
    ("swap", "told"),
    [
        (("'!'", "'?'"), "table users has "),
        (("CREATE INDEX", "SELECT FROM users; -- "), "index ix on notes is missing"),
    ],
)
def test_a_replay_that_differs_is_seen(
    swap: tuple[str, str],
    told: str,
    tmp_path: Path,
    database: Database,
    open_fleet: OpenFleet,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A negative control: what is replayed is made another."""
    Project(tmp_path, database.url, write_history(tmp_path / "history", TABLES, CHANGES, INDEX))
    template_of = template.template_of

    def other(*recordings: Any) -> Any:
        template = template_of(*recordings)
        texts = (text.replace(*swap) for text in template.texts)
        return replace(template, texts=tuple(texts))

    monkeypatch.setattr(template, "template_of", other)
    report = open_fleet().check_replay()
    assert not report.is_same
    assert all(text.startswith("scratch tenant 3: ") for text in report.differences)
    assert told in report.differences[0]
    assert database.fetch(SCRATCHES) == []


@pytest.mark.slow
def test_a_history_that_fails_over_rows_is_compared_without_them(
    tmp_path: Path, database: Database
) -> None:
    strict = ("r2", "op.execute('ALTER TABLE users ADD size int NOT NULL')")
    project = Project(tmp_path, database.url, write_history(tmp_path / "history", TABLES, strict))
    report = project.run("check", "--replay", "--json", expect=None).json["replay"]
    assert 'column "size" of relation "users" contains null values' in report["without_rows"]
    assert report["is_same"]
    assert report["replayed"] == 2

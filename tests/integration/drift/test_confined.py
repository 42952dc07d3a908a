"""What scripts do in a scratch schema stays there: whatever reaches out is not tried."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.fixtures.command import Project
from tests.fixtures.database import Database
from tests.fixtures.history import write_history, write_revision
from tests.fixtures.models import with_models, write_models
from tests.fixtures.oracles import catalog, content, shared_mark, untouched_mark
from tests.fixtures.reaching import (
    INSERT,
    KEY,
    OUTSIDE,
    REACHING,
    REFUSED_TEXTS,
    STAYING,
    alone,
    sends,
)

SCRATCHES = "SELECT nspname FROM pg_namespace WHERE nspname LIKE 'tenantmig_scratch%'"
R1 = ("r1", "op.execute('CREATE TABLE thing (id int)')", "op.execute('DROP TABLE thing')")


def state(database: Database) -> list[Any]:
    """Whatever is outside of tenants, but for the place of a sequence that gave a number away."""
    with database.connect() as connection:
        return [
            untouched_mark(connection),
            shared_mark(connection),
            [(catalog(connection, one), content(connection, one)) for one in ("public", "other")],
            database.fetch("SELECT last_value FROM other.numbers"),
            database.fetch("SELECT nspname FROM pg_namespace WHERE nspname !~ '^pg_' ORDER BY 1"),
            database.fetch("SELECT oid, relacl::text FROM pg_class WHERE relacl IS NOT NULL"),
            database.fetch("SELECT attrelid FROM pg_attribute WHERE attacl IS NOT NULL"),
            database.fetch("SELECT count(*) FROM pg_largeobject_metadata"),
            database.fetch("SELECT count(*) FROM pg_ts_config_map"),
        ]


@contextmanager
def outside(database: Database) -> Iterator[None]:
    """What lives outside of every tenant, and is to stay as it is."""
    database.execute(OUTSIDE)
    before = state(database)
    yield
    assert state(database) == before
    assert database.fetch(SCRATCHES) == []
    database.execute("DROP SCHEMA other CASCADE; DROP TABLE public.countries")
    database.execute("DROP FUNCTION public.f; DROP TYPE public.mood")


@pytest.fixture(params=["database", "database16"])
def live(request: pytest.FixtureRequest) -> Iterator[Database]:
    """A database of each version with live tables in it."""
    database: Database = request.getfixturevalue(request.param)
    with outside(database):
        yield database


@pytest.mark.slow
def test_what_reaches_out_is_not_tried_and_what_stays_is(tmp_path: Path, live: Database) -> None:
    history = write_history(tmp_path / "history", R1)
    for name, (upgrade, _) in REACHING.items():
        write_revision(history, f"out_{name}", "r1", upgrade)
    for name, (upgrade, downgrade) in STAYING.items():
        write_revision(history, f"in_{name}", "r1", upgrade, downgrade)
    result = Project(tmp_path, live.url, history).run("check", "--json", expect=3)
    found = {r["revision"]: (r["downgrade"], r["reason"]) for r in result.json["revisions"]}
    for name, (_, act) in REACHING.items():
        standing, reason = found.pop(f"out_{name}")
        assert standing == "not_tried", (name, reason)
        assert reason.startswith(f"it {act}"), name
    assert set(found.values()) == {("sound", None)}, found
    assert {one.suffix for one in tmp_path.rglob("*.py.*")} == {".log"}


@pytest.mark.slow
def test_a_commit_as_text_is_refused_before_it_runs(tmp_path: Path, live: Database) -> None:
    """Such a revision fails in each tenant too, so the history is at fault, not the sandbox."""
    for name, upgrade in REFUSED_TEXTS.items():
        folder = tmp_path / name.replace(" ", "_")
        folder.mkdir()
        history = write_history(folder / "history", R1, ("r2", upgrade))
        message = Project(folder, live.url, history).run("check", expect=2).error
        assert "revision r2: The script sends COMMIT as text" in message, name
        assert "it was not run. Use `with op.get_context().autocommit_block():`" in message, name
        assert message.endswith("what was done so far. No tenant was touched."), name
        assert live.fetch("SELECT count(*) FROM public.countries") == [(2,)], name


CREATES = """op.create_table(
    'regions', sa.Column('id', sa.Integer, primary_key=True), schema='public', if_not_exists=True
)"""
DROPS = "op.drop_table('regions', schema='public')"


@pytest.mark.slow
def test_a_shared_table_that_the_history_also_makes_keeps_its_rows(
    tmp_path: Path, live: Database
) -> None:
    live.execute("CREATE TABLE public.regions (id int PRIMARY KEY)")
    live.execute("INSERT INTO public.regions VALUES (1), (2)")
    history = write_history(tmp_path / "history", R1, ("r2", CREATES, DROPS), ("r3", "pass"))
    project = Project(tmp_path, live.url, history)
    assert project.run("check").out.splitlines() == [
        "r2: not tried: its downgrade touches public.regions",
        "Downgrades of 3 revisions: 2 sound, 1 not tried",
        "Models: not compared, because env.py gives no target_metadata",
    ]
    assert live.fetch("SELECT count(*) FROM public.regions") == [(2,)]
    live.execute("DROP TABLE public.regions")
    assert project.run("check", expect=3).out.splitlines() == [
        "r2: not tried: it touches public.regions, public.regions_id_seq",
        "r3: not tried: it depends on r2, which was not tried",
        "Downgrades of 3 revisions: 1 sound, 2 not tried",
        "Models: not compared, because the head r3 was not reached",
    ]


def test_commands_that_need_the_whole_history_refuse_in_words(
    tmp_path: Path, database: Database
) -> None:
    project = with_models(tmp_path, database, R1, ("r2", sends(INSERT)))
    write_models(project, "sa.Table('thing', metadata, sa.Column('id', sa.Integer))\n")
    scripts = sorted(tmp_path.rglob("*.py"))
    with outside(database):
        database.execute("CREATE SCHEMA acme; CREATE SCHEMA beta")
        database.execute("CREATE TABLE acme.alembic_version (version_num text)")
        database.execute("INSERT INTO acme.alembic_version VALUES ('r2')")
        for command in (
            ("tenants", "adopt", "acme"),
            ("tenants", "adopt", "beta"),
            ("revision", "--autogenerate", "-m", "more"),
        ):
            message = project.refuse(*command)
            assert "revision r2 touches public.countries: not tried." in message
        project.run("stamp", "r2", "-t", "acme", expect=None)
        database.execute("DROP SCHEMA acme CASCADE; DROP SCHEMA beta")
    assert sorted(tmp_path.rglob("*.py")) == scripts


@pytest.mark.slow
def test_the_first_foreign_key_ever_to_a_shared_table(tmp_path: Path, database: Database) -> None:
    """It leaves a mark on that table's row in pg_class, which is not a change."""
    database.execute("CREATE SCHEMA core; CREATE TABLE core.countries (id int PRIMARY KEY)")
    key = sends(KEY.replace("public", "core"))
    moreover = sends("ALTER TABLE core.countries ADD CHECK (id > 0)")
    history = write_history(
        tmp_path / "history",
        R1,
        ("r2", key, sends("ALTER TABLE thing DROP CONSTRAINT k", "ALTER TABLE thing DROP country")),
        ("r3", f"{key}\n{moreover}".replace("k REF", "l REF").replace("country int", "c int")),
    )
    lines = Project(tmp_path, database.url, history).run("check", expect=3).out.splitlines()
    assert lines[0] == "r3: not tried: it touches core.countries"
    assert lines[1] == "Downgrades of 3 revisions: 2 sound, 1 not tried"


@pytest.mark.slow
def test_a_part_that_was_committed_is_no_longer_in_the_way(
    tmp_path: Path, database: Database
) -> None:
    part = alone("INSERT INTO thing VALUES (1)") + "\n" + sends("CREATE TABLE part ()")
    history = write_history(tmp_path / "history", R1, ("r2", "pass", f"{part}\n{sends(INSERT)}"))
    half = alone("CREATE TABLE half ()")
    write_revision(history, "b3", "r2", f"{half}\n{sends(INSERT)}")  # the first of the two
    write_revision(history, "a3", "r2", sends("CREATE TABLE half ()"), sends("DROP TABLE half"))
    with outside(database):
        result = Project(tmp_path, database.url, history).run("check", "--json", expect=3)
    found = {r["revision"]: r["downgrade"] for r in result.json["revisions"]}
    assert found == {"r1": "sound", "r2": "not_tried", "b3": "not_tried", "a3": "sound"}


def test_an_environment_that_reaches_out(tmp_path: Path, database: Database) -> None:
    history = write_history(tmp_path / "history", R1)
    env = history / "env.py"
    env.write_text(env.read_text() + "\nimport psycopg\npsycopg.connect('dbname=elsewhere')\n")
    message = Project(tmp_path, database.url, history).refuse("check")
    assert "env.py opens a connection of its own: not tried" in message


@pytest.mark.slow
def test_without_counts_nothing_can_be_known(tmp_path: Path, database: Database) -> None:
    history = write_history(tmp_path / "history", ("r1", sends("SET track_counts = off", INSERT)))
    with outside(database):
        result = Project(tmp_path, database.url, history).run("check", expect=3)
    assert "track_counts is off" in result.out

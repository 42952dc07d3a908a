"""A history whose first revision alters tables that `create_all` made: it cannot begin anywhere."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.fixtures.command import Project
from tests.fixtures.database import Database
from tests.fixtures.history import write_history
from tests.fixtures.in_process import Ask
from tests.fixtures.rollouts import stands

ALTERS = "r1", "op.add_column('thing', sa.Column('a', sa.Integer))", "op.drop_column('thing', 'a')"
MORE = "r2", "op.add_column('thing', sa.Column('b', sa.Integer))", "op.drop_column('thing', 'b')"


@pytest.fixture
def altering(tmp_path: Path, database: Database) -> Project:
    """Two schemas with version rows, one without, as an application made them."""
    history = write_history(tmp_path / "history", ALTERS, MORE)
    for name in ("acme", "beta", "bare"):
        database.execute(f"CREATE SCHEMA {name}; CREATE TABLE {name}.thing (id int PRIMARY KEY)")
    for name, revision in {"acme": "r1", "beta": "r2"}.items():
        database.execute(
            f"ALTER TABLE {name}.thing ADD a int; CREATE TABLE {name}.alembic_version"
            " (version_num varchar(32) NOT NULL CONSTRAINT alembic_version_pkc PRIMARY KEY);"
            f" INSERT INTO {name}.alembic_version VALUES ('{revision}')"
        )
    return Project(tmp_path, database.url, history)


@pytest.mark.slow
def test_what_has_a_version_row_is_adopted_as_it_stands_and_drift_says_why_it_compares_nothing(
    altering: Project, database: Database
) -> None:
    looked = altering.run("tenants", "adopt", "acme", "--dry-run").out
    assert "acme: would be adopted at r1 (version table)" in looked
    assert "no reference: the history cannot run in an empty schema" in looked
    found = altering.run("tenants", "adopt", "acme", "beta", "bare", "--json", expect=3).json
    told = {one["tenant"]: one for one in found["tenants"]}
    assert {name: one["adopted"] for name, one in told.items()} == {
        "acme": True,
        "beta": True,
        "bare": False,
    }
    assert "cannot run in an empty schema" in told["acme"]["unproved"]
    assert 'thing" does not exist' in told["acme"]["unproved"]
    assert "no version table; name its revision with --at REV" in told["bare"]["problem"]
    given = altering.run("tenants", "adopt", "bare", "--at", "base", "--json").json
    assert given["tenants"][0]["evidence"] == "given"
    drift = altering.run("drift", "--json", expect=3).json
    problems = {one["tenant"]: one["problem"] for one in drift["tenants"]}
    assert problems["bare"].startswith("the version table is empty")
    for name in ("acme", "beta"):
        assert problems[name].startswith("no reference: the history cannot run in an empty schema")
    altering.run("upgrade", "-t", "acme")
    assert stands(database, "acme", "beta") == {"acme": "r2", "beta": "r2"}


MODELS = """
import sqlalchemy as sa

metadata = sa.MetaData()
sa.Table("thing", metadata, sa.Column("id", sa.Integer, primary_key=True),
         sa.Column("a", sa.Integer), sa.Column("b", sa.Integer),
         sa.Column("mood", sa.Enum("glad", "sad", name="mood")))


def make(connection):
    metadata.create_all(connection)


def fails(connection):
    make(connection)
    raise RuntimeError("half made")


def commits(connection):
    make(connection)
    connection.commit()


def elsewhere(connection):
    connection.exec_driver_sql("CREATE TABLE public.thing (id int)")
"""


@pytest.mark.slow
def test_birth_makes_tenants_and_the_reference_at_head(
    altering: Project, database: Database, ask: Ask
) -> None:
    (altering.folder / "models.py").write_text(MODELS)
    altering.ini.write_text(
        altering.ini.read_text().replace("prepend_sys_path = ", "prepend_sys_path = .:")
    )
    altering.settings('birth = "models:make"')
    altering.run("tenants", "adopt", "acme", "beta", expect=0)
    altering.run("onboard", "gamma", "delta")
    assert stands(database, "gamma", "delta") == {"gamma": "r2", "delta": "r2"}
    database.execute("ALTER TABLE delta.thing ADD more int")
    drift = altering.run("drift", "--json", expect=5).json
    told = {one["tenant"]: one for one in drift["tenants"]}
    assert (told["gamma"]["drifted"], told["delta"]["drifted"]) == (False, True)
    assert told["beta"]["drifted"] is True  # an older create_all made it without b and mood
    assert "makes a reference at head only, not at r1" in told["acme"]["problem"]
    assert (
        "creates tenants at head, not at r1"
        in ask(altering, "onboard", "late", "--to", "r1", expect=2).err
    )
    for birth, said in {
        "models:fails": "half made",
        "models:commits": "must not commit",
        "models:none": "cannot be imported",
        "models:elsewhere": 'created nothing in the schema "late"',
    }.items():
        altering.settings(f'birth = "{birth}"')
        failed = altering.run("onboard", "late", expect=3)
        assert said in " ".join((failed.out + failed.err).split())
        assert not database.fetch("SELECT FROM pg_namespace WHERE nspname = 'late'")
    altering.settings('birth = "models:make"')
    altering.run("onboard", "late")
    assert database.fetch("SELECT count(*) FROM late.thing WHERE mood = 'glad'") == [(0,)]
    assert stands(database, "late") == {"late": "r2"}


def test_birth_needs_a_revision_to_stamp(tmp_path: Path, database: Database, ask: Ask) -> None:
    project = Project(tmp_path, database.url, write_history(tmp_path / "history"))
    project.settings('birth = "models:make"')
    assert ", not at base" in ask(project, "onboard", "acme", expect=2).err

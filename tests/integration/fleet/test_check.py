"""`check`: models against the head, and every downgrade, in scratch schemas."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.fixtures.command import Project, untouched
from tests.fixtures.database import Database
from tests.fixtures.history import write_history, write_revision
from tests.fixtures.models import with_models, write_models

SCRATCHES = "SELECT nspname FROM pg_namespace WHERE nspname LIKE 'tenantmig_scratch%'"
R1 = ("r1", "op.execute('CREATE TABLE thing (id int)')", "op.execute('DROP TABLE thing')")
INDEX = "op.execute('CREATE INDEX ix_thing ON thing (id)')"
B = "op.execute('ALTER TABLE thing ADD b int')"
CONCURRENT = """
with op.get_context().autocommit_block():
    op.create_index("ix_late", "thing", ["id"], postgresql_concurrently=True)
"""
DEFAULT = "op.execute('ALTER TABLE thing ALTER id SET DEFAULT"
NOT_LATE = 'op.drop_index("ix_late")'


@pytest.mark.core
@pytest.mark.slow
def test_this_repositorys_history_is_sound(project: Project, database: Database) -> None:
    project.run("onboard", "acme")
    with untouched(database):
        result = project.run("check")
    assert result.out.splitlines() == [
        "0006: irreversible: the password hashes were destroyed",
        "Downgrades of 15 revisions: 14 sound, 1 irreversible",
        "Models: same as the history's head 0015",
    ]
    assert database.fetch(SCRATCHES) == []


@pytest.mark.slow
def test_each_broken_downgrade_is_named_and_the_way_goes_on(
    tmp_path: Path, database: Database
) -> None:
    history = write_history(
        tmp_path / "history",
        R1,
        ("r2", f"{INDEX}\n{B}", "op.execute('ALTER TABLE thing DROP b')"),  # forgets the index
        ("r3", "op.execute('ALTER TABLE thing RENAME b TO a')", "op.execute('SELECT 1/0')"),
        ("r4", "op.execute('CREATE TABLE IF NOT EXISTS other (id int)')"),  # forgets it quietly
        ("r5", "pass", "raise NotImplementedError('never')"),
        ("r6", CONCURRENT, NOT_LATE),
        ("r7", f"{DEFAULT} 1')", f"{DEFAULT} 2')"),  # there was none
    )
    project = Project(tmp_path, database.url, history)
    result = project.run("check", "--json", expect=5)
    found = {r["revision"]: (r["downgrade"], r["reason"]) for r in result.json["revisions"]}
    catalog = "its downgrade does not restore the catalog from before the revision"
    assert found == {
        "r1": ("sound", None),
        "r2": ("broken", f"{catalog}: index ix_thing on thing is left"),
        "r3": ("broken", "its downgrade fails: revision r3: division by zero"),
        "r4": ("broken", f"{catalog}: table other is left"),
        "r5": ("irreversible", "its downgrade() raises NotImplementedError('never')"),
        "r6": ("sound", None),
        "r7": ("broken", f"{catalog}: default thing.id is left"),
    }
    assert (result.json["head"], result.json["is_clean"]) == ("r7", False)
    assert result.json["changes"] is None  # env.py gives no models
    assert database.fetch(SCRATCHES) == []


@pytest.mark.slow
def test_what_only_shows_on_the_second_way_up(tmp_path: Path, database: Database) -> None:
    count = "op.get_bind().execute(sa.text('SELECT count(*) FROM seen')).scalar()"
    note = "op.execute('INSERT INTO seen VALUES (1)')"
    other = f"""
op.execute('CREATE TABLE thing ()')
if {count}:
    op.execute('ALTER TABLE thing ADD a int')
{note}
"""
    none = f"""
if {count} > 1:
    op.execute('SELECT 1/0')
{note}
"""
    history = write_history(
        tmp_path / "history",
        ("r1", "op.execute('CREATE TABLE seen (n int)')", "op.execute('DROP TABLE seen')"),
        ("r2", other, "op.execute('DROP TABLE thing')"),
        ("r3", none),
    )
    result = Project(tmp_path, database.url, history).run("check", "--json", expect=5)
    reasons = [r["reason"] for r in result.json["revisions"]]
    assert reasons == [
        None,
        (
            "after its downgrade, the upgrade gives another catalog than the first time:"
            " column thing.a is left"
        ),
        "after its downgrade, the upgrade fails: revision r3: division by zero",
    ]


@pytest.mark.slow
def test_branches_are_walked_too(tmp_path: Path, database: Database) -> None:
    history = write_history(tmp_path / "history", R1)
    for revision, parent in (("a2", "r1"), ("b2", "r1"), ("m3", ("a2", "b2"))):
        up, down = f"CREATE TABLE {revision} ()", f"DROP TABLE {revision}"
        write_revision(history, revision, parent, f"op.execute('{up}')", f"op.execute('{down}')")
    write_revision(history, "z4", "r1", INDEX)
    result = Project(tmp_path, database.url, history).run("check", "--json", expect=5)
    broken = {r["revision"] for r in result.json["revisions"] if r["downgrade"] == "broken"}
    assert broken == {"z4"}
    assert {r["revision"] for r in result.json["revisions"]} == {"r1", "a2", "b2", "m3", "z4"}
    assert result.json["head"] == "m3,z4"


@pytest.mark.slow
def test_models_ahead_of_the_history_are_told(tmp_path: Path, database: Database) -> None:
    project = with_models(tmp_path, database, R1)
    same = "sa.Table('thing', metadata, sa.Column('id', sa.Integer))\n"
    write_models(project, same)
    assert project.run("check").out.endswith("Models: same as the history's head r1\n")
    write_models(project, same + "sa.Table('new', metadata, sa.Column('id', sa.Integer))")
    lines = project.run("check", expect=5).out.splitlines()
    assert lines[:3] == [
        "Downgrades of 1 revision: 1 sound",
        "Models: the history's head r1 differs:",
        "  op.create_table('new',",
    ]


@pytest.mark.parametrize("failing", ["op.execute('SELECT 1/0')", "raise SystemExit('stop')"])
def test_a_history_that_cannot_be_run_is_refused(
    tmp_path: Path, database: Database, failing: str
) -> None:
    history = write_history(tmp_path / "history", R1, ("r2", failing))
    result = Project(tmp_path, database.url, history).run("check", expect=2)
    assert "1 of 2 revisions were checked" in result.out
    start = "Error: The history cannot be run in an empty schema: revision r2"
    assert result.error.startswith(start)
    assert database.fetch(SCRATCHES) == []


def test_an_empty_history_has_nothing_to_check(tmp_path: Path, database: Database) -> None:
    project = with_models(tmp_path, database)
    assert project.run("check").out.splitlines() == [
        "Downgrades of 0 revisions: none",
        "Models: same as the history's head base",
    ]


@pytest.mark.slow
def test_extensions_are_named_and_public_may_hold_them(tmp_path: Path, database: Database) -> None:
    history = write_history(
        tmp_path / "history",
        ("r1", "op.execute('CREATE EXTENSION IF NOT EXISTS vector -- CREATE EXTENSION no')"),
        (
            "r2",
            "op.execute('CREATE TABLE thing (a public.vector, b vector)')",
            "op.drop_table('thing')",
        ),
        ("r3", "op.execute('create  extension if not exists \"vector\" schema public')"),
    )
    project = Project(tmp_path, database.url, history)
    database.allow_public("vector")
    database.execute("CREATE EXTENSION vector SCHEMA public")
    project.settings('extension_schemas = ["public"]\n')
    told = project.run("check").out
    assert 'Extensions: revision r1 creates "vector"; create it once' in told
    assert told.count("Extensions:") == 1
    project.run("onboard", "acme", "beta", "gamma")
    types = "SELECT count(DISTINCT atttypid) FROM pg_attribute WHERE attname IN ('a', 'b') AND"
    assert database.fetch(f"{types} attrelid = 'gamma.thing'::regclass") == [(1,)]


@pytest.mark.slow
def test_a_label_is_named_and_a_broken_downgrade_may_be_accepted(
    tmp_path: Path, database: Database
) -> None:
    make = "op.execute(\"CREATE TYPE mood AS ENUM ('ok')\")"
    kind = ("r1", make, "op.execute('DROP TYPE mood')")
    label = """
with op.get_context().autocommit_block():
    op.execute("ALTER TYPE mood ADD VALUE 'sad'")
"""
    project = Project(tmp_path, database.url, write_history(tmp_path / "h", kind, ("r2", label)))
    found = project.run("check", expect=5).out
    assert "enum mood differs (label 'sad' remains)" in found
    assert "Downgrades of 2 revisions: 1 sound, 1 broken\n" in found
    assert found.splitlines()[-1].endswith("tenantmig check --accept 'a reason'")
    assert "accept its finding" not in project.run("check", "--accept", "shipped").out
    accepted = project.run("check").out
    assert "Downgrades of 2 revisions: 1 sound, 1 broken (accepted)\n" in accepted
    assert "accept its finding" not in accepted

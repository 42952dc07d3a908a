"""Adoption: schemas that exist become tenants at the revision where they stand, or not at all."""

from __future__ import annotations

from pathlib import Path

import pytest
from psycopg import sql

from tests.fixtures.command import Project, untouched
from tests.fixtures.database import Database
from tests.fixtures.history import write_history
from tests.fixtures.rollouts import CREATE, adding

LONG = "é" * 31 + "x"
QUOTED = 'q"uo.te d'
DATA_ONLY = ("r3", "op.execute('UPDATE thing SET id = 1')")
ADDED = ["r2", "r3", "r4"]  # r2 and r4 read something first
VERSION = "SELECT version_num FROM {}.alembic_version"


@pytest.fixture
def project(tmp_path: Path, database: Database) -> Project:
    """A history whose revision r3 changes no catalog."""
    scripts = (CREATE, adding("r2", "b"), DATA_ONLY, adding("r4", "c"))
    history = write_history(tmp_path / "history", *scripts)
    made = Project(tmp_path, database.url, history)
    made.settings('names = "wide"\n')
    return made


def build(project: Project, database: Database, schema: str, revision: str = "") -> None:
    """Make a schema by plain Alembic; without a revision an empty one."""
    database.execute(f"CREATE SCHEMA {quoted(schema)}")
    if revision:
        project.alembic("-x", f"tenant={schema}", "upgrade", revision)


def quoted(schema: str) -> str:
    return sql.Identifier(schema).as_string()


def forget(database: Database, schema: str, *, is_kept: bool = False) -> None:
    """Take the version table, or only its row, away."""
    what = "DELETE FROM" if is_kept else "DROP TABLE"
    database.execute(f"{what} {quoted(schema)}.alembic_version")


def revisions(project: Project) -> dict[str, str | None]:
    tenants = project.run("status", "--json").json["tenants"]
    return {tenant["tenant"]: tenant["revision"] for tenant in tenants}


@pytest.mark.core
def test_with_a_version_row_as_they_are(project: Project, database: Database) -> None:
    for schema in ("acme", QUOTED):
        build(project, database, schema, "r2")
    database.execute("ALTER TABLE acme.thing ADD more int")
    with untouched(database, ["tenantmig", "acme", QUOTED]):
        found = project.run("tenants", "adopt", "acme", QUOTED, "--label", "old=yes", "--json").json
    assert [(t["adopted"], t["revision"], t["evidence"]) for t in found["tenants"]] == [
        (True, "r2", "version_table")
    ] * 2
    assert [t["row_writers"] for t in found["tenants"]] == [[], []]  # the version table says it
    told = [[d["object"] for d in tenant["differences"]] for tenant in found["tenants"]]
    assert told == [["thing.more"], []]
    assert revisions(project) == {"acme": "r2", QUOTED: "r2"}
    listed = project.run("tenants", "list", "--label", "old=yes", "--json").json["tenants"]
    assert len(listed) == 2
    project.run("upgrade")


@pytest.mark.core
def test_without_one_the_revision_is_found_and_stamped(
    project: Project, database: Database
) -> None:
    for schema, revision in {"one": "r1", QUOTED: "r4", LONG: "r4", "void": ""}.items():
        build(project, database, schema, revision)
        if revision:
            forget(database, schema, is_kept=schema == LONG)
    with untouched(database):
        found = project.run("tenants", "adopt", "one", QUOTED, LONG, "--dry-run", "--json").json
        told = project.run("tenants", "adopt", "one", "--dry-run").out
    assert "one: would be adopted at r1" in told
    assert [(t["revision"], t["evidence"]) for t in found["tenants"]] == [
        ("r1", "catalog"),
        ("r4", "catalog"),
        ("r4", "catalog"),
    ]
    assert [t["row_writers"] for t in found["tenants"]] == [[], ADDED, ADDED]
    text = project.run("tenants", "adopt", "one", QUOTED, LONG, "void").out
    assert "one: adopted at r1 (catalog)\n  rows were not compared; no revision up to" in text
    assert "no revision up to there is known to write any\n" in text
    assert f"{LONG}: adopted at r4 (catalog)\n  rows were not compared; what these" in text
    assert "revisions write may be missing: r2, r3, r4\n" in text
    assert "base (catalog)\n  rows" not in text
    assert "void: adopted at base" in text
    assert revisions(project) == {"one": "r1", QUOTED: "r4", LONG: "r4", "void": None}
    assert database.fetch(VERSION.format(quoted(LONG))) == [("r4",)]
    project.run("upgrade")
    project.run("drift")


@pytest.mark.slow
def test_revisions_whose_catalogs_are_the_same_are_named(
    project: Project, database: Database
) -> None:
    build(project, database, "acme", "r2")
    forget(database, "acme")
    with untouched(database):
        found = project.run("tenants", "adopt", "acme", "--json", expect=3).json["tenants"][0]
    assert found["candidates"] == ["r2", "r3"]
    assert not found["adopted"]
    assert "--at REV" in found["problem"]
    text = project.run("tenants", "adopt", "acme", "--at", "r3").out
    assert "r3 (given)\n  rows were not compared; what these revisions write" in text
    assert revisions(project) == {"acme": "r3"}


@pytest.mark.slow
def test_no_match_shows_the_nearest_and_stamps_nothing(
    project: Project, database: Database
) -> None:
    build(project, database, "acme", "r4")
    build(project, database, "good", "r1")
    for schema in ("acme", "good"):
        forget(database, schema)
    database.execute("CREATE INDEX more ON acme.thing (id)")
    with untouched(database, ["tenantmig", "good"]):
        found = project.run("tenants", "adopt", "acme", "good", "--json", expect=3).json["tenants"]
    assert [tenant["adopted"] for tenant in found] == [False, True]
    assert found[0]["nearest"] == "r4"
    assert [(d["change"], d["object"]) for d in found[0]["differences"]] == [
        ("extra", "more on thing")
    ]
    assert revisions(project) == {"good": "r1"}
    text = project.run("tenants", "adopt", "acme", expect=3).out
    assert (
        "acme: not adopted: its catalog matches no revision; r4 is the nearest (1 difference)"
        in text
    )
    assert "index more on thing: extra" in text
    database.execute("DROP INDEX acme.more")
    project.run("tenants", "adopt", "acme")
    assert revisions(project) == {"acme": "r4", "good": "r1"}


@pytest.mark.slow
def test_a_version_row_that_cannot_be_trusted_is_left(project: Project, database: Database) -> None:
    build(project, database, "acme", "r2")
    assert ", not r1" in project.run("tenants", "adopt", "acme", "--at", "r1", expect=3).out
    database.execute("UPDATE acme.alembic_version SET version_num = 'zz'")
    assert "not in this history" in project.run("tenants", "adopt", "acme", expect=3).out
    database.execute("ALTER TABLE acme.alembic_version RENAME COLUMN version_num TO other")
    assert "not Alembic's" in project.run("tenants", "adopt", "acme", expect=3).out
    assert project.run("tenants", "list").out.strip() == "No tenants."


@pytest.mark.slow
def test_who_cannot_be_adopted_is_refused_before_anything_is_touched(
    project: Project, database: Database
) -> None:
    build(project, database, "acme", "r2")
    project.run("onboard", "beta")
    with untouched(database):
        for names, reason in {
            ("acme", "nobody"): 'There is no schema "nobody"',
            ("acme", "beta"): "a tenant already",
            ("acme", "acme"): "given twice",
            ("acme", "public"): "not allowed",
            ("acme", "--at", "zz"): "does not name exactly one revision",
            ("acme", "--at", "+1"): "does not name exactly one revision",
        }.items():
            assert reason in project.refuse("tenants", "adopt", *names)
        database.execute("UPDATE tenantmig.tenant SET state = 'onboarding' WHERE name = 'beta'")
        assert "a tenant already" in project.refuse("tenants", "adopt", "acme", "beta")
        database.execute("UPDATE tenantmig.tenant SET state = 'active' WHERE name = 'beta'")


@pytest.mark.slow
def test_with_another_source_only_the_version_row_is_written(
    project: Project, database: Database
) -> None:
    uuid = "0b9e2c1e-5a74-4d0c-9f7e-0a4c8a1b2c3d"
    for schema, revision in (("acme", "r2"), ("t_2", "r1"), (uuid, "r1")):
        build(project, database, schema, revision)
    forget(database, "t_2")
    forget(database, uuid, is_kept=True)
    database.execute(
        "CREATE SCHEMA app; CREATE TABLE app.account (name text, schema text, id uuid);"
        f"INSERT INTO app.account VALUES ('acme', 'acme', NULL), ('two', 't_2', NULL),"
        f" (NULL, NULL, '{uuid}')"
    )
    query = "SELECT coalesce(name, id::text) AS name, schema FROM app.account"
    project.settings(f'names = "wide"\nsource = "query"\nsource_query = "{query}"\n')
    with untouched(database):
        told = project.run("status", "--json").json["tenants"]
        adopt = "`tenantmig tenants adopt NAME` finds the revision"
        lost = {one["tenant"] for one in told if adopt in str(one["problem"])}
        assert lost == {"two", uuid}
        assert "'query' does not list" in project.refuse("tenants", "adopt", "nobody")
        assert "labels are in the" in project.refuse("tenants", "adopt", "acme", "--label", "a=b")
        out = project.run("tenants", "adopt", "acme", "two", uuid, "--dry-run").out
    assert "two: would be adopted at r1 (catalog)" in out
    with untouched(database, ["t_2", uuid]):  # no ledger either
        found = project.run("tenants", "adopt", "acme", "two", uuid, "--json").json["tenants"]
    assert [(one["tenant"], one["revision"], one["evidence"]) for one in found] == [
        ("acme", "r2", "version_table"),
        ("two", "r1", "catalog"),
        (uuid, "r1", "catalog"),
    ]
    assert revisions(project) == {"acme": "r2", "two": "r1", uuid: "r1"}


@pytest.mark.slow
def test_a_schema_that_is_being_migrated_is_left(project: Project, database: Database) -> None:
    project.settings('names = "wide"\ntenant_lock_timeout = "500ms"\n')
    build(project, database, "acme", "r1")
    forget(database, "acme")
    lock = "SELECT pg_advisory_lock(hashtextextended('tenantmig.tenant:' || 'acme', {}))"
    with database.connect() as connection:  # by plain Alembic, before there was a ledger
        connection.execute(lock.format(0).encode())
        assert "Another session is migrating" in project.refuse("tenants", "adopt", "acme")
    assert database.fetch("SELECT to_regclass('tenantmig.tenant')") == [(None,)]
    project.run("onboard", "beta")
    salt = "(SELECT lock_salt FROM tenantmig.ledger_version WHERE version = 4)"
    with database.connect() as connection:
        connection.execute(lock.format(salt).encode())
        text = project.run("tenants", "adopt", "acme", expect=3).out
    assert "Another session is migrating" in text
    assert database.fetch("SELECT name FROM tenantmig.tenant") == [("beta",)]
    assert database.fetch("SELECT to_regclass('acme.alembic_version')") == [(None,)]


@pytest.mark.slow
@pytest.mark.parametrize("is_kept", [True, False])
def test_an_adoption_is_read_back(project: Project, database: Database, is_kept: bool) -> None:
    """Whatever the COMMIT itself set off; a version row of before (`is_kept`) and one of ours."""
    build(project, database, "acme", "r1")
    forget(database, "acme", is_kept=is_kept)
    project.run("onboard", "beta")
    database.execute(
        "CREATE FUNCTION tenantmig.undo() RETURNS trigger LANGUAGE plpgsql AS"
        " $f$ BEGIN DELETE FROM acme.alembic_version; RETURN NULL; END $f$;"
        "CREATE CONSTRAINT TRIGGER undo AFTER INSERT ON tenantmig.tenant DEFERRABLE INITIALLY"
        " DEFERRED FOR EACH ROW EXECUTE FUNCTION tenantmig.undo()"
    )
    text = project.run("tenants", "adopt", "acme", expect=3).out
    assert "after the COMMIT its version table is not as it was written" in text

"""An extension that a revision made in a tenant's schema: moved or gone, and no other's columns."""

from __future__ import annotations

from pathlib import Path

import psycopg
import pytest

from tenantmig.errors import DependentObjectsError
from tenantmig.postgres.tenant_schema import drop_schema, schema_exists
from tests.fixtures.command import Project
from tests.fixtures.database import Database
from tests.fixtures.history import write_history
from tests.fixtures.rollouts import stands

WHERE = "SELECT extnamespace::regnamespace::text FROM pg_extension WHERE extname = 'vector'"
FIXED = "UPDATE pg_extension SET extrelocatable = false WHERE extname = 'vector'"
UP = """
op.execute('CREATE EXTENSION IF NOT EXISTS vector')
op.execute('CREATE TABLE item (v vector(2))')
op.execute('CREATE INDEX ON item USING hnsw (v vector_l2_ops)')
"""
MAKE = "r1", UP, "op.execute('DROP TABLE item')"


@pytest.fixture
def vectors(database16: Database) -> psycopg.Connection:
    """The extension in `acme`, which uses it."""
    database16.execute(
        "CREATE SCHEMA acme; CREATE SCHEMA beta; CREATE SCHEMA home;"
        " CREATE EXTENSION vector SCHEMA acme; CREATE TABLE acme.item (v acme.vector(2));"
        " CREATE INDEX ON acme.item USING hnsw (v acme.vector_l2_ops)"
    )
    return database16.connect()


def used(connection: psycopg.Connection) -> None:
    """Let another tenant have a column of a type of the extension."""
    connection.execute(
        "CREATE TABLE beta.item (v acme.vector(2)); INSERT INTO beta.item VALUES ('[1,2]');"
        " CREATE INDEX ON beta.item USING hnsw (v acme.vector_l2_ops)"
    )


@pytest.mark.parametrize("is_half_born", [True, False])
def test_what_another_tenant_uses_is_moved(vectors: psycopg.Connection, is_half_born: bool) -> None:
    used(vectors)
    drop_schema(vectors, "acme", "home", is_half_born=is_half_born)
    assert not schema_exists(vectors, "acme")
    assert vectors.execute(WHERE).fetchall() == [("home",)]
    assert vectors.execute("SELECT v::text FROM beta.item").fetchall() == [("[1,2]",)]
    assert vectors.execute("SELECT count(*) FROM pg_index WHERE NOT indisvalid").fetchall() == [
        (0,)
    ]


def test_what_nobody_uses_goes_with_a_half_born_tenant_and_stays_after_others(
    vectors: psycopg.Connection,
) -> None:
    with vectors.transaction(force_rollback=True):
        drop_schema(vectors, "acme", is_half_born=True)
        assert not schema_exists(vectors, "acme")
        assert vectors.execute(WHERE).fetchall() == []
    drop_schema(vectors, "acme")
    assert vectors.execute(WHERE).fetchall() == [("public",)]


def test_one_that_cannot_be_moved_goes_only_where_nothing_is_lost(
    vectors: psycopg.Connection,
) -> None:
    vectors.execute(FIXED)
    said = r'"vector" is in .*not relocatable.*SET SCHEMA'
    with pytest.raises(DependentObjectsError, match=said):
        drop_schema(vectors, "acme")
    with vectors.transaction(force_rollback=True):
        drop_schema(vectors, "acme", is_half_born=True)
        assert vectors.execute(WHERE).fetchall() == []
    used(vectors)
    with pytest.raises(DependentObjectsError, match=r"column v of table beta\.item") as refused:
        drop_schema(vectors, "acme", is_half_born=True)
    assert "operator" not in refused.value.message
    vectors.execute("DROP TABLE beta.item; CREATE TABLE beta.more ()")
    vectors.execute("ALTER EXTENSION vector ADD TABLE beta.more")
    with pytest.raises(DependentObjectsError, match='"vector" is in'):
        drop_schema(vectors, "acme", is_half_born=True)
    assert vectors.execute(WHERE).fetchall() == [("acme",)]


def test_a_home_that_is_not_there_or_not_ours_is_said(vectors: psycopg.Connection) -> None:
    with pytest.raises(DependentObjectsError, match=r'moved to "none" \(schema "none" does not'):
        drop_schema(vectors, "acme", "none")
    drop_schema(vectors, "acme", "none", is_half_born=True)
    assert vectors.execute(WHERE).fetchall() == []


@pytest.mark.slow
def test_an_onboarding_that_fails_after_it_is_undone_run_again_and_offboarded(
    tmp_path: Path, database16: Database
) -> None:
    scripts = tmp_path / "history"
    write_history(scripts, MAKE, ("r2", "raise RuntimeError('not yet')"))
    project = Project(tmp_path, database16.url, scripts)
    for _ in range(2):
        out = project.run("onboard", "acme", expect=3)
        assert "not yet" in out.out + out.err
        assert database16.fetch(WHERE) == []
        assert database16.fetch("SELECT FROM pg_namespace WHERE nspname = 'acme'") == []
        assert database16.fetch("SELECT FROM tenantmig.tenant") == []
    write_history(scripts, MAKE, ("r2", "pass"))
    project.run("onboard", "acme")
    assert database16.fetch(WHERE) == [("acme",)]
    # half-born after a kill, with another tenant that uses it: offboard moves it too
    database16.execute(
        "CREATE SCHEMA beta; CREATE TABLE beta.item (v acme.vector(2));"
        " UPDATE tenantmig.tenant SET state = 'onboarding'"
    )
    project.settings('extension_schemas = ["extensions"]')
    database16.execute("CREATE SCHEMA extensions")
    project.run("offboard", "acme", "--yes")
    assert database16.fetch(WHERE) == [("extensions",)]
    assert database16.fetch("SELECT count(*) FROM beta.item") == [(0,)]
    project.run("onboard", "acme", "gamma")
    assert stands(database16, "acme", "gamma") == {"acme": "r2", "gamma": "r2"}
    project.run("offboard", "acme", "--yes")
    assert database16.fetch(WHERE) == [("extensions",)]

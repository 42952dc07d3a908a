"""`check` on an empty database: the shared lineage is brought up where nobody else looks."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tenantmig.fleet.scratch_database import MARK
from tests.fixtures.command import Project
from tests.fixtures.database import Database
from tests.fixtures.history import write_history

COUNTRY = (
    "s1",
    """
op.create_table('country', sa.Column('code', sa.String(2), primary_key=True))
op.execute("INSERT INTO country VALUES ('nl')")
""",
)
CUSTOMER = (
    "r1",
    """
op.create_table('customer', sa.Column('id', sa.Integer, primary_key=True),
    sa.Column('country', sa.String(2), sa.ForeignKey('core.country.code')))
op.execute("INSERT INTO customer SELECT 1, code FROM core.country")
op.execute("ALTER TABLE customer ALTER country SET NOT NULL")
""",
    "op.drop_table('customer')",
)
PLACE = (
    "r2",
    "op.execute('ALTER TABLE customer ADD place vector(3)')",
    "op.drop_column('customer', 'place')",
)
BEHIND = "the shared lineage is behind: run `tenantmig upgrade --lineage shared`"
DATABASES = "SELECT datname FROM pg_database WHERE datname ~ '^tenantmig_'"
SCHEMAS = "SELECT nspname FROM pg_namespace WHERE nspname !~ '^(pg_|information_schema)' ORDER BY 1"


def _project(folder: Path, database: Database, *revisions: tuple[str, str, str]) -> Project:
    shared = write_history(folder / "shared", COUNTRY, environment="env_shared.py.txt")
    project = Project(folder, database.url, write_history(folder / "history", *revisions))
    with project.ini.open("a") as ini:
        ini.write(f"\n[shared]\nscript_location = {shared}\npath_separator = os\n")
    project.settings('shared_schema = "core"')
    return project


@pytest.fixture
def project(tmp_path: Path, database: Database) -> Project:
    return _project(tmp_path, database, CUSTOMER)


@pytest.fixture
def nothing_left(database: Database) -> Iterator[None]:
    """Hold that the database stays empty, and that it is the only one."""
    schemas = database.fetch(SCHEMAS)
    yield
    assert database.fetch(SCHEMAS) == schemas
    left = [name for (name,) in database.fetch(DATABASES) if _is_ours(database, name)]
    assert left == []


def _is_ours(database: Database, name: str) -> bool:
    found = "SELECT shobj_description(oid, 'pg_database') FROM pg_database WHERE datname = %s"
    rows = database.fetch(found, [name])
    return bool(rows) and rows[0][0] == MARK.format(database.name)


@pytest.mark.slow
@pytest.mark.usefixtures("nothing_left")
def test_both_lineages_are_run_in_a_database_of_their_own(project: Project) -> None:
    found = project.run("check", "--replay", "--json").json
    assert [one["downgrade"] for one in found["revisions"]] == ["sound"]
    assert found["is_complete"]
    assert found["replay"]["differences"] == []
    assert "1 sound" in project.run("check").out


def test_extensions_are_where_the_real_database_has_them(
    tmp_path: Path, database16: Database
) -> None:
    database16.execute('CREATE SCHEMA "My ext"; CREATE EXTENSION vector SCHEMA "My ext"')
    project = _project(tmp_path, database16, CUSTOMER, PLACE)
    project.settings('shared_schema = "core"\nextension_schemas = ["My ext"]')
    assert "2 sound" in project.run("check").out


@pytest.mark.slow
@pytest.mark.usefixtures("nothing_left")
def test_a_shared_lineage_that_fails_is_told(project: Project) -> None:
    script = project.folder / "shared" / "versions" / "s1.py"
    script.write_text(script.read_text().replace("'nl'", "'much too long'"))
    refused = project.refuse("check")
    assert "The shared lineage cannot be upgraded to its head in a scratch database" in refused
    assert "revision s1: value too long" in refused


def test_the_scratch_database_is_of_the_same_kind(tmp_path: Path, database: Database) -> None:
    name = f"{database.name}_latin"
    database.execute(
        f"CREATE DATABASE {name} TEMPLATE template0 ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'C'"
    )
    try:
        look = (
            "op.execute(\"DO $$BEGIN ASSERT current_setting('server_encoding') = 'LATIN1'; END$$\")"
        )
        project = _project(tmp_path, database, (CUSTOMER[0], look + CUSTOMER[1], CUSTOMER[2]))
        project.url = database.server.url(name)
        assert "1 sound" in project.run("check").out
    finally:
        database.execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.mark.slow
def test_an_extension_that_the_role_may_not_make_is_no_obstacle(
    tmp_path: Path, database16: Database
) -> None:
    """As without CREATEDB: the history is run in the database itself."""
    alone = ("r1", "op.execute('CREATE TABLE thing (id int)')", "op.drop_table('thing')")
    project = _project(tmp_path, database16, alone)
    role = f"makes_{database16.name}"
    database16.execute("CREATE EXTENSION vector")
    database16.execute(f"CREATE ROLE {role} LOGIN CREATEDB PASSWORD 'word'")
    try:
        database16.execute(f"GRANT CREATE ON DATABASE {database16.name} TO {role}")
        parts = database16.connect().info
        project.url = f"postgresql://{role}:word@{parts.host}:{parts.port}/{parts.dbname}"
        assert "1 sound" in project.run("check").out
        left = [name for (name,) in database16.fetch(DATABASES) if _is_ours(database16, name)]
        assert left == []
    finally:
        database16.execute(f"DROP OWNED BY {role}; DROP ROLE {role}")


def test_what_a_killed_check_left_goes(project: Project, database: Database) -> None:
    comment = MARK.format(database.name)
    for name, said in (("tenantmig_scratch_a", comment), ("tenantmig_scratch_b", "mine")):
        database.execute(f"CREATE DATABASE {name}")
        database.execute(f"COMMENT ON DATABASE {name} IS '{said}'")
    try:
        project.run("check")
        assert ("tenantmig_scratch_a",) not in database.fetch(DATABASES)
        assert ("tenantmig_scratch_b",) in database.fetch(DATABASES)
    finally:
        database.execute("DROP DATABASE tenantmig_scratch_b")


@pytest.mark.parametrize("why", ["a table is there", "may not create databases"])
def test_where_it_cannot_be_done_the_missing_table_is_told(
    project: Project, database: Database, why: str
) -> None:
    database.execute("CREATE SCHEMA core")
    if why == "a table is there":
        database.execute("CREATE SCHEMA billing; CREATE TABLE billing.plan ()")
        assert BEHIND in project.run("check", expect=2).error
        return
    role = f"no_createdb_{database.name}"
    database.execute(f"CREATE ROLE {role} LOGIN PASSWORD 'word' NOSUPERUSER")
    try:
        database.execute(f"GRANT CREATE ON DATABASE {database.name} TO {role}")
        database.execute(f"GRANT USAGE ON SCHEMA core TO {role}")
        parts = database.connect().info
        project.url = f"postgresql://{role}:word@{parts.host}:{parts.port}/{parts.dbname}"
        assert BEHIND in project.run("check", expect=2).error
    finally:
        database.execute(f"DROP OWNED BY {role}; DROP ROLE {role}")

"""The first door: plain `alembic` with this repository's env.py, one tenant at a time."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest
from psycopg import sql

from tenantmig.domain.database_url import DatabaseUrl
from tenantmig.postgres.connection import SessionOptions
from tenantmig.postgres.session import TenantSession
from tests.fixtures.command import REPOSITORY, Project
from tests.fixtures.database import Database
from tests.fixtures.oracles import catalog, content, untouched_mark

HEAD = max((REPOSITORY / "alembic" / "versions").glob("*.py")).name[:4]
ODD = "Ünit \"1\" & 'x'"


def _make(database: Database, *schemas: str) -> None:
    for schema in schemas:
        database.connect().execute(sql.SQL("CREATE SCHEMA {}").format(sql.Identifier(schema)))


def _version(database: Database, schema: str) -> list[tuple[str, ...]]:
    table = sql.Identifier(schema, "alembic_version")
    query = sql.SQL("SELECT version_num FROM {}").format(table)
    return database.connect().execute(query).fetchall()


# -- which tenant ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["upgrade", "head"], r"Name a tenant: alembic -x tenant=NAME"),
        (["current"], r"Name a tenant"),
        (["upgrade", "head", "--sql"], r"Name a tenant"),
        (["-x", "tenant=", "upgrade", "head"], r"Name a tenant"),
        (["-x", "tenant=nobody", "upgrade", "head"], r'no schema called "nobody"'),
        (["-x", "tenant=Acme", "upgrade", "head"], r'"Acme" is not allowed'),
        (["-x", "tenant=public", "upgrade", "head"], r'"public" is not allowed'),
        (["-x", "tenant=a", "-x", "schema=public", "upgrade", "head"], r'"public" is not allowed'),
        (["-x", "tenant=a", "-x", "schema=gone", "upgrade", "head"], r'"gone" does not exist'),
    ],
)
def test_without_a_usable_tenant_one_sentence_says_so(
    project: Project, database: Database, arguments: list[str], sentence: str
) -> None:
    _make(database, "acme")
    before = untouched_mark(database.connect())
    result = project.alembic(*arguments, expect=None)
    assert result.code != 0
    assert re.search(sentence, result.out)
    assert untouched_mark(database.connect()) == before
    lines = (result.out + result.err).strip().splitlines()
    assert len(lines) == 1, lines[0]


def test_the_history_can_be_read_without_a_tenant(project: Project) -> None:
    project.url = "postgresql://nobody@127.0.0.1:1/nowhere"
    assert f"-> {HEAD} (head)" in project.alembic("history").out
    assert project.alembic("heads").out.split() == [HEAD, "(head)"]


def test_a_schema_that_no_source_lists_is_a_tenant_by_its_name(
    project: Project, database: Database
) -> None:
    _make(database, "acme", "beta")
    before = catalog(database.connect(), "beta")
    project.alembic("-x", "tenant=acme", "upgrade", "0002")
    assert _version(database, "acme") == [("0002",)]
    assert catalog(database.connect(), "beta") == before
    assert database.fetch("SELECT to_regnamespace('tenantmig') IS NULL") == [(True,)]


@pytest.mark.slow
@pytest.mark.parametrize("schema", ["other", ODD])
def test_a_schema_is_looked_up_never_derived(
    project: Project, database: Database, schema: str
) -> None:
    _make(database, "acme", schema)
    (project.folder / "tenants.csv").write_text(f'acme,"{schema.replace(chr(34), chr(34) * 2)}"\n')
    project.settings('source = "file"\nsource_file = "tenants.csv"\nnames = "wide"\n')
    project.alembic("-x", "tenant=acme", "upgrade", "head")
    assert _version(database, schema) == [(HEAD,)]
    assert content(database.connect(), "acme") == {}
    assert project.alembic("-x", "tenant=acme", "current").out.split() == [HEAD, "(head)"]


def test_the_schema_of_another_tenant_is_no_name(project: Project, database: Database) -> None:
    _make(database, "other")
    (project.folder / "tenants.csv").write_text("acme,other\n")
    project.settings('source = "file"\nsource_file = "tenants.csv"\n')
    result = project.alembic("-x", "tenant=other", "upgrade", "head", expect=None)
    assert result.code != 0
    assert '"other" is the schema of the tenant "acme"; use that name.' in result.out
    assert content(database.connect(), "other") == {}


def test_a_tenant_that_is_being_migrated_is_left_alone(
    project: Project, database: Database
) -> None:
    _make(database, "acme")
    project.settings('tenant_lock_timeout = "100ms"\n')
    session = TenantSession(SessionOptions(DatabaseUrl.parse(database.url)))
    try:
        session.enter("acme")
        result = project.alembic("-x", "tenant=acme", "upgrade", "head", expect=None)
    finally:
        session.close()
    assert result.code != 0
    assert 'Another session is migrating the tenant schema "acme"' in result.out
    assert content(database.connect(), "acme") == {}


# -- what it does ---------------------------------------------------------------------------


@pytest.mark.slow
def test_upgrade_downgrade_and_stamp(project: Project, database: Database) -> None:
    _make(database, "acme", "beta")
    connection = database.connect()
    untouched = untouched_mark(connection, ["acme"])
    project.alembic("-x", "tenant=acme", "upgrade", "0013")
    before = catalog(connection, "acme"), content(connection, "acme")
    project.alembic("-x", "tenant=acme", "upgrade", "+1")
    assert _version(database, "acme") == [("0014",)]
    project.alembic("-x", "tenant=acme", "downgrade", "-1")
    assert (catalog(connection, "acme"), content(connection, "acme")) == before
    project.alembic("-x", "tenant=acme", "stamp", "head")
    after = catalog(connection, "acme")
    assert after.pop("version") == {"alembic_version": [f"({HEAD})"]}
    before[0].pop("version")
    assert after == before[0]
    assert untouched_mark(connection, ["acme"]) == untouched


@pytest.mark.slow
def test_an_irreversible_revision_stops_a_downgrade_with_its_reason(
    project: Project, database: Database
) -> None:
    _make(database, "acme")
    project.alembic("-x", "tenant=acme", "upgrade", "0006")
    before = catalog(database.connect(), "acme")
    result = project.alembic("-x", "tenant=acme", "downgrade", "0005", expect=None)
    assert result.code != 0
    assert "cannot be downgraded: the password hashes were destroyed." in result.out
    assert catalog(database.connect(), "acme") == before


def test_a_script_that_leaves_the_tenant_is_rolled_back(
    project: Project, database: Database
) -> None:
    _make(database, "acme", "beta")
    location = _copy(project)
    text = "op.execute('CREATE TABLE mine ()'); op.execute('SET search_path TO beta')"
    _add_script(location, "9999", text)
    project.alembic("-x", "tenant=acme", "upgrade", HEAD)
    before = catalog(database.connect(), "acme")
    result = project.alembic("-x", "tenant=acme", "upgrade", "head", expect=None)
    assert result.code != 0
    assert 'from the tenant schema "acme" to "beta"' in result.out
    assert catalog(database.connect(), "acme") == before
    assert content(database.connect(), "beta") == {}


@pytest.mark.slow
@pytest.mark.parametrize("tenant", ["acme", "id", ODD])
def test_the_offline_sql_does_what_the_online_upgrade_does(
    project: Project, database: Database, tenant: str
) -> None:
    project.settings('names = "wide"\n')
    _make(database, tenant, "online")
    script = project.alembic("-x", f"tenant={tenant}", "upgrade", "head", "--sql").out
    assert "public" not in script
    connection = database.connect()
    assert catalog(connection, tenant)["relations"] == {}
    for statement in _statements(script):
        connection.execute(statement.encode())
    project.alembic("-x", "tenant=online", "upgrade", "head")
    fresh = database.connect()
    assert catalog(fresh, tenant) == catalog(fresh, "online")
    assert content(fresh, tenant) == content(fresh, "online")


def _statements(script: str) -> list[str]:
    """Split a script as psql does: CREATE INDEX CONCURRENTLY must be sent alone."""
    bodies: list[str] = []

    def hide(body: re.Match[str]) -> str:
        bodies.append(body[0])
        return f"\0{len(bodies) - 1}\0"

    parts = re.sub(r"\$\$.*?\$\$", hide, script, flags=re.DOTALL).split(";")
    shown = (re.sub(r"\0(\d+)\0", lambda found: bodies[int(found[1])], part) for part in parts)
    return [part for part in shown if part.strip()]


def test_the_offline_sql_asks_no_database(project: Project) -> None:
    project.url = "postgresql://nobody@127.0.0.1:1/nowhere"
    out = project.alembic("-x", "tenant=acme", "upgrade", "0013:0014", "--sql").out
    assert "SET search_path = acme, pg_temp" in out or 'SET search_path = "acme", pg_temp' in out
    assert "time_zone" in out
    assert "CREATE TABLE" not in out


# -- autogenerate ---------------------------------------------------------------------------


def _copy(project: Project) -> Path:
    """Give the project a copy of this repository's history; scripts may be written into it."""
    location = project.folder / "history"
    shutil.copytree(project.script_location, location)
    project.script_location = location
    project.__post_init__()
    return location


def _add_script(location: Path, revision: str, upgrade: str) -> None:
    (location / "versions" / f"{revision}.py").write_text(
        f'"""{revision}"""\nfrom alembic import op\nrevision = "{revision}"\n'
        f'down_revision = "{HEAD}"\n\n\ndef upgrade():\n    {upgrade}\n'
        "\n\ndef downgrade():\n    pass\n"
    )


def _generated(project: Project, location: Path, tenant: str) -> str:
    before = set((location / "versions").iterdir())
    project.alembic("-x", f"tenant={tenant}", "revision", "--autogenerate", "-m", "probe")
    (script,) = set((location / "versions").glob("*.py")) - before
    text = script.read_text()
    script.unlink()
    return text


@pytest.mark.slow
@pytest.mark.parametrize("tenant", ["acme", "id", ODD])
def test_at_head_autogenerate_finds_nothing_to_do(
    project: Project, database: Database, tenant: str
) -> None:
    project.settings('names = "wide"\n')
    location = _copy(project)
    _make(database, tenant, "neighbour")
    database.execute("CREATE TABLE neighbour.alien (id int)")
    database.execute("CREATE TABLE public.shared (id int)")
    database.allow_public("shared")
    project.alembic("-x", f"tenant={tenant}", "upgrade", "head")
    script = _generated(project, location, tenant)
    assert f'down_revision = "{HEAD}"' in script or f"down_revision = '{HEAD}'" in script
    assert "op." not in script.replace("from alembic import op", "")


@pytest.mark.slow
def test_autogenerate_finds_what_a_tenant_lacks_and_names_no_schema(
    project: Project, database: Database
) -> None:
    location = _copy(project)
    _make(database, "acme")
    project.alembic("-x", "tenant=acme", "upgrade", "head")
    database.execute("ALTER TABLE acme.users DROP COLUMN time_zone; CREATE TABLE acme.extra ()")
    script = _generated(project, location, "acme")
    assert re.search(r"op\.add_column\(\s*['\"]users['\"],\s*sa\.Column\(\s*['\"]time_zone", script)
    assert re.search(r"op\.drop_table\(\s*['\"]extra['\"]", script)
    assert "acme" not in script
    assert "schema=" not in script


def test_the_repositorys_history_was_not_written_to() -> None:
    names = [path.name for path in (REPOSITORY / "alembic" / "versions").glob("*.py")]
    assert all(re.fullmatch(r"\d{4}_\w+\.py", name) and "probe" not in name for name in names)

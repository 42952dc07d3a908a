"""What an env.py written by hand for tenants does by itself: told before a run, refused in one."""

from __future__ import annotations

from pathlib import Path

import pytest

from tenantmig import Fleet, Tenant
from tenantmig.history.adaptation.adapt_env import adapt_env
from tests.fixtures.command import REPOSITORY, Project
from tests.fixtures.database import Database
from tests.fixtures.history import write_history
from tests.fixtures.in_process import Ask

ENV = (REPOSITORY / "tenantmig" / "history" / "templates" / "env.py.txt").read_text()
SESSION = "    with tenant.session() as connection:\n"
RUN = "            context.run_migrations()\n"
HEAD = "import sqlalchemy as sa\nfrom sqlalchemy import text\n"
NAME = 'schema = context.get_x_argument(as_dictionary=True)["schema"]'
READS = 'connection.execute(text("SELECT 1 FROM pg_namespace")).all()\nconnection.commit()\n'
SET = "connection.execute(text(f'SET search_path TO \"{schema}\"'))\nconnection.commit()\n"
COOKBOOK = f"{NAME}\n{SET}connection.dialect.default_schema_name = schema\n"
CREATES = "connection.execute(text('CREATE SCHEMA IF NOT EXISTS \"stray\"'))\nconnection.commit()\n"
CONFIG = "connection.execute(text(\"SELECT set_config('search_path', :name, false)\"),"
UPDATE = "connection.exec_driver_sql(\"UPDATE pg_settings SET setting = 'public'"
TOLD = {
    "creates": (CREATES, "env.py sends CREATE SCHEMA itself"),
    "makes its own": (
        f"{NAME}\nconnection.execute(sa.schema.CreateSchema(schema, if_not_exists=True))\n",
        "CREATE SCHEMA",
    ),
    "after the cookbook": (COOKBOOK + CREATES, "CREATE SCHEMA"),
    "in a DO block": (
        "connection.exec_driver_sql(\"DO $$BEGIN EXECUTE 'CREATE SCHEMA stray'; END$$\")\n",
        "DO, with a schema or search_path",
    ),
    "second of two": ("connection.exec_driver_sql('SELECT 1; CREATE SCHEMA stray')\n", "CREATE"),
    "raw cursor": (
        "connection.connection.cursor().execute('CREATE SCHEMA stray')\n",
        "CREATE SCHEMA",
    ),
    "raw connection": (
        "connection.connection.driver_connection.execute('CREATE SCHEMA stray')\n",
        "CREATE SCHEMA",
    ),
    "path and public": (
        f"{NAME}\nconnection.exec_driver_sql(f'SET search_path TO \"{{schema}}\", public')\n",
        "SET search_path",
    ),
    "name, not schema": (
        "connection.exec_driver_sql(f'SET search_path TO \"{tenant.name}\"')\n",
        "SET search_path",
    ),
    "set_config": (
        f"{CONFIG} {{'name': tenant.name}})\n",
        "set_config('search_path', ...)",
    ),
    "pg_settings": (
        f"{UPDATE} WHERE name = 'search_path'\")\n",
        "UPDATE pg_settings",
    ),
    "reset": ("connection.exec_driver_sql('RESET ALL')\n", "RESET ALL"),
    "for the login": (
        "connection.exec_driver_sql('ALTER ROLE CURRENT_USER SET search_path = public')\n",
        "ALTER ... SET search_path",
    ),
    "swallows": (
        f"try:\n    {CREATES.splitlines()[0]}\nexcept BaseException:\n    pass\n",
        "CREATE SCHEMA",
    ),
    "dialect": (
        "connection.dialect.default_schema_name = tenant.name\n",
        "keep connection.dialect.default_schema_name",
    ),
    "object": (
        "connection.dialect.default_schema_name = tenant\n",
        "keep connection.dialect.default_schema_name",
    ),
    "map": (
        "connection = connection.execution_options(schema_translate_map={None: tenant.name})\n",
        "not change the schema_translate_map",
    ),
    "left open": (f"{NAME}\n{SET.splitlines()[0]}\n", "execute nothing before context.configure()"),
}
FITS = {
    "nothing": "",
    "the cookbook": COOKBOOK,
    "our own name in a text": SET.replace("{schema}", "{tenant}"),
    "set_config of the same": (
        "connection.execute(text(\"SELECT set_config('search_path', :name, false)\"),"
        " {'name': tenant.schema})\nconnection.commit()\n"
    ),
    "with pg_temp": SET.replace('"{schema}"', '"{tenant}", pg_temp'),
    "a limit of its own": "connection.exec_driver_sql(\"SET lock_timeout = '1s'\")\n"
    "connection.commit()\n",
    "a role of its own": (
        "connection.exec_driver_sql('SET ROLE pg_monitor')\nconnection.commit()\n"
    ),
    "reads": READS,
    "reads the column schema": "connection.exec_driver_sql(\"SELECT 'CREATE SCHEMA x' AS schema\")"
    "\nconnection.commit()\n",
    "the same map": "connection = connection.execution_options(schema_translate_map="
    "{None: tenant.schema, 'tenant': tenant.schema, 'shared': 'public'})\n",
}


def _write(project: Path, before: str, after: str = "") -> None:
    lines = "".join(f"        {line}\n" for line in before.splitlines())
    more = "".join(f"        {line}\n" for line in after.splitlines())
    text = ENV.replace(SESSION, SESSION + lines, 1).replace(RUN, RUN + more, 1)
    (project / "history" / "env.py").write_text(HEAD + text)


@pytest.fixture
def project(tmp_path: Path, database: Database) -> Project:
    """A project with one revision and the tenant Acme, whose schema has another name."""
    history = write_history(
        tmp_path / "history", ("r1", "op.create_table('thing', sa.Column('id', sa.Integer))")
    )
    made = Project(tmp_path, database.url, history)
    made.settings('source = "file"\nsource_file = "tenants.csv"\nnames = "wide"\n')
    (tmp_path / "tenants.csv").write_text("Acme,tenant_acme\n")
    database.execute(
        "CREATE SCHEMA tenant_acme CREATE TABLE alembic_version (version_num varchar(32) NOT NULL"
        " CONSTRAINT alembic_version_pkc PRIMARY KEY)"
    )
    return made


def _schemas(database: Database) -> set[str]:
    rows = database.fetch(
        "SELECT nspname FROM pg_namespace WHERE nspname NOT LIKE 'pg\\_%'"
        " AND nspname NOT IN ('public', 'information_schema', 'tenantmig')"
    )
    return {str(row[0]) for row in rows}


@pytest.mark.slow
def test_the_look_tells_what_env_py_sends_and_lets_the_rest_be(
    project: Project, database: Database
) -> None:
    fleet = Fleet.open(project.ini, database_url=database.url)
    acme = Tenant("Acme", "tenant_acme")
    for name, (before, said) in TOLD.items():
        _write(project.folder, before)
        told = fleet._driver.engines.look_at_env([acme])
        assert told is not None, name
        assert said in told, (name, told)
        assert "`tenantmig init --adapt` shows what env.py must change" in told, (name, told)
        assert "env.py, line " in told, (name, told)
    assert _schemas(database) == {"tenant_acme"}
    for name, before in FITS.items():
        _write(project.folder, before)
        fleet = Fleet.open(project.ini, database_url=database.url)
        assert fleet._driver.engines.look_at_env([acme]) is None, name


@pytest.mark.slow
def test_every_command_says_so_and_status_goes_on(
    project: Project, database: Database, ask: Ask
) -> None:
    _write(project.folder, NAME + "\n" + CREATES)
    line = (
        (project.folder / "history" / "env.py")
        .read_text()
        .splitlines()
        .index("        " + CREATES.splitlines()[0])
    )
    for command in (("plan",), ("upgrade", "--dry-run"), ("upgrade",), ("check",)):
        told = ask(project, *command, expect=2).err
        assert f"env.py, line {line + 1}: env.py sends CREATE SCHEMA itself" in told
    assert "CREATE SCHEMA" in ask(project, "status", "--json").json["env_problem"]
    assert _schemas(database) == {"tenant_acme"}


ENGINE = "engine = sa.create_engine({url!r})\nwith engine.begin() as other:\n    other.{act}\n"
UNSEEN = {
    "after a read": (READS + CREATES, "", False),
    "swallowed": (
        f"{READS}try:\n    {CREATES.splitlines()[0]}\nexcept Exception:\n    pass\n", "", False
    ),
    "after the revisions": (READS, CREATES, True),
    "over an engine of its own": (
        ENGINE.replace("{act}", "execute(text('CREATE SCHEMA stray'))"), "", False
    ),
    "over a connection beside": (
        READS + "with connection.engine.connect() as other:\n"
        "    other.exec_driver_sql('CREATE SCHEMA stray')\n", "", False
    ),
    "path": (
        READS + "connection.exec_driver_sql('SET search_path = public')\nconnection.commit()\n",
        "", False
    ),
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize(("before", "after", "is_run"), UNSEEN.values(), ids=UNSEEN)
def test_what_the_look_cannot_see_is_refused_in_the_run(
    project: Project, database: Database, before: str, after: str, is_run: bool
) -> None:
    _write(project.folder, before.replace("{url!r}", repr(_sqlalchemy(database.url))), after)
    fleet = Fleet.open(project.ini, database_url=database.url)
    report = fleet.upgrade()
    told = report.tenants[0]
    assert told.outcome == ("upgraded" if is_run else "failed"), told
    assert "itself, which can create a tenant's tables in another schema" in str(told.error)
    assert "part of the revision" not in str(told.error)
    assert _schemas(database) == {"tenant_acme"}
    found = database.fetch("SELECT table_schema FROM information_schema.tables"
                             " WHERE table_name = 'thing'")  # fmt: skip
    assert [row[0] for row in found] == (["tenant_acme"] if is_run else [])


@pytest.mark.slow
def test_an_engine_of_its_own_may_read_and_the_cookbook_runs(
    project: Project, database: Database
) -> None:
    reads = ENGINE.replace("{act}", "exec_driver_sql('SET search_path = public')")
    _write(project.folder, reads.replace("{url!r}", repr(_sqlalchemy(database.url))) + COOKBOOK)
    report = Fleet.open(project.ini, database_url=database.url).upgrade()
    assert report.tenants[0].outcome == "upgraded", report
    assert database.fetch("SELECT FROM tenant_acme.thing") == []


BY_HAND = """
import asyncio
from alembic import context
from sqlalchemy import create_engine, text
from sqlalchemy.ext.asyncio import create_async_engine
config = context.config
config.set_main_option("sqlalchemy.url", {url!r})
{name} = context.get_x_argument(as_dictionary=True).get("tenant")
if not {name}:
    raise SystemExit("say which")
{function}
    connection.execute(text(f'CREATE SCHEMA IF NOT EXISTS "{{{name}}}"'))
    connection.execute(text(f'SET search_path TO "{{{name}}}"'))
    connection.commit()
    connection.dialect.default_schema_name = {name}
    context.configure(connection=connection, version_table_schema={name})
    with context.begin_transaction():
        context.run_migrations()
async def main():
    engine = create_async_engine(config.get_main_option("sqlalchemy.url"))
    async with engine.connect() as connection:
        await connection.run_sync(do_run_migrations)
if context.is_offline_mode():
    raise SystemExit("not supported")
asyncio.run(main())
"""


@pytest.mark.slow
@pytest.mark.parametrize("name", ["tenant", "schema"])
def test_what_was_written_by_hand_and_is_adapted_serves_a_tenant_of_another_name(
    project: Project, database: Database, name: str
) -> None:
    url = _sqlalchemy(database.url)
    text = BY_HAND.format(name=name, url=url, function="def do_run_migrations(connection):")
    adapted = adapt_env(text, "env.py")
    (project.folder / "history" / "env.py").write_text(adapted)
    report = Fleet.open(project.ini, database_url=database.url).upgrade()
    assert report.tenants[0].outcome == "upgraded", report
    assert database.fetch("SELECT FROM tenant_acme.thing") == []
    assert _schemas(database) == {"tenant_acme"}
    for told in (("tenant=Acme",), ("tenant=tenant_acme", "-x", "schema=tenant_acme")):
        shown = project.run("-x", *told, "current", program="alembic")
        assert "r1 (head)" in shown.out
    assert "SET search_path" in project.run(
        "-x", "tenant=Acme", "upgrade", "head", "--sql", program="alembic"
    ).out  # fmt: skip
    assert _schemas(database) == {"tenant_acme"}


def _sqlalchemy(url: str) -> str:
    return url.replace("postgresql://", "postgresql+psycopg://")

"""Two lineages: the shared tables first, then every tenant; each with a history of its own."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from tenantmig import Fleet, RunOptions
from tests.fixtures.command import REPOSITORY, Project, untouched
from tests.fixtures.database import Database
from tests.fixtures.history import write_history, write_revision

CORE = "core"
COUNTRY = (
    "s1",
    """
op.create_table('country', sa.Column('code', sa.String(2), primary_key=True))
op.execute("INSERT INTO country VALUES ('nl')")
""",
    "op.drop_table('country')",
)
CURRENCY = (
    "s2",
    "op.add_column('country', sa.Column('currency', sa.String(3)))",
    "op.drop_column('country', 'currency')",
)
CUSTOMER = (
    "r1",
    """
op.create_table('customer', sa.Column('id', sa.Integer, primary_key=True),
    sa.Column('country', sa.String(2), sa.ForeignKey('core.country.code')))
op.execute("INSERT INTO customer VALUES (1, 'nl')")
""",
    "op.drop_table('customer')",
)
COLUMNS = """
    SELECT table_schema || '.' || table_name || '.' || column_name
    FROM information_schema.columns
    WHERE table_schema NOT IN ('pg_catalog', 'information_schema', 'tenantmig') ORDER BY 1
"""
HEADS = "SELECT version_num FROM {}.alembic_version"


@pytest.fixture
def project(tmp_path: Path, database: Database) -> Project:
    """A shared history of s1 and s2, one of tenants whose r1 refers to s1, and no tenant yet."""
    database.execute(f"CREATE SCHEMA {CORE}")
    shared = write_history(tmp_path / "shared", COUNTRY, CURRENCY, environment="env_shared.py.txt")
    made = Project(tmp_path, database.url, write_history(tmp_path / "history", CUSTOMER))
    with made.ini.open("a") as ini:
        ini.write(f"\n[shared]\nscript_location = {shared}\npath_separator = os\n")
    made.settings(f'shared_schema = "{CORE}"')
    return made


def add_revision(project: Project, folder: str, *script: str) -> None:
    parent = {"shared": "s2", "history": "r1"}[folder]
    write_revision(project.folder / folder, script[0], parent, *script[1:])


def head_of(database: Database, schema: str) -> str | None:
    rows = database.fetch(HEADS.format(schema))
    return str(rows[0][0]) if rows else None


@pytest.fixture
def fleet(project: Project) -> Project:
    """The same with the shared lineage at its head and two tenants at theirs."""
    project.run("upgrade", "--lineage", "shared")
    project.run("onboard", "acme", "beta")
    return project


# -- upgrade ---------------------------------------------------------------------------------


@pytest.mark.slow
def test_the_shared_lineage_goes_first(fleet: Project, database: Database) -> None:
    add_revision(
        fleet,
        "shared",
        "s3",
        "op.create_table('plan', sa.Column('id', sa.Integer, primary_key=True))",
    )
    add_revision(
        fleet,
        "history",
        "r2",
        "op.add_column('customer', sa.Column('plan', sa.Integer, sa.ForeignKey('core.plan.id')))",
    )
    planned = fleet.run("upgrade", "--dry-run", "--json").json
    assert (planned["lineage"], planned["pending"]) == ("tenant", 2)
    assert planned["shared"]["groups"][0]["revisions"] == ["s3"]
    report = fleet.run("upgrade", "--json").json
    assert (report["lineage"], report["counts"]) == ("tenant", {"upgraded": 2})
    shared = report["shared"]
    assert (shared["lineage"], shared["counts"]) == ("shared", {"upgraded": 1})
    assert shared["run"] < report["run"]
    assert [head_of(database, s) for s in (CORE, "acme", "beta")] == ["s3", "r2", "r2"]
    assert database.fetch("SELECT count(*) FROM acme.customer JOIN core.country ON code = country")
    assert fleet.run("upgrade", "--json").json["shared"] is None


@pytest.mark.slow
def test_if_it_fails_no_tenant_is_touched(fleet: Project, database: Database) -> None:
    add_revision(fleet, "shared", "s3", "op.execute('SELECT 1 / 0')")
    add_revision(fleet, "history", "r2", "op.add_column('customer', sa.Column('x', sa.Integer))")
    with untouched(database, besides=("tenantmig",)):
        report = fleet.run("upgrade", "--json", expect=3).json
    assert (report["lineage"], report["counts"]) == ("shared", {"failed": 1})
    assert "division by zero" in report["tenants"][0]["error"]
    status = fleet.run("status", "--json").json
    assert status["shared"]["tenants"][0]["standing"] == "failed"
    assert status["summary"]["behind"] == 2
    # mended, `resume` finishes the shared run, and only that
    add_revision(fleet, "shared", "s3", "op.execute('CREATE TABLE plan (id int)')")
    resumed = fleet.run("resume", "--json").json
    assert (resumed["run"], resumed["state"]) == (report["run"], "complete")
    assert [head_of(database, s) for s in (CORE, "acme")] == ["s3", "r1"]
    assert fleet.run("upgrade", "--json").json["counts"] == {"upgraded": 2}


@pytest.mark.slow
def test_one_lineage_by_name(fleet: Project, database: Database) -> None:
    add_revision(fleet, "shared", "s3", "op.execute('CREATE TABLE plan (id int)')")
    add_revision(fleet, "history", "r2", "op.add_column('customer', sa.Column('x', sa.Integer))")
    assert fleet.run("upgrade", "--lineage", "tenant", "--json").json["shared"] is None
    assert [head_of(database, s) for s in (CORE, "acme")] == ["s2", "r2"]
    report = fleet.run("upgrade", "s3", "--lineage", "shared", "--json").json
    assert [t["tenant"] for t in report["tenants"]] == ["(shared)"]
    assert head_of(database, CORE) == "s3"


@pytest.mark.slow
def test_what_is_wrong_with_the_tenants_is_told_before_the_shared_tables_are_touched(
    fleet: Project, database: Database
) -> None:
    add_revision(fleet, "shared", "s3", "op.execute('CREATE TABLE plan (id int)')")
    with untouched(database):
        assert "nobody" in fleet.refuse("upgrade", "-t", "nobody")
        assert "r9" in fleet.refuse("upgrade", "r9")


@pytest.mark.slow
@pytest.mark.parametrize("flags", [("--canary", "nobody"), ("--engine", "nothing")])
def test_a_refused_option_is_told_before_the_shared_tables_are_touched(
    fleet: Project, database: Database, flags: tuple[str, str]
) -> None:
    add_revision(fleet, "shared", "s3", "op.execute('CREATE TABLE plan (id int)')")
    with untouched(database):
        fleet.refuse("upgrade", *flags)


@pytest.mark.slow
def test_who_fails_is_told_that_the_tenants_come_after(fleet: Project) -> None:
    add_revision(fleet, "shared", "s3", "op.execute('SELECT 1 / 0')")
    assert "then run: tenantmig upgrade" in fleet.run("upgrade", expect=3).out


@pytest.mark.slow
def test_a_backup_is_of_tenants_alone(fleet: Project, database: Database, tmp_path: Path) -> None:
    add_revision(fleet, "shared", "s3", "op.execute('CREATE TABLE plan (id int)')")
    add_revision(fleet, "history", "r2", "op.add_column('customer', sa.Column('x', sa.Integer))")
    opened = Fleet.open(fleet.ini, database_url=database.url)
    report = opened.upgrade(options=RunOptions(backup=tmp_path / "dumps"))
    assert report.shared is not None
    assert {Path(str(t.backup)).exists() for t in report.tenants} == {True}


# -- the way back, and on --------------------------------------------------------------------


@pytest.mark.slow
def test_there_and_back(fleet: Project, database: Database) -> None:
    report = fleet.run("downgrade", "-1", "--lineage", "shared", "--yes", "--json").json
    assert head_of(database, CORE) == "s1"
    fleet.run("rollback", str(report["run"]), "--yes")
    assert head_of(database, CORE) == "s2"
    assert head_of(database, "acme") == "r1"
    # what tenants refer to stays
    failed = fleet.run("downgrade", "base", "--lineage", "shared", "--yes", "--json", expect=3).json
    assert "depend" in failed["tenants"][0]["error"]
    assert head_of(database, CORE) == "s1"


@pytest.mark.slow
def test_a_stamp(fleet: Project, database: Database) -> None:
    before = database.fetch(COLUMNS)
    fleet.run("stamp", "s1", "--lineage", "shared")
    assert head_of(database, CORE) == "s1"
    assert database.fetch(COLUMNS) == before


def test_plain_alembic_works_and_is_seen(project: Project, database: Database) -> None:
    project.alembic("-n", "shared", "upgrade", "head")
    assert head_of(database, CORE) == "s2"
    assert project.run("upgrade", "--allow-empty", "--json").json["shared"] is None
    project.alembic("-n", "shared", "downgrade", "base")
    script = project.alembic("-n", "shared", "upgrade", "head", "--sql").out
    database.execute(f"DROP TABLE {CORE}.alembic_version")  # the script makes it
    database.execute(script)
    assert head_of(database, CORE) == "s2"
    assert "core.country.currency" in {name for (name,) in database.fetch(COLUMNS)}


@pytest.mark.slow
def test_other_tables_may_be_there_before(project: Project, database: Database) -> None:
    """As with Alembic; a tenant schema that holds tables and says nothing is refused."""
    database.execute(f"CREATE TABLE {CORE}.other (id int)")
    status = project.run("status", "--json").json["shared"]
    assert status["tenants"][0]["standing"] == "behind"
    assert status["tenants"][0]["pending"] == 2
    project.run("upgrade", "--lineage", "shared")
    assert head_of(database, CORE) == "s2"


def test_public_is_the_default(project: Project, database: Database) -> None:
    database.allow_public("country", "alembic_version")
    project.settings("")
    project.run("upgrade", "--lineage", "shared")
    assert head_of(database, "public") == "s2"


# -- new revisions ---------------------------------------------------------------------------

MODELS = """
import sqlalchemy as sa
metadata = sa.MetaData()
sa.Table("country", metadata, sa.Column("code", sa.String(2), primary_key=True),
         sa.Column("currency", sa.String(3)), schema="core")
sa.Table("customer", metadata, sa.Column("id", sa.Integer, primary_key=True),
         sa.Column("country", sa.String(2), sa.ForeignKey("core.country.code")))
"""


@pytest.fixture
def modelled(fleet: Project) -> Project:
    """The fleet with models of both lineages, as the histories have them."""
    for folder in ("shared", "history"):
        env = fleet.folder / folder / "env.py"
        none = "target_metadata = None  # Base.metadata, for --autogenerate\n"
        path = str(fleet.folder / "models.py")
        models = f"import runpy\ntarget_metadata = runpy.run_path({path!r})['metadata']\n"
        assert none in env.read_text()
        env.write_text(env.read_text().replace(none, models))
        shutil.copy(
            REPOSITORY / "tenantmig/history/templates/script.py.mako", fleet.folder / folder
        )
    (fleet.folder / "models.py").write_text(MODELS)
    return fleet


@pytest.mark.slow
@pytest.mark.parametrize("lineage", ["tenant", "shared"])
def test_a_model_that_has_not_changed_makes_no_script(modelled: Project, lineage: str) -> None:
    command = ("revision", "-m", "nothing", "--autogenerate", "--lineage", lineage)
    assert modelled.run(*command, "--json").json["scripts"] == []


@pytest.mark.slow
def test_each_lineage_gets_what_its_models_have(modelled: Project, database: Database) -> None:
    changed = MODELS.replace('"currency", sa.String(3)', '"euro", sa.Boolean()')
    changed = changed.replace('"id", sa.Integer,', '"id", sa.BigInteger,')
    (modelled.folder / "models.py").write_text(changed)
    command = ("revision", "-m", "change", "--autogenerate", "--json", "--lineage")
    with untouched(database):
        shared = modelled.run(*command, "shared").json
        tenant = modelled.run(*command, "tenant").json
        assert "head" in modelled.refuse(*command[:-2], "--lineage", "shared")
    assert {"euro", "currency"} <= set(re.findall(r"\w+", " ".join(shared["changes"])))
    assert "customer" not in shared["scripts"][0]["script"]
    assert "BigInteger" in tenant["scripts"][0]["script"]
    assert "country" not in " ".join(tenant["changes"])
    modelled.run("upgrade")
    assert "core.country.euro" in {name for (name,) in database.fetch(COLUMNS)}


@pytest.mark.slow
def test_the_first_revision_of_the_shared_tables(modelled: Project, database: Database) -> None:
    """There is no version table yet, and none is made."""
    history = write_history(modelled.folder / "new", environment="env_shared.py.txt")
    for name in ("env.py", "script.py.mako"):
        shutil.copy(modelled.folder / "shared" / name, history)
    ini = modelled.ini.read_text()
    assert ini.count(str(modelled.folder / "shared")) == 1
    modelled.ini.write_text(ini.replace(str(modelled.folder / "shared"), str(history)))
    database.execute("CREATE SCHEMA first")
    modelled.settings('shared_schema = "first"')
    (modelled.folder / "models.py").write_text(MODELS.replace("core", "first"))
    with untouched(database):
        command = ("revision", "-m", "first", "--autogenerate", "--lineage", "shared", "--json")
        (change,) = modelled.run(*command).json["changes"]
    assert "create_table('country'" in change
    modelled.run("upgrade", "--lineage", "shared")
    assert "first.country.currency" in {name for (name,) in database.fetch(COLUMNS)}


@pytest.mark.slow
def test_nothing_is_tried_out_in_the_shared_schema(modelled: Project, database: Database) -> None:
    """Not even by an env.py that commits: it holds the customers' rows, and others read it."""
    (modelled.folder / "models.py").write_text(MODELS.replace('"currency"', '"money"'))
    env = modelled.folder / "shared" / "env.py"
    plain = "        with context.begin_transaction():\n            context.run_migrations()\n"
    text = env.read_text()
    assert text.count(plain) == 1
    env.write_text(text.replace(plain, f"{plain}        connection.commit()\n"))
    command = ("revision", "-m", "rename", "--autogenerate", "--lineage", "shared", "--dry-run")
    with untouched(database):
        script = modelled.run(*command).out
    assert "- currency to money?" in script


@pytest.mark.slow
def test_the_sql_of_both(fleet: Project, database: Database) -> None:
    add_revision(fleet, "shared", "s3", "op.execute('CREATE TABLE plan (id int)')")
    add_revision(fleet, "history", "r2", "op.execute('CREATE TABLE seat (id int)')")
    both = fleet.run("plan", "--sql").out
    assert both.index("CREATE TABLE plan") < both.index("CREATE TABLE seat")
    alone = fleet.run("plan", "--sql", "--lineage", "shared").out
    assert "CREATE TABLE plan" in alone
    assert "CREATE TABLE seat" not in alone


# -- status ----------------------------------------------------------------------------------


@pytest.mark.slow
def test_status_shows_both(fleet: Project) -> None:
    status = fleet.run("status", "--json").json
    assert status["shared"]["head"] == "s2"
    assert status["shared"]["tenants"][0] | {"database": ""} == {
        "tenant": "(shared)",
        "schema": CORE,
        "database": "",
        "revision": "s2",
        "state": "active",
        "pending": 0,
        "standing": "at_head",
        "problem": None,
    }
    assert status["summary"]["tenants"] == 2
    assert "Shared lineage, head s2: at head at s2" in fleet.run("status").out
    assert "upgrade of the shared lineage" in fleet.run("show", "1").out


# -- refusals --------------------------------------------------------------------------------


@pytest.mark.slow
def test_refusals(fleet: Project, database: Database) -> None:
    with untouched(database):
        refused = fleet.refuse("upgrade", "--lineage", "shared", "-t", "acme")
        assert "no tenants to select" in refused
        shared = ("--lineage", "shared", "--yes")
        backup = str(fleet.folder / "backup")
        assert "pg_dump" in fleet.refuse("downgrade", "s1", *shared, "--backup", backup)
        assert "cannot be a tenant's" in fleet.refuse("onboard", "other", "--schema", CORE)
        fleet.settings('shared_schema = "nowhere"')
        assert "nowhere" in fleet.refuse("upgrade")
        assert "nowhere" in fleet.refuse("status")
        fleet.settings(f'shared_schema = "{CORE}"\nnames = "wide"')
        assert "shared lineage" in fleet.refuse("onboard", "(shared)")


def test_without_a_section_there_is_none(tmp_path: Path, database: Database) -> None:
    history = write_history(tmp_path / "history", ("r1", "pass"))
    project = Project(tmp_path, database.url, history)
    assert "[shared]" in project.refuse("upgrade", "--lineage", "shared")
    assert project.run("upgrade", "--allow-empty", "--json").json["shared"] is None
    assert project.run("status", "--json").json["shared"] is None

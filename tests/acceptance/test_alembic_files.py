"""Where Alembic finds its environment: pyproject.toml, bytecode, another section; and `-x`."""

from __future__ import annotations

import compileall
import sys
from pathlib import Path

import pytest

from tenantmig.domain.lineage import Lineage
from tenantmig.errors import HistoryError, SettingsError
from tenantmig.fleet.driver import Driver
from tenantmig.history.revisions import History
from tenantmig.settings import load_settings
from tests.fixtures.command import REPOSITORY, Project
from tests.fixtures.database import Database
from tests.fixtures.history import write_history

CREATE = ("r1", "op.create_table('thing', sa.Column('id', sa.Integer))", "op.drop_table('thing')")
SEED = """
if context.get_x_argument(as_dictionary=True).get("data") == "true":
    op.execute("INSERT INTO thing VALUES (7)")
"""
TOML = f"""
[tool.alembic]
script_location = "%(here)s/history"
prepend_sys_path = ["%(here)s", "{REPOSITORY}"]
"""


def _with_x(folder: Path, *scripts: tuple[str, ...]) -> Path:
    history = write_history(folder, CREATE, *scripts)  # type: ignore[arg-type]
    script = history / "versions" / "r2.py"
    script.write_text("from alembic import context\n" + script.read_text())
    return history


@pytest.mark.slow
def test_pyproject_alone_beside_an_ini_and_by_its_name(tmp_path: Path, database: Database) -> None:
    write_history(tmp_path / "history", CREATE)
    project = Project(tmp_path, database.url)
    (tmp_path / "pyproject.toml").write_text(TOML)
    project.ini.unlink()
    project.run("onboard", "acme")
    project.run("status")
    assert "r1 (head)" in project.alembic("-x", "tenant=acme", "current").out
    assert project.run("--config", "pyproject.toml", "status", "--json").json["head"] == "r1"
    project.ini.write_text("[alembic]\nsqlalchemy.url = driver://\n")  # as the template makes it
    assert project.run("status", "--json").json["summary"]["at_head"] == 1
    assert "There is no other.ini" in project.refuse("--config", "other.ini", "status")
    (tmp_path / "pyproject.toml").write_text("[tool.alembic\n")
    assert "pyproject.toml cannot be read" in project.refuse("status")


def test_bytecode_alone_runs_for_each_tenant_in_a_process_of_its_own(
    tmp_path: Path, database: Database
) -> None:
    block = "with op.get_context().autocommit_block():\n    op.execute('SELECT 1')"
    history = write_history(tmp_path / "history", CREATE, ("r2", block))
    project = Project(tmp_path, database.url, history)
    project.ini.write_text(project.ini.read_text() + "sourceless = true\n")
    compileall.compile_dir(history, quiet=1, legacy=True)
    for file in history.rglob("*.py"):
        file.unlink()
    loaded = History(project.ini)
    assert loaded.heads == ("r2",)
    assert "bytecode" in str(loaded.proofs.loading)
    assert "bytecode" in str(loaded.obstacle("r1"))
    assert loaded.obstacle("r2") != loaded.obstacle("r1")  # its autocommit block is seen
    project.run("onboard", "acme", "beta", "gamma")
    ways = project.run("plan", "--json").json
    assert ways["at_target"] == 3
    assert "only as bytecode" in project.refuse("lint")


@pytest.mark.slow
def test_x_reaches_env_py_and_scripts_and_is_kept_for_resume(
    tmp_path: Path, database: Database
) -> None:
    fail = "op.execute('INSERT INTO thing SELECT 1 / count(*) FROM gate')"
    history = _with_x(tmp_path / "history", ("r2", SEED), ("r3", fail))
    env = history / "env.py"
    env.write_text(env.read_text() + "\nassert not context.config.cmd_opts.autogenerate\n")
    project = Project(tmp_path, database.url, history)
    project.run("onboard", "acme", "--to", "r1")
    database.execute("CREATE TABLE acme.gate (id int)")
    project.run("upgrade", "-x", "data=true", "r2")
    assert database.fetch("SELECT id FROM acme.thing") == [(7,)]
    project.run("downgrade", "r1", "-t", "acme", "--yes")
    database.execute("DELETE FROM acme.thing")
    project.run("upgrade", "-x", "data=true", "--attempts", "1", expect=3)
    assert database.fetch("SELECT id FROM acme.thing") == [(7,)]
    database.execute("INSERT INTO acme.gate VALUES (1)")
    project.run("resume")
    run = "SELECT options -> 'x' FROM tenantmig.run ORDER BY id DESC LIMIT 1"
    assert database.fetch(run) == [(["data=true"],)]
    assert "tenantmig sets" in project.refuse("upgrade", "-x", "tenant=beta")
    assert "write key=value" in project.refuse("upgrade", "-x", "=1")


@pytest.mark.slow
def test_the_recipe_for_seed_data(tmp_path: Path, database: Database) -> None:
    history = write_history(tmp_path / "history", ("r1", "pass", "pass"))
    text = (REPOSITORY / "docs" / "guides" / "scripts.md").read_text()
    recipe = text.partition("## Seed data")[2].partition("```python")[2].partition("```")[0]
    (history / "versions" / "r1.py").write_text("revision, down_revision = 'r1', None\n" + recipe)
    project = Project(tmp_path, database.url, history)
    project.run("onboard", "acme", "-x", "data=demo")
    project.run("onboard", "beta", "theta", "gamma")
    counts = "SELECT (SELECT count(*) FROM {}.plan)"
    assert [database.fetch(counts.format(one))[0][0] for one in ("acme", "gamma")] == [2, 0]
    database.execute("CREATE SCHEMA plain")
    project.alembic("-x", "tenant=plain", "-x", "data=demo", "upgrade", "head")
    assert database.fetch(counts.format("plain")) == [(2,)]
    database.execute("CREATE SCHEMA late")
    project.run("tenants", "adopt", "late", "--at", "base")
    assert "INSERT INTO plan" in project.run("plan", "--sql", "-x", "data=demo").out
    assert "INSERT INTO plan" not in project.run("plan", "--sql").out


@pytest.mark.parametrize("is_first", [True, False], ids=["before", "after another"])
def test_a_script_that_runs_something_when_it_is_loaded_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_first: bool
) -> None:
    """Before the first migration of a process, and after one: Alembic then says something else."""
    known = vars(sys.modules["alembic.op"])
    if is_first:
        monkeypatch.delitem(known, "_proxy", raising=False)
    else:
        monkeypatch.setitem(known, "_proxy", None)
    history = write_history(tmp_path / "history", CREATE)
    script = history / "versions" / "r1.py"
    script.write_text(script.read_text() + "\nBIND = op.get_bind()\n")
    (tmp_path / "alembic.ini").write_text(f"[alembic]\nscript_location = {history}\n")
    with pytest.raises(HistoryError, match=r"r1\.py, line \d+, uses BIND = op\.get_bind\(\)"):
        History(tmp_path / "alembic.ini")
    script.write_text(script.read_text().replace("op.get_bind()", "sa.Table('t')"))
    with pytest.raises(HistoryError, match=r"r1\.py, line \d+"):
        History(tmp_path / "alembic.ini")


def test_the_shared_section_may_have_another_name(tmp_path: Path) -> None:
    history, shared = tmp_path / "history", tmp_path / "common"
    write_history(history, CREATE)
    write_history(shared, ("s1", "pass"), environment="env_shared.py.txt")
    ini = tmp_path / "alembic.ini"
    ini.write_text(
        f"[alembic]\nscript_location = {history}\n[common]\nscript_location = {shared}\n"
    )
    assert not load_settings(config=ini).has_shared_lineage
    named = load_settings(config=ini, shared_section="common")
    assert named.has_shared_lineage
    assert Driver(named).of(Lineage.SHARED).history.heads == ("s1",)
    with pytest.raises(SettingsError, match=r"no section \[shared\]"):
        Driver(load_settings(config=ini)).of(Lineage.SHARED)


OWN = """
class Impl({base}):
    __dialect__ = "postgresql"

    def version_table_impl(self, **facts):
        table = super().version_table_impl(**facts)
        table.c.version_num.type = __import__("sqlalchemy").String(64)
        return table

"""
LONG = "r2_" + "x" * 40
WIDTH = """
    SELECT DISTINCT nspname::text, atttypmod - 4 FROM pg_attribute a
    JOIN pg_class c ON c.oid = attrelid JOIN pg_namespace n ON n.oid = relnamespace
    WHERE relname = 'alembic_version' AND attname = 'version_num' ORDER BY 1
"""


@pytest.mark.slow
def test_long_revision_ids_need_a_wider_column_and_all_make_the_same(
    tmp_path: Path, database: Database
) -> None:
    history = write_history(tmp_path / "history", CREATE, (LONG, "pass"))
    project = Project(tmp_path, database.url, history)
    assert f"'{LONG}' has 43 characters" in project.refuse("onboard", "acme")
    project.settings("version_length = 64\n")
    project.run("onboard", "one", "two", "three", "four")  # by Alembic, and replayed
    project.run("onboard", "base", "--to", "base")
    database.execute("CREATE SCHEMA old; CREATE TABLE old.thing (id int)")
    project.run("tenants", "adopt", "old", "--at", "r1")
    database.execute("CREATE SCHEMA plain")
    project.alembic("-x", "tenant=plain", "upgrade", "head")
    names = ["base", "four", "old", "one", "plain", "three", "two"]
    assert database.fetch(WIDTH) == [(name, 64) for name in names]
    assert "VARCHAR(64)" in project.alembic("-x", "tenant=one", "upgrade", "head", "--sql").out
    database.execute("CREATE SCHEMA narrow")
    project.run("tenants", "adopt", "narrow", "--at", "base")
    database.execute("ALTER TABLE narrow.alembic_version ALTER version_num TYPE varchar(32)")
    widen = 'ALTER TABLE "narrow"."alembic_version" ALTER version_num TYPE varchar(64)'
    assert widen in project.run("upgrade", expect=3).out
    database.execute(widen)
    project.run("upgrade")
    env = history / "env.py"
    plain = env.read_text()
    begin = plain.index("target_metadata =")
    project.settings("")
    for script in (history / "versions").glob(f"{LONG}*"):
        script.write_text(script.read_text().replace(LONG, "r2"))
    theirs = "from alembic.ddl.postgresql import PostgresqlImpl\n" + OWN
    env.write_text(plain[:begin] + theirs.format(base="PostgresqlImpl") + plain[begin:])
    assert "derive Impl from tenantmig.env.TenantImpl" in project.refuse("plan")
    ours = "from tenantmig.env import TenantImpl\n" + OWN
    env.write_text(plain[:begin] + ours.format(base="TenantImpl") + plain[begin:])
    assert "or set version_length = 64" in project.refuse("plan")

"""Blueprints in the ledger: for the next onboarding, as long as all is as it was."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tenantmig import Fleet, RunReport
from tests.fixtures.command import Project
from tests.fixtures.database import Database
from tests.fixtures.history import write_history, write_revision
from tests.fixtures.oracles import catalog, content
from tests.fixtures.rollouts import OpenFleet

SCRIPT = """
from helper import NAME
op.execute(f"CREATE TABLE t (n text DEFAULT '{NAME}')")
op.execute("INSERT INTO t DEFAULT VALUES")
op.get_bind().execute(sa.text("SELECT count(*) FROM t")).scalar()
"""
TAMPER = """
    UPDATE tenantmig.blueprint
       SET content = replace(content, 'CREATE TABLE', 'CREATE UNLOGGED TABLE')
"""


@pytest.fixture
def project(tmp_path: Path, database: Database) -> Path:
    """A project whose history reads a row, so that nothing of it is replayed."""
    (tmp_path / "helper.py").write_text("NAME = 'x'\n")
    Project(tmp_path, database.url, write_history(tmp_path / "history", ("k1", SCRIPT)))
    ini = tmp_path / "alembic.ini"
    ini.write_text(
        ini.read_text().replace("prepend_sys_path = ", f"prepend_sys_path = {tmp_path}:")
    )
    return tmp_path


def engine(report: RunReport, tenant: str) -> str | None:
    assert report.is_complete, [one.error for one in report.tenants]
    return next(one.engine for one in report.tenants if one.tenant == tenant)


def kept(database: Database) -> list[str]:
    return [mark for (mark,) in database.fetch("SELECT mark FROM tenantmig.blueprint")]


def begin(open_fleet: OpenFleet, **settings: object) -> Fleet:
    """Onboard three tenants, of which the third is born by blueprint."""
    fleet = open_fleet(**settings)
    report = fleet.onboard(["a", "b", "c"])
    assert engine(report, "c") == "blueprint", report.obstacles
    return fleet


def test_the_next_onboarding_needs_no_witness(
    project: Path, database: Database, open_fleet: OpenFleet
) -> None:
    begin(open_fleet)
    assert len(kept(database)) == 1
    report = open_fleet().onboard(["d"])
    assert (engine(report, "d"), report.obstacles) == ("blueprint", {})
    with database.connect() as connection:
        for ask in (catalog, content):
            assert ask(connection, "d") == ask(connection, "a")


def change_script(project: Path, _: Database) -> None:
    script = project / "history" / "versions" / "k1.py"
    script.write_text(script.read_text().replace("DEFAULT VALUES", "(n) VALUES ('y')"))


def change_helper(project: Path, _: Database) -> None:
    (project / "helper.py").write_text("NAME = 'y'\n")


def change_env(project: Path, _: Database) -> None:
    with (project / "history" / "env.py").open("a") as env:
        env.write("# changed\n")


def add_revision(project: Path, _: Database) -> None:
    write_revision(project / "history", "k2", "k1", "op.execute('CREATE TABLE more ()')")


def change_shared(_: Path, database: Database) -> None:
    database.allow_public("plan")
    database.execute("CREATE TYPE public.plan AS ENUM ('free')")


def tamper(_: Path, database: Database) -> None:
    database.execute(TAMPER)


def change_setting(_: Path, database: Database) -> None:
    database.execute(f"ALTER DATABASE {database.name} SET bytea_output = 'escape'")


CHANGES = [
    change_script,
    change_helper,
    change_env,
    add_revision,
    change_shared,
    change_setting,
    tamper,
]
SAME_MARK = (change_helper, add_revision, tamper)


@pytest.mark.parametrize("change", CHANGES)
def test_after_a_change_it_is_made_anew(
    change: Callable[[Path, Database], None],
    project: Path,
    database: Database,
    open_fleet: OpenFleet,
) -> None:
    begin(open_fleet)
    before = kept(database)
    change(project, database)
    report = open_fleet().onboard(["d", "e", "f"])
    assert [engine(report, name) for name in "def"] == ["alembic", "alembic", "blueprint"]
    with database.connect() as connection:
        for ask in (catalog, content):
            assert ask(connection, "f") == ask(connection, "d")
    # those of another target stay
    assert len(kept(database)) == (2 if change is add_revision else 1)
    assert (set(before) <= set(kept(database))) is (change in SAME_MARK)


def test_with_a_signing_key_no_other_text_is_trusted(
    project: Path,
    database: Database,
    open_fleet: OpenFleet,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("TENANTMIG_BACKUP_KEY", "k" * 32)
    begin(open_fleet)
    monkeypatch.setenv("TENANTMIG_BACKUP_KEY", "l" * 32)
    assert engine(open_fleet().onboard(["d"]), "d") == "alembic"


def test_plain_alembic_is_never_replaced(project: Path, open_fleet: OpenFleet) -> None:
    begin(open_fleet)
    assert engine(open_fleet(engine="alembic").onboard(["d"]), "d") == "alembic"


def test_roles_matter_to_scripts_that_ask_for_them(
    tmp_path: Path, database: Database, open_fleet: OpenFleet
) -> None:
    role = f"clerk_{database.name}"[:63]
    script = (
        f"asked = sa.text(\"SELECT count(*) FROM pg_roles WHERE rolname = '{role}'\")\n"
        "if op.get_bind().execute(asked).scalar():\n    op.execute('CREATE TABLE asked ()')"
    )
    Project(tmp_path, database.url, write_history(tmp_path / "history", ("k1", script)))
    begin(open_fleet)
    database.execute(f"CREATE ROLE {role}")
    try:
        assert engine(open_fleet().onboard(["d"]), "d") == "alembic"
        assert database.fetch("SELECT to_regclass('d.asked') IS NOT NULL") == [(True,)]
    finally:
        database.execute(f"DROP ROLE {role}")

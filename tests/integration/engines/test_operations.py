"""Every directive of `alembic.op` lands in the tenant schema, named or not, in each way it can run.

A history that says "tenant" throughout and one that names no schema give the same catalog, object
by object; and rows. Nothing lands anywhere else.
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
import sqlalchemy as sa
from psycopg.sql import Identifier

from tenantmig import Fleet
from tests.fixtures.client_programs import programs_for
from tests.fixtures.command import Project
from tests.fixtures.database import Database, fresh_database
from tests.fixtures.directives import (
    DIRECTIVES,
    IMPURE,
    LAST_PURE,
    NOT_DIRECTIVES,
    OF_NO_TABLE,
    ONLINE,
    OUTSIDE,
    PUBLIC,
    SHARED,
    write_directives,
)
from tests.fixtures.oracles import Catalog, catalog, content, untouched_mark
from tests.fixtures.rollouts import OpenFleet
from tests.fixtures.server import AnyServer

ODD = 'q"uo.te %s:d'
TENANTS = ["acme", "id", ODD, "users"]
NOT_REPLAYED = {"get_bind", *OUTSIDE, *ONLINE}
"""The first has the schema inside a literal, `nextval('acme.more_numbers')`."""
NOT_SHOWN = re.compile(r"^-- The SQL of revision (\w+) is not shown: \S", re.MULTILINE)
Described = tuple[Catalog, dict[str, list[str]]]
Way = Callable[[Project, Fleet, Database], None]


def _by_alembic(project: Project, _: Fleet, database: Database) -> None:
    database.execute(f"CREATE SCHEMA {Identifier(ODD).as_string()}")
    project.alembic("-x", f"tenant={ODD}", "upgrade", "head")


def _by_engine(_: Project, fleet: Fleet, __: Database) -> None:
    assert fleet.onboard(TENANTS[1:3], "start").is_complete
    report = fleet.upgrade()
    assert report.is_complete, [tenant.error for tenant in report.tenants]
    assert {tenant.engine for tenant in report.tenants} == {"alembic"}


def _by_replay(_: Project, fleet: Fleet, __: Database) -> None:
    assert fleet.onboard(TENANTS, "start").is_complete
    report = fleet.upgrade(LAST_PURE)
    assert report.is_complete, [tenant.error for tenant in report.tenants]
    engines = Counter(tenant.engine for tenant in report.tenants)
    assert engines == {"alembic": 2, "replay": 2}, report.obstacles
    _by_alembic_alone(fleet)
    report = fleet.upgrade()
    assert report.is_complete, [tenant.error for tenant in report.tenants]
    assert set(report.obstacles) == NOT_REPLAYED


def _by_alembic_alone(fleet: Fleet) -> None:
    """Run what is not proved pure: no tenant is served by the process of another, or by replay."""
    report = fleet.upgrade(IMPURE[-1])
    assert report.is_complete, [tenant.error for tenant in report.tenants]
    assert {tenant.engine for tenant in report.tenants} == {"alembic"}
    assert report.obstacles.keys() == set(IMPURE)
    for reason in report.obstacles.values():
        assert reason.startswith("each tenant needs its own process: "), reason


def _by_sql(project: Project, _: Fleet, database: Database) -> None:
    database.execute(f"CREATE SCHEMA {Identifier(ODD).as_string()}")
    _psql(database, project.alembic("-x", f"tenant={ODD}", "upgrade", "offline", "--sql").out)
    project.alembic("-x", f"tenant={ODD}", "upgrade", "head")


def _by_plan(project: Project, fleet: Fleet, database: Database) -> None:
    env = project.script_location / "env.py"  # one that says less offline
    text, _, rest = env.read_text().rpartition("        version_table_schema=tenant.schema,\n")
    env.write_text(text + rest)
    assert fleet.onboard(TENANTS[1:2], "start").is_complete
    ((_, whole),) = fleet.plan_sql(fleet.plan("offline"))
    assert tuple(NOT_SHOWN.findall(whole)) == IMPURE
    assert not [word for word in ("more INT", "invoked", "note", "no_async") if word in whole]
    _psql(database, _all_shown(fleet, LAST_PURE))
    assert fleet.upgrade(IMPURE[-1]).is_complete
    _psql(database, _all_shown(fleet, "offline"))
    assert fleet.upgrade().is_complete


def _all_shown(fleet: Fleet, target: str) -> str:
    """The SQL of the only tenant's path, of which nothing is left out."""
    ((_, script),) = fleet.plan_sql(fleet.plan(target))
    assert not NOT_SHOWN.search(script)
    return script


def _psql(database: Database, script: str) -> None:
    psql = programs_for(database.url).folder / "psql"
    command = [str(psql), "-X", "-q", "-v", "ON_ERROR_STOP=1", database.url]
    done = subprocess.run(
        command, input=script, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr


WAYS: dict[str, tuple[Way, str]] = {
    "alembic": (_by_alembic, "alembic"),
    "the alembic engine": (_by_engine, "alembic"),
    "the replay engine": (_by_replay, "auto"),
    "alembic --sql": (_by_sql, "auto"),
    "plan --sql": (_by_plan, "auto"),
}


@pytest.fixture(scope="module")
def expected(server: AnyServer, tmp_path_factory: pytest.TempPathFactory) -> Described:
    """What the history without names makes of a schema that stands alone."""
    folder = tmp_path_factory.mktemp("expected")
    history = write_directives(folder / "history", is_named=False)
    with fresh_database(server) as alone:
        alone.allow_public(*PUBLIC)
        alone.execute(SHARED + "CREATE SCHEMA alone")
        Project(folder, alone.url, history).alembic("-x", "tenant=alone", "upgrade", "head")
        return _described(alone, "alone")


def _described(database: Database, schema: str) -> Described:
    with database.connect() as connection:
        return catalog(connection, schema), content(connection, schema)


@pytest.mark.slow
@pytest.mark.parametrize("is_named", [False, True], ids=["no schema", "schema=tenant"])
@pytest.mark.parametrize("way", WAYS)
def test_every_directive_lands_in_the_tenant(
    way: str,
    is_named: bool,
    tmp_path: Path,
    database: Database,
    open_fleet: OpenFleet,
    expected: Described,
) -> None:
    database.allow_public(*PUBLIC)
    database.execute(SHARED)
    history = write_directives(tmp_path / "history", is_named=is_named)
    project = Project(tmp_path, database.url, history)
    project.settings('names = "wide"\n')
    run, engine = WAYS[way]
    others = [*TENANTS, "tenantmig"]
    before = untouched_mark(database.connect(), others)
    run(project, open_fleet(names="wide", engine=engine), database)
    assert untouched_mark(database.connect(), others) == before
    made = [name for (name,) in database.fetch("SELECT nspname::text FROM pg_namespace")]
    for tenant in sorted(set(made) & set(TENANTS)):
        for ours, theirs in zip(_described(database, tenant), expected, strict=True):
            assert ours == theirs, tenant


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("offline:reads", "'NoneType' object has no attribute 'scalars'"),
        ("reads:reflects", "This operation cannot proceed in --sql mode"),
    ],
)
def test_what_needs_a_connection_is_refused_offline(path: str, reason: str, tmp_path: Path) -> None:
    history = write_directives(tmp_path / "history", is_named=True)
    project = Project(tmp_path, "postgresql://nobody@127.0.0.1:1/nowhere", history)
    result = project.alembic("-x", "tenant=acme", "upgrade", path, "--sql", expect=None)
    assert result.code != 0
    assert reason in result.out + result.err


# -- the table itself ------------------------------------------------------------------------


@pytest.mark.slow
def test_the_table_has_every_directive_of_alembic() -> None:
    directives, in_batch = _public("op"), _public("operations.BatchOperations")
    assert directives == DIRECTIVES.keys() | NOT_DIRECTIVES.keys()
    for name, code in DIRECTIVES.items():
        assert f"op.{name}(" in code, name
    for name in in_batch - NOT_DIRECTIVES.keys() - OF_NO_TABLE:
        assert f"batch_op.{name}(" in DIRECTIVES["batch_alter_table"], name


def _public(what: str) -> set[str]:
    """Ask another process: a script of this one may have registered directives of its own."""
    program = f"from alembic import op, operations; print(*dir({what}))"
    done = subprocess.run([sys.executable, "-c", program], stdout=-1, text=True, check=True)
    return {name for name in done.stdout.split() if name[0] != "_"}


def test_a_name_that_sqlalchemy_derives_has_the_placeholder_in_it() -> None:
    """Which autogenerate expects as well; so a script that wants another gives one."""
    table = sa.Table(
        "users", sa.MetaData(), sa.Column("name", sa.Text, index=True), schema="tenant"
    )
    assert [index.name for index in table.indexes] == ["ix_tenant_users_name"]

"""Wide names: what is taken in is the same tenant for every command, in both engines."""

from __future__ import annotations

from pathlib import Path

import pytest

from tenantmig import Fleet, Selection
from tenantmig.domain.outcome import RunReport
from tenantmig.domain.tenant import EVERYONE, NameRules, TenantState
from tenantmig.errors import SettingsError, TenantNameError
from tests.fixtures.command import Project
from tests.fixtures.database import Database
from tests.fixtures.goldens import describe
from tests.fixtures.history import write_history
from tests.fixtures.rollouts import OpenFleet, stands

NAMES = (
    "%n", "50% off", "%s", "100%(x)s", "it's", 'a"b', "back\\slash", "a b", "--all", "a.b", ":x",
    "a::b", "$1", "{}", "東京", "🦊", "é" * 31 + "x", "a;b", "a,b", "a*b", "?", "a/b", "Select",
    "$(id)",
)  # fmt: skip
REFUSED = ("a[b]", "[", "]", "[SCHEMA__none]", "__[SCHEMA_tenant]", "[bold]x[/]")
TABLE = """
op.create_table(
    "thing", sa.Column("id", sa.Integer, primary_key=True), sa.Column("name", sa.Text, index=True),
    schema="tenant",
)
op.execute(sa.text("INSERT INTO thing (id, name) VALUES (1, '50% [x] \\\\:y')"))
"""
MORE = """
op.create_table(
    "part", sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("thing", sa.Integer, sa.ForeignKey("tenant.thing.id")), schema="tenant",
)
op.add_column("thing", sa.Column("extra", sa.Integer, server_default="5"), schema="tenant")
op.create_index("ix_extra", "thing", ["extra"])
thing = sa.table("thing", sa.column("id", sa.Integer), sa.column("name", sa.Text), schema="tenant")
op.bulk_insert(thing, [{"id": 2, "name": "%s"}])
op.get_bind().execute(sa.update(thing).where(thing.c.id == 2).values(name="two"))
"""
LESS = """
op.drop_table("part", schema="tenant")
op.drop_column("thing", "extra", schema="tenant")
op.execute("DELETE FROM thing WHERE id = 2")
"""
OUTSIDE = """
with op.get_context().autocommit_block():
    op.create_index("ix_late", "thing", ["name"], schema="tenant", postgresql_concurrently=True)
"""
SCRIPTS = (
    ("r1", TABLE, 'op.drop_table("thing", schema="tenant")'),
    ("r2", MORE, LESS),
    ("r3", OUTSIDE, 'op.drop_index("ix_late", schema="tenant")'),
)


@pytest.fixture
def project(tmp_path: Path, database: Database) -> Project:
    """A history of three revisions that name the tenant's schema in several ways."""
    made = Project(tmp_path, database.url, write_history(tmp_path / "history", *SCRIPTS))
    made.settings('names = "wide"\n')
    return made


@pytest.fixture
def wide(open_fleet: OpenFleet, project: Project, engine: str) -> Fleet:
    """Its fleet; nothing is tried twice, so that nothing is taken for a lost connection."""
    facts = {"names": "wide", "canary": "0", "attempts": 1, "parallel": 2}
    return open_fleet(**facts, engine=engine)


def _done(report: RunReport) -> None:
    wrong = {t.tenant: t.error for t in report.tenants if not t.outcome.is_at_target}
    assert not wrong
    assert {t.tenant for t in report.tenants} == set(NAMES)


@pytest.mark.slow
@pytest.mark.parametrize("engine", ["alembic", "auto"])
def test_every_command_serves_every_name(wide: Fleet, project: Project, database: Database) -> None:
    _done(wide.onboard(NAMES, "r1"))
    _done(wide.upgrade())
    assert stands(database, "%n", "50% off") == {"%n": "r3", "50% off": "r3"}
    database.execute("CREATE SCHEMA plain")
    project.alembic("-x", "tenant=plain", "-x", "schema=plain", "upgrade", "head")
    right = describe(database, "plain")
    for name in NAMES:
        assert describe(database, name) == right, name
    drift = wide.drift()
    assert not drift.drifted
    assert not drift.problems
    _done(wide.downgrade("r1", EVERYONE))
    up = wide.upgrade()
    _done(up)
    assert up.run is not None
    _done(wide.rollback(up.run))
    assert wide.status().summary["behind"] == len(NAMES)
    ((_, script),) = wide.plan_sql(wide.plan("head", Selection(names=("%n",))))
    assert 'ALTER TABLE "%n".thing' in script
    _done(wide.stamp("r1", EVERYONE))
    each = Selection(names=NAMES, has_wildcards=False)
    wide.set_state(each, TenantState.SUSPENDED)
    wide.set_state(each, TenantState.ACTIVE)
    assert {t.labels["k"] for t in wide.set_labels(each, {"k": "%s"})} == {"%s"}
    _done(wide.offboard(each))
    assert wide.tenants() == []


@pytest.mark.parametrize("name", REFUSED)
def test_a_bracket_is_refused_before_anything_is_made(
    name: str, open_fleet: OpenFleet, project: Project, database: Database
) -> None:
    with pytest.raises(TenantNameError, match="square bracket"):
        open_fleet(names="wide").onboard([name])
    database.execute('CREATE SCHEMA "a[b]"')
    with pytest.raises(TenantNameError, match="square bracket"):
        open_fleet(names="wide").adopt(["a[b]"])
    assert database.fetch("SELECT FROM pg_namespace WHERE nspname = 'tenantmig'") == []


@pytest.mark.parametrize("setting", ["ledger_schema", "shared_schema", "version_table"])
@pytest.mark.parametrize("name", ["50% off", "a[b", ""])
def test_a_setting_that_is_a_name_is_checked(
    setting: str, name: str, open_fleet: OpenFleet, project: Project
) -> None:
    with pytest.raises(SettingsError, match=setting):
        open_fleet(**{setting: name})


def test_wide_rules_accept_the_table() -> None:
    for name in NAMES:
        assert NameRules(is_wide=True).check(name) == name

"""A tenant's own role attacks the migrator through its schema: nothing of it runs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tenantmig import Fleet
from tenantmig.domain.plan import RunKind
from tenantmig.domain.tenant import EVERYONE
from tests.fixtures.command import Project
from tests.fixtures.database import Database, fresh_database
from tests.fixtures.history import write_history
from tests.fixtures.hostile_tenant import ATTACKS, EVERY_OPERATOR, HONEST, function, loot, plant
from tests.fixtures.rollouts import outcomes, stands
from tests.fixtures.server import AnyServer, Server

CREATE = "op.create_table('users', sa.Column('id', sa.Integer, primary_key=True))"
ADD = "op.add_column('users', sa.Column('a', sa.Text))"
DROP = "op.drop_column('users', 'a')"


@pytest.fixture(params=["newest", "16"])
def database(request: pytest.FixtureRequest, server: AnyServer) -> Iterator[Database]:
    """A database of its own, on the newest PostgreSQL and on 16."""
    old: Server | None = request.getfixturevalue("server16") if request.param == "16" else None
    with fresh_database(old or server) as fresh:
        yield fresh


@pytest.fixture
def role(database: Database) -> Iterator[str]:
    """The role of a tenant, which may create in its own schema and nowhere else."""
    name = f"tenant_{database.name}"
    database.execute(f"CREATE ROLE {name} LOGIN")
    yield name
    database.execute(
        f"DROP FOREIGN DATA WRAPPER IF EXISTS nothing CASCADE; DROP OWNED BY {name} CASCADE;"
        f"DROP ROLE {name}"
    )


@pytest.fixture
def project(tmp_path: Path, database: Database) -> Project:
    history = write_history(tmp_path / "history", ("r1", CREATE, "pass"), ("r2", ADD, DROP))
    return Project(tmp_path, database.url, history)


@pytest.mark.slow
@pytest.mark.parametrize("engine", ["alembic", "auto"])
def test_a_hostile_tenant_is_refused_by_name_and_nothing_of_it_runs(
    project: Project, database: Database, role: str, engine: str
) -> None:
    names = [*ATTACKS, *HONEST]
    with Fleet.open(project.ini, database_url=database.url, engine=engine) as fleet:
        assert fleet.onboard(names, "r1").is_complete
        for name, attack in ATTACKS.items():
            plant(database, role, name, attack.code)
        for name, code in HONEST.items():
            plant(database, role, name, code)
        told = {t.tenant.name: t.problem or "" for t in fleet.status().tenants}
        planned = {p.tenant.name: p.message for p in fleet.plan().problems}
        stamped = {p.tenant.name for p in fleet.plan("r1", kind=RunKind.STAMP).problems}
        report = fleet.upgrade()
    assert loot(database, *names) == {}
    for name, attack in ATTACKS.items():
        assert attack.found in told[name], (name, told[name])
        assert f'"{name}" to `trusted_schemas`' in told[name]
    assert planned.keys() == stamped == ATTACKS.keys()
    assert outcomes(report) == dict.fromkeys(HONEST, "upgraded") | dict.fromkeys(ATTACKS, "failed")
    assert stands(database, *HONEST) == dict.fromkeys(HONEST, "r2")


WAYS = {
    "operator": EVERY_OPERATOR,
    "function": "".join(
        function(declared)
        for declared in (
            "current_schema(VARIADIC varchar[])",
            "set_config(varchar, varchar, boolean)",
            "set_config(text, varchar, boolean)",
            "quote_ident(varchar)",
            "format(text, oid, oid, text)",
            "hashtextextended(varchar, int)",
            "lower(varchar)",
            "has_schema_privilege(oid, varchar)",
        )
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("engine", ["alembic", "auto", "plain"])
def test_what_a_trusted_schema_holds_is_not_called_for_versions_either(
    project: Project, database: Database, role: str, engine: str
) -> None:
    """Nothing is refused with `trusted_schemas`; statements about versions name their operators."""
    # of equal length, as the functions of the first two must be for a replay
    names = ["at_first", "b_second", *WAYS]
    facts = {"database_url": database.url, "trusted_schemas": ("*",), "parallel": 1}
    chosen = engine if engine != "plain" else "auto"
    with Fleet.open(project.ini, engine=chosen, **facts) as fleet:
        assert fleet.onboard(names, "r1").is_complete
        for name in names:
            plant(database, role, name, WAYS.get(name, ""))
        assert {t.problem for t in fleet.status().tenants} == {None}
        if engine == "plain":
            project.settings("trusted_schemas = ['*']")
            for name in names:
                project.alembic("-x", f"tenant={name}", "upgrade", "head")
                project.alembic("-x", f"tenant={name}", "downgrade", "r1")
        else:
            used = {t.tenant: t.engine for t in fleet.upgrade().tenants}
            assert {used[name] for name in WAYS} == {"replay" if engine == "auto" else "alembic"}
            assert fleet.downgrade("r1", EVERYONE).is_complete
            assert fleet.stamp("r2", EVERYONE).is_complete
    assert loot(database, *names) == {}
    assert stands(database, *names) == dict.fromkeys(names, "r1" if engine == "plain" else "r2")


@pytest.mark.slow
def test_plain_alembic_refuses_as_well(project: Project, database: Database, role: str) -> None:
    with Fleet.open(project.ini, database_url=database.url) as fleet:
        fleet.onboard(["trigger"], "r1")
    plant(database, role, "trigger", ATTACKS["trigger"].code)
    result = project.alembic("-x", "tenant=trigger", "upgrade", "head", expect=255)
    said = result.out + result.err
    assert "it has a trigger" in said
    assert '"trigger" to `trusted_schemas`' in said
    assert "Traceback" not in said
    assert loot(database, "trigger") == {}


FORCED = "op.execute('UPDATE notes SET seen = true')"


@pytest.mark.slow
@pytest.mark.parametrize("engine", ["alembic", "auto"])
def test_a_policy_that_hides_rows_fails_the_revision(
    tmp_path: Path, database: Database, role: str, engine: str
) -> None:
    """The server would change one of two rows and say nothing."""
    make = """op.execute('''CREATE TABLE notes (owner text, seen bool);
    INSERT INTO notes VALUES (current_user), ('another');
    CREATE POLICY own ON notes USING (owner = current_user)''')"""
    history = write_history(tmp_path / "history", ("r1", make), ("r2", FORCED))
    ini = Project(tmp_path, database.url, history).ini
    database.execute(f'GRANT CREATE ON DATABASE "{database.name}" TO {role}')
    facts = {"database_url": database.server.url(database.name, user=role), "engine": engine}
    facts |= {"canary": "3", "max_failures": "100%"}
    names = ["first", "second", "third"]
    force = "ALTER TABLE {}.notes ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;"
    seen = "SELECT count(*) FILTER (WHERE seen) FROM {}.notes"
    with Fleet.open(ini, **facts) as fleet:
        assert fleet.onboard(names, "r1").is_complete
        database.execute("".join(map(force.format, names)))
        report = fleet.upgrade()
        errors = [t.error or "" for t in report.tenants]
        assert all('"notes"' in e and 'row_security = "on"' in e for e in errors), errors
        assert [database.fetch(seen.format(name)) for name in names] == [[(0,)]] * 3
    with Fleet.open(ini, row_security="on", **facts) as fleet:
        assert fleet.upgrade().is_complete
    assert [database.fetch(seen.format(name)) for name in names] == [[(1,)]] * 3

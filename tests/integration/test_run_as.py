"""`run_as = "schema_owner"`: scripts run as the role that owns the tenant schema."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest

from tenantmig import Fleet, RunReport
from tenantmig.errors import PrivilegeError, SettingsError
from tenantmig.settings import load_settings
from tenantmig.tenant import EVERYONE
from tests.fixtures.command import Project
from tests.fixtures.database import Database, fresh_database
from tests.fixtures.history import write_history
from tests.fixtures.oracles import catalog
from tests.fixtures.rollouts import outcomes, stands
from tests.fixtures.server import AnyServer, Server

MAKE = """op.create_table(
        'note', sa.Column('id', sa.Integer, sa.Identity(), primary_key=True),
        sa.Column('body', sa.Text, index=True))
    op.execute("CREATE TYPE mood AS ENUM ('calm')")
    op.execute("CREATE VIEW seen AS SELECT body FROM note")
    op.execute("CREATE FUNCTION total() RETURNS int LANGUAGE sql AS 'SELECT 1'")"""
UNMAKE = """op.execute("DROP FUNCTION total()")
    op.execute("DROP VIEW seen")
    op.execute("DROP TYPE mood")
    op.drop_table('note')"""
FILL = """op.bulk_insert(sa.table('note', sa.column('body')), [{'body': 'one'}, {'body': '100%'}])
    op.add_column('note', sa.Column('length', sa.Integer))
    op.execute('UPDATE note SET length = pg_catalog.length(body)')"""
EMPTY = """op.drop_column('note', 'length')
    op.execute('DELETE FROM note')"""
READ = """found = op.get_bind().execute(sa.text(
        'INSERT INTO note (body, length) VALUES (:body, :length) RETURNING id, body'),
        {'body': 'read', 'length': 4}).all()
    assert [row.body for row in found] == ['read'], found
    rows = op.get_bind().execute(sa.text('SELECT length, body AS b FROM note ORDER BY id')).all()
    assert [tuple(row) for row in rows] == [(3, 'one'), (4, '100%'), (4, 'read')], rows
    changed = op.get_bind().execute(sa.text('UPDATE note SET length = 0')).rowcount
    assert changed == 3, changed"""
BUILD = """with op.get_context().autocommit_block():
        op.create_index('ix_length', 'note', ['length'], postgresql_concurrently=True)
        op.execute("ALTER TYPE mood ADD VALUE 'wild'")
        op.execute("UPDATE note SET length = 1 WHERE body = 'one'")"""
UNBUILD = """with op.get_context().autocommit_block():
        op.drop_index('ix_length', postgresql_concurrently=True)"""
HISTORY = (("r1", MAKE, UNMAKE), ("r2", FILL, EMPTY), ("r3", READ, "pass"), ("r4", BUILD, UNBUILD))
OWNERS = """
    SELECT DISTINCT n.nspname::text, coalesce(c.relname, t.typname, p.proname)::text,
           pg_get_userbyid(coalesce(c.relowner, t.typowner, p.proowner))::text
      FROM pg_namespace AS n
      JOIN pg_depend AS d ON d.refclassid = 'pg_namespace'::regclass AND d.refobjid = n.oid
      LEFT JOIN pg_class AS c ON d.classid = 'pg_class'::regclass AND c.oid = d.objid
      LEFT JOIN pg_type AS t ON d.classid = 'pg_type'::regclass AND t.oid = d.objid
      LEFT JOIN pg_proc AS p ON d.classid = 'pg_proc'::regclass AND p.oid = d.objid
     WHERE n.nspname = ANY(%s)
"""
WALLS = "SELECT nspname FROM pg_namespace WHERE nspname LIKE 'tenantmig\\_wall%%'"


@dataclass
class Estate:
    """A database, the role that migrates in it, and a role for each tenant's schema."""

    database: Database
    migrator: str
    folder: Path

    @property
    def url(self) -> str:
        return self.database.server.url(self.database.name, user=self.migrator)

    @property
    def pattern(self) -> str:
        """The setting `onboard_owner`."""
        return f"{self.migrator}_{{name}}"

    def owner(self, tenant: str) -> str:
        return f"{self.migrator}_{tenant}"

    def make_owners(self, *tenants: str) -> None:
        made = (
            f"CREATE ROLE {self.owner(t)} NOLOGIN; GRANT {self.owner(t)} TO {self.migrator};"
            for t in tenants
        )
        self.database.execute("".join(made))

    def project(self, *scripts: tuple[str, str, str], **settings: object) -> Project:
        lines = [
            (name, *(code.replace("\n    ", "\n") for code in codes))
            for name, *codes in scripts or HISTORY
        ]
        history = write_history(self.folder / "history", *lines)
        made = Project(self.folder, self.url, history)
        facts = {"run_as": "schema_owner", "onboard_owner": self.pattern} | settings
        made.settings("\n".join(f"{key} = {json.dumps(value)}" for key, value in facts.items()))
        return made

    def as_owner(self, tenant: str, code: str) -> None:
        """Run SQL of the tenant's own role in its schema."""
        role = self.owner(tenant)
        self.database.execute(f"SET ROLE {role}; SET search_path = {tenant}; {code}")

    def owners(self, *tenants: str) -> set[tuple[str, str]]:
        """Each tenant whose objects belong to somebody else than its owner, and what these are."""
        found = self.database.fetch(OWNERS, [list(tenants)])
        return {(name, role) for schema, name, role in found if role != self.owner(schema)}


@pytest.fixture(params=["newest", "16"])
def estate(
    request: pytest.FixtureRequest, server: AnyServer, tmp_path: Path
) -> Iterator[Estate]:
    old: Server | None = request.getfixturevalue("server16") if request.param == "16" else None
    with fresh_database(old or server) as database:
        role = f"m{database.name[5:17]}"
        database.execute(
            f'CREATE ROLE {role} LOGIN; GRANT CREATE ON DATABASE "{database.name}" TO {role};'
        )
        yield Estate(database, role, tmp_path)
        made = "SELECT rolname FROM pg_roles WHERE rolname LIKE %s ORDER BY length(rolname) DESC"
        for (name,) in database.fetch(made, [f"{role}%"]):
            database.execute(f'DROP OWNED BY "{name}" CASCADE; DROP ROLE "{name}"')


def done(report: RunReport) -> RunReport:
    """The same, if all went well."""
    assert report.is_complete, {t.error for t in report.tenants}
    return report


def engines(report: RunReport) -> set[str | None]:
    return {tenant.engine for tenant in report.tenants}


@pytest.mark.parametrize("engine", ["alembic", "auto"])
def test_everything_that_scripts_make_belongs_to_the_owner(estate: Estate, engine: str) -> None:
    names = [f"t{number:02}" for number in range(6)]
    estate.make_owners(*names)
    project = estate.project(engine=engine)
    with Fleet.open(project.ini, database_url=estate.url) as fleet:
        done(fleet.onboard(names, "r1"))
        done(fleet.upgrade("r2"))
        done(fleet.upgrade())
        assert estate.owners(*names) == {
            ("alembic_version", estate.migrator), ("alembic_version_pkc", estate.migrator)
        }  # fmt: skip
        done(fleet.downgrade("r1", EVERYONE))
    assert estate.database.fetch(WALLS) == []

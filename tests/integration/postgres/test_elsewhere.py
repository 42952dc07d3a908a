"""Extensions in a configured schema resolve; of a name that is elsewhere the error says where."""

from __future__ import annotations

import uuid
from collections import Counter
from contextlib import closing
from pathlib import Path

import pytest
import sqlalchemy as sa

from tenantmig import Fleet, Selection
from tenantmig.domain.database_url import DatabaseUrl
from tenantmig.postgres import elsewhere
from tenantmig.postgres.connection import SessionOptions
from tenantmig.postgres.elsewhere import NAMES, find_elsewhere
from tenantmig.postgres.session import TenantSession
from tests.fixtures.command import Project
from tests.fixtures.database import Database
from tests.fixtures.history import write_history
from tests.fixtures.oracles import catalog, content
from tests.fixtures.rollouts import CREATE, OpenFleet, by_name

TABLE = "alembic_version"
TENANTS = ["acme", "beta", "id", "n" * 63]
VECTORS = (
    "r2",
    """op.execute('CREATE TABLE place (id int, at vector(3))')
op.execute("INSERT INTO place VALUES (1, '[1,2,3]'), (2, '[3,2,1]')")
op.execute('CREATE INDEX nearest ON place USING hnsw (at vector_l2_ops)')
op.execute("ALTER TABLE place ADD far float8 DEFAULT vector_norm('[1,2,3]'::vector)")
op.execute("CREATE VIEW near AS SELECT id FROM place ORDER BY at <-> '[1,1,1]'::vector")""",
    "op.execute('DROP VIEW near')\nop.execute('DROP TABLE place')",
)
EXTENSIONS = "CREATE SCHEMA extensions; CREATE EXTENSION vector SCHEMA extensions"
SETTING = 'extension_schemas = ["extensions"] (tenantmig.toml, TENANTMIG_EXTENSION_SCHEMAS)'
NEAR = "SELECT '[1]'::extensions.vector <-> '[2]'::extensions.vector"
FAILING = {
    "type": ("CREATE TABLE place (at vector(3))", "vector"),
    "array": ("CREATE TABLE place (at vector[])", "vector"),
    "function": ("SELECT l2_distance('[1]', '[2]')", "l2_distance"),
    "operator": (NEAR, "<->"),
    "operator class": (
        "CREATE TABLE p (at extensions.vector(3)); CREATE INDEX ON p USING hnsw (at vector_l2_ops)",
        "vector_l2_ops",
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("engine", ["alembic", "auto"])
def test_what_an_extension_has_in_a_configured_schema_resolves(
    engine: str, tmp_path: Path, database: Database, open_fleet: OpenFleet
) -> None:
    """A type, an operator class, a function and an operator, in rollouts and in onboarding."""
    database.execute(EXTENSIONS)
    Project(tmp_path, database.url, write_history(tmp_path / "history", CREATE, VECTORS))
    fleet = open_fleet(engine=engine, extension_schemas=("extensions",))
    assert fleet.onboard(TENANTS, "r1").is_complete
    report = fleet.upgrade()
    born = fleet.onboard([f"born_{number}" for number in range(4)])
    witnesses = len(TENANTS) if engine == "alembic" else 2
    for made in (report, born):
        assert made.is_complete, [tenant.error for tenant in made.tenants]
        engines = Counter(tenant.engine for tenant in made.tenants)
        assert engines == Counter({"alembic": witnesses, "replay": len(TENANTS) - witnesses})
    with database.connect() as connection:
        names = [*by_name(report), *by_name(born)]
        held = [(catalog(connection, name), content(connection, name)) for name in names]
    assert held == held[:1] * len(names)
    assert "nearest" in held[0][0]["indexes"]


def _failing(tmp_path: Path, database: Database, statement: str) -> Project:
    """A history whose second revision sends a statement."""
    script = ("r2", f"op.execute({statement!r})")
    history = write_history(tmp_path / "history", CREATE, script)
    return Project(tmp_path, database.url, history)


def _error(fleet: Fleet) -> str:
    """What is said of the one tenant's upgrade."""
    (tenant,) = fleet.upgrade().tenants
    return str(tenant.error)


@pytest.mark.parametrize("what", FAILING)
def test_an_error_says_which_schema_has_it_and_which_setting_adds_it(
    what: str, tmp_path: Path, database: Database, open_fleet: OpenFleet
) -> None:
    statement, name = FAILING[what]
    database.execute(EXTENSIONS)
    _failing(tmp_path, database, statement)
    fleet = open_fleet(extension_schemas=("Other",))
    assert fleet.onboard(["acme"], "r1").is_complete
    (born,) = fleet.onboard(["beta"]).tenants
    for error in (_error(fleet), str(born.error)):
        assert error.startswith("revision r2: ")
        assert f'"{name}" is in the schema "extensions", of the extension "vector",' in error
        assert 'extension_schemas = ["Other", "extensions"] (tenantmig.toml' in error
        assert "\n" not in error


def test_plain_alembic_says_it_too(tmp_path: Path, database: Database) -> None:
    database.execute(EXTENSIONS + "; CREATE SCHEMA acme")
    project = _failing(tmp_path, database, FAILING["type"][0])
    result = project.alembic("-x", "tenant=acme", "upgrade", "head", expect=None)
    assert result.code != 0
    assert 'type "vector" does not exist' in result.err
    last = result.err.strip().splitlines()[-1]
    assert last.startswith('"vector" is in the schema "extensions", of the extension "vector"')
    assert SETTING in last


def test_what_only_public_has(tmp_path: Path, database: Database, open_fleet: OpenFleet) -> None:
    """A version table in it does not make it a tenant's."""
    database.allow_public("country", "country[]", "alembic_version", "alembic_version[]")
    database.execute("CREATE TABLE public.country (); CREATE TABLE public.alembic_version ()")
    _failing(tmp_path, database, "INSERT INTO country DEFAULT VALUES")
    fleet = open_fleet()
    assert fleet.onboard(["acme"], "r1").is_complete
    error = _error(fleet)
    assert 'relation "country" does not exist; "country" is in the schema "public",' in error
    assert "write the schema before the name, or add it, with everything in it," in error
    assert 'extension_schemas = ["public"]' in error


@pytest.mark.parametrize(
    "statement",
    [
        "INSERT INTO secret VALUES (1)",  # a table of another tenant
        "SELECT vector_dims('[1]')",  # an extension that was created in another tenant
        "SELECT * FROM run",  # a table of the ledger
        "SELECT * FROM public.country",  # a name with its schema
        "SELECT * FROM nowhere",
    ],
)
def test_what_is_no_business_of_a_tenant_is_not_told(
    statement: str, tmp_path: Path, database: Database, open_fleet: OpenFleet
) -> None:
    database.execute("CREATE SCHEMA shared; CREATE TABLE shared.country ()")
    _failing(tmp_path, database, statement)
    fleet = open_fleet()
    assert fleet.onboard(["acme", "other"], "r1").is_complete
    database.execute("CREATE TABLE other.secret (id int); CREATE EXTENSION vector SCHEMA other")
    (tenant,) = fleet.upgrade(selection=Selection(names=("acme",))).tenants
    error = str(tenant.error)
    assert "does not exist" in error
    assert "is in the schema" not in error


def test_a_schema_that_the_role_may_not_use_is_told_as_such(
    tmp_path: Path, database: Database, open_fleet: OpenFleet
) -> None:
    """It stands on the search path and is skipped silently."""
    role = f"weak_{uuid.uuid4().hex}"
    database.execute(f"{EXTENSIONS}; CREATE ROLE {role} LOGIN; CREATE SCHEMA acme")
    database.execute(f"GRANT ALL ON SCHEMA acme TO {role}")
    try:
        url = DatabaseUrl.parse(database.server.url(database.name, user=role))
        session = TenantSession(SessionOptions(url, extension_schemas=("extensions",)))
        with closing(session):
            session.enter("acme")
            found = _told(session, "CREATE TABLE place (at vector(3))")
        assert "which this role may not use; first run GRANT USAGE ON SCHEMA" in found
        assert "extension_schemas" not in found
    finally:
        database.execute(f"DROP OWNED BY {role}; DROP ROLE {role}")


def _told(session: TenantSession, statement: str) -> str:
    with pytest.raises(sa.exc.DBAPIError) as raised:
        session.sqlalchemy.exec_driver_sql(statement)
    return find_elsewhere(
        raised.value, session, ledger="tenantmig", shared="core", version_table=TABLE
    )


def test_only_what_is_for_all_tenants_is_told(database: Database) -> None:
    """Any other schema may be a tenant's, whether it has a version table or not."""
    database.execute("CREATE SCHEMA acme; CREATE SCHEMA customer; CREATE TABLE customer.thing ()")
    with closing(TenantSession(SessionOptions(DatabaseUrl.parse(database.url)))) as session:
        session.enter("acme")
        assert _told(session, "SELECT * FROM thing") == ""
        database.execute("CREATE SCHEMA core; CREATE TABLE core.thing ()")
        assert '"thing" is in the schema "core"' in _told(session, "SELECT * FROM thing")


def test_a_look_that_takes_long_says_nothing(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It ends, the error stands as it was, and the session can be used."""
    monkeypatch.setattr(elsewhere, "LOOK_S", 0.2)
    database.execute(EXTENSIONS + "; CREATE SCHEMA acme")
    options = SessionOptions(DatabaseUrl.parse(database.url), lock_timeout_s=800.0)
    session = TenantSession(options)
    with closing(session), database.connect() as holder:
        session.enter("acme")
        assert 'is in the schema "extensions"' in _told(session, "SELECT 'x'::vector")
        holder.autocommit = False
        holder.execute("LOCK TABLE pg_opclass IN ACCESS EXCLUSIVE MODE")
        assert _told(session, "SELECT 'x'::vector") == ""
        holder.rollback()
        limits = "SELECT current_setting('statement_timeout'), current_setting('lock_timeout')"
        with session.outside_transaction() as connection:
            assert connection.execute(limits).fetchone() == ("15min", "800s")


@pytest.mark.parametrize(
    ("message", "names"),
    [
        ('type "vector" does not exist', ["vector"]),
        ("Typ »vector« existiert nicht", ["vector"]),
        ("le type « vector » n'existe pas", ["vector"]),
        ("function l2_distance(text, unknown) does not exist", ["l2_distance"]),
        ("function a.l2_distance(text) does not exist", []),
        ('relation "a.b" does not exist', []),
        ("operator does not exist: integer <-> integer", ["<->"]),
        ("operator does not exist: @ text", ["@"]),
    ],
)
def test_names_in_messages(message: str, names: list[str]) -> None:
    assert ["".join(groups) for groups in NAMES.findall(message)] == names

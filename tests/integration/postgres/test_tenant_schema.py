"""Creating and dropping tenant schemas, and what elsewhere depends on one."""

from __future__ import annotations

import pytest

from tenantmig.errors import (
    DependentObjectsError,
    PrivilegeError,
    TenantExistsError,
    TenantNameError,
)
from tenantmig.postgres.tenant_schema import (
    create_schema,
    drop_schema,
    outside_dependents,
    schema_exists,
)
from tests.fixtures.command import Project
from tests.fixtures.database import Database
from tests.fixtures.oracles import catalog, content, untouched_mark
from tests.fixtures.sample_schema import ODD_NAMES, SAMPLE, build

NAMES = ["acme", "x" * 63, *ODD_NAMES]


@pytest.mark.parametrize("name", NAMES)
def test_a_schema_is_created_and_dropped_under_its_exact_name(
    database: Database, name: str
) -> None:
    connection = database.connect()
    build(connection, "neighbour", SAMPLE)
    before = untouched_mark(connection)
    create_schema(connection, name)
    assert database.fetch("SELECT 1 FROM pg_namespace WHERE nspname = %s", [name]) == [(1,)]
    build(connection, name, SAMPLE)
    drop_schema(connection, name)
    assert not schema_exists(connection, name)
    assert untouched_mark(connection) == before


def test_an_existing_schema_is_never_adopted(database: Database) -> None:
    connection = database.connect()
    build(connection, "acme", SAMPLE)
    before = catalog(connection, "acme"), content(connection, "acme")
    with pytest.raises(TenantExistsError, match='"acme" already exists'):
        create_schema(connection, "acme")
    assert (catalog(connection, "acme"), content(connection, "acme")) == before


def test_a_name_that_postgresql_cuts_is_refused(database: Database) -> None:
    connection = database.connect()
    with pytest.raises(TenantNameError, match="stored another name"), connection.transaction():
        create_schema(connection, "x" * 64)
    assert not schema_exists(connection, "x" * 63)


def test_a_role_that_may_not_create_is_told_what_it_needs(database: Database) -> None:
    role = f"app_{database.name}"
    database.execute(f"CREATE ROLE {role}")
    try:
        connection = database.connect()
        connection.execute(f"SET ROLE {role}")
        with pytest.raises(PrivilegeError, match="Grant CREATE on the database"):
            create_schema(connection, "acme")
    finally:
        database.execute(f"DROP ROLE {role}")


def test_dropping_takes_part_in_the_callers_transaction(database: Database) -> None:
    connection = database.connect()
    build(connection, "acme", SAMPLE)
    before = catalog(connection, "acme")
    with connection.transaction(force_rollback=True):
        drop_schema(connection, "acme")
        assert not schema_exists(connection, "acme")
    assert catalog(connection, "acme") == before


def test_a_schema_that_is_not_there_is_fine(database: Database) -> None:
    drop_schema(database.connect(), "acme")


OUTSIDE = {
    "view elsewhere": ("CREATE VIEW other.v AS SELECT id FROM acme.users", "view other.v"),
    "materialized view elsewhere": (
        "CREATE MATERIALIZED VIEW other.mv AS SELECT id FROM acme.users",
        "materialized view other.mv",
    ),
    "foreign key elsewhere": (
        "CREATE TABLE other.t (a int REFERENCES acme.users)",
        "constraint t_a_fkey on table other.t",
    ),
    "default using our sequence": (
        "CREATE TABLE other.t (a bigint DEFAULT nextval('acme.tickets'))",
        "default value for column a of table other.t",
    ),
    "default using our function": (
        "CREATE TABLE other.t (a text DEFAULT acme.lower('sad'::acme.mood))",
        "default value for column a of table other.t",
    ),
    "check using our function": (
        "CREATE TABLE other.t (a text CHECK (acme.lower('sad'::acme.mood) <> a))",
        "constraint t_a_check on table other.t",
    ),
    "column of our enum": ("CREATE TABLE other.t (a acme.mood)", "column a of table other.t"),
    "column of an array of our composite": (
        "CREATE TABLE other.t (a acme.pair[])",
        "column a of table other.t",
    ),
    "column of our row type": ("CREATE TABLE other.t (a acme.users)", "column a of table other.t"),
    "domain over our domain": ("CREATE DOMAIN other.d AS acme.positive", "type other.d"),
    "function with our type": (
        "CREATE FUNCTION other.f(acme.mood) RETURNS int LANGUAGE sql AS 'SELECT 1'",
        "function other.f(acme.mood)",
    ),
    "function whose body reads our table": (
        "CREATE FUNCTION other.f() RETURNS bigint RETURN (SELECT max(id) FROM acme.users)",
        "function other.f()",
    ),
    "trigger using our function": (
        (
            "CREATE TABLE other.t (); CREATE TRIGGER tr BEFORE UPDATE ON other.t"
            " FOR EACH ROW EXECUTE FUNCTION acme.touch()"
        ),
        "trigger tr on table other.t",
    ),
    "index using our function": (
        (
            "CREATE TABLE other.t (a text); CREATE INDEX ix ON other.t"
            " ((acme.lower('sad'::acme.mood) || a))"
        ),
        "index other.ix",
    ),
    "policy reading our table": (
        (
            "CREATE TABLE other.t (a int);"
            " CREATE POLICY p ON other.t USING (a IN (SELECT id FROM acme.users))"
        ),
        "policy p on table other.t",
    ),
    "rule reading our table": (
        (
            "CREATE TABLE other.t (a int);"
            " CREATE RULE r AS ON DELETE TO other.t DO ALSO DELETE FROM acme.users"
        ),
        "rule r on table other.t",
    ),
    "child of our table": ("CREATE TABLE other.t () INHERITS (acme.users)", "table other.t"),
    "partition of our table": (
        "CREATE TABLE other.t PARTITION OF acme.part FOR VALUES IN (2)",
        "table other.t",
    ),
    "view of our sequence": (
        "CREATE VIEW other.v AS SELECT last_value FROM acme.tickets",
        "view other.v",
    ),
}


@pytest.mark.parametrize(("statements", "found"), OUTSIDE.values(), ids=OUTSIDE)
def test_what_depends_on_a_tenant_is_found_and_nothing_dropped(
    database: Database, statements: str, found: str
) -> None:
    connection = database.connect()
    build(connection, "acme", SAMPLE)
    database.execute(f"CREATE SCHEMA other; {statements}")
    assert any(text.endswith(found) for text in outside_dependents(connection, "acme"))
    before = untouched_mark(connection)
    with pytest.raises(DependentObjectsError, match="nothing was dropped") as refused:
        drop_schema(connection, "acme")
    assert found in refused.value.message
    assert untouched_mark(connection) == before


def test_an_extension_inside_is_found(database16: Database) -> None:
    connection = database16.connect()
    database16.execute(
        "CREATE SCHEMA acme; CREATE EXTENSION vector SCHEMA acme; CREATE SCHEMA beta;"
        " CREATE TABLE beta.items (v acme.vector(3))"
    )
    found = outside_dependents(connection, "acme")
    assert "extension vector" in found
    assert "column v of table beta.items" in found
    assert not [one for one in found if "operator" in one]
    assert outside_dependents(connection, "beta") == []


def test_a_publication_of_the_whole_schema_is_no_reason_to_keep_it(database: Database) -> None:
    connection = database.connect()
    build(connection, "acme", SAMPLE)
    database.execute("CREATE PUBLICATION p FOR TABLES IN SCHEMA acme")
    assert outside_dependents(connection, "acme") == []


@pytest.mark.parametrize("name", NAMES)
def test_a_tenants_own_objects_and_what_it_uses_elsewhere_are_not_found(
    database: Database, name: str
) -> None:
    connection = database.connect()
    build(connection, name, SAMPLE)
    build(connection, "neighbour", SAMPLE)
    build(connection, "shared", "CREATE TABLE countries (id int PRIMARY KEY)")
    build(
        connection,
        name,
        "ALTER TABLE users ADD FOREIGN KEY (id) REFERENCES shared.countries NOT VALID",
    )
    build(connection, name, "CREATE TABLE child () INHERITS (users); CREATE TYPE r AS (u users)")
    assert outside_dependents(connection, name) == []


@pytest.mark.slow
@pytest.mark.parametrize("tenant", ["acme", "id"])
def test_a_full_tenant_of_this_repository_has_none(
    project: Project, database: Database, tenant: str
) -> None:
    database.execute(f"CREATE SCHEMA {tenant}; CREATE SCHEMA neighbour")
    for name in (tenant, "neighbour"):
        project.alembic("-x", f"tenant={name}", "upgrade", "head")
    connection = database.connect()
    before = catalog(connection, "neighbour")
    assert outside_dependents(connection, tenant) == []
    drop_schema(connection, tenant)
    assert catalog(connection, "neighbour") == before


def test_at_most_20_are_listed(database: Database) -> None:
    connection = database.connect()
    build(connection, "acme", SAMPLE)
    views = (f"CREATE VIEW v{n} AS SELECT id FROM acme.users" for n in range(30))
    build(connection, "other", ";".join(views))
    assert len(outside_dependents(connection, "acme")) == 20

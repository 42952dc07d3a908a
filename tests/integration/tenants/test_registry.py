"""The registry: names, schemas, states and labels of tenants, and the steps of onboarding."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest

from tenantmig.domain.database_url import DatabaseUrl
from tenantmig.domain.tenant import Tenant, TenantState
from tenantmig.errors import TenantExistsError
from tenantmig.ledger.ledger import Ledger
from tenantmig.postgres.connection import SessionOptions, connect
from tenantmig.tenants import births, registry
from tests.fixtures.database import Database

LEDGER = 'own "ledger"'
ODD = 'O\'Brien & "Söhne"; --'


@pytest.fixture
def ledger(database: Database) -> Iterator[Ledger]:
    options = SessionOptions(DatabaseUrl.parse(database.url))
    ledger = Ledger(lambda: connect(options), LEDGER)
    ledger.create()
    yield ledger
    ledger.close()


@pytest.fixture
def connection(ledger: Ledger) -> psycopg.Connection:
    return ledger.connection


def _schemas(connection: psycopg.Connection) -> set[str]:
    rows = connection.execute("SELECT nspname FROM pg_namespace WHERE nspname !~ '^pg_'")
    return {name for (name,) in rows} - {"public", "information_schema", LEDGER}


def _add(ledger: Ledger, *names: str) -> None:
    for name in names:
        registry.add_tenant(ledger.connection, LEDGER, Tenant(name, name))


def test_a_tenant_is_kept_as_it_was_given(ledger: Ledger, database: Database) -> None:
    odd = Tenant(ODD, "é" * 31, database.name, TenantState.SUSPENDED, {"a b": '"', "%s": "'"})
    registry.add_tenant(ledger.connection, LEDGER, odd)
    assert registry.list_tenants(ledger) == [odd]


@pytest.mark.parametrize("second", [Tenant("acme", "other"), Tenant("other", "acme")])
def test_a_name_or_schema_is_registered_once(ledger: Ledger, second: Tenant) -> None:
    _add(ledger, "acme")
    with pytest.raises(TenantExistsError, match=f'"{second.name}".*"{second.schema}"'):
        registry.add_tenant(ledger.connection, LEDGER, second)
    assert [tenant.name for tenant in registry.list_tenants(ledger)] == ["acme"]


def test_removing_forgets_one_tenant_and_is_idempotent(ledger: Ledger) -> None:
    _add(ledger, "acme", "beta")
    for _ in range(2):
        registry.remove_tenant(ledger.connection, LEDGER, "acme")
    assert [tenant.name for tenant in registry.list_tenants(ledger)] == ["beta"]


@pytest.mark.parametrize("state", TenantState)
def test_states_are_set_for_those_named(ledger: Ledger, state: TenantState) -> None:
    _add(ledger, "acme", "beta", ODD)
    registry.set_state(ledger.connection, LEDGER, [ODD, "acme", "nobody"], state)
    states = {tenant.name: tenant.state for tenant in registry.list_tenants(ledger)}
    assert states == {ODD: state, "acme": state, "beta": TenantState.ACTIVE}


def test_labels_are_merged_replaced_and_taken_off(ledger: Ledger) -> None:
    _add(ledger, "acme", "beta")
    for labels, removed in [
        ({"tier": "free", "region": "eu"}, ()),
        ({"tier": "gold", "wave": "1"}, ("region", "never")),
    ]:
        registry.set_labels(ledger.connection, LEDGER, ["acme"], labels, removed)
    acme, beta = registry.list_tenants(ledger)
    assert acme.labels == {"tier": "gold", "wave": "1"}
    assert beta.labels == {}


def test_onboarding_registers_and_creates_at_once(ledger: Ledger) -> None:
    connection = ledger.connection
    tenant = Tenant("acme", ODD, labels={"tier": "gold"})
    births.begin_onboarding(connection, LEDGER, tenant)
    assert [(t.schema, t.state, t.labels) for t in registry.list_tenants(ledger)] == [
        (ODD, TenantState.ONBOARDING, {"tier": "gold"})
    ]
    assert _schemas(connection) == {ODD}
    births.end_onboarding(connection, LEDGER, tenant, keep=True)
    assert registry.list_tenants(ledger)[0].state is TenantState.ACTIVE


def test_an_onboarding_of_another_source_is_forgotten_when_it_ends(ledger: Ledger) -> None:
    tenant = Tenant("acme", "acme")
    births.begin_onboarding(ledger.connection, LEDGER, tenant)
    births.end_onboarding(ledger.connection, LEDGER, tenant, keep=False)
    assert registry.list_tenants(ledger) == []
    assert _schemas(ledger.connection) == {"acme"}


def test_an_onboarding_that_was_cut_off_begins_anew(ledger: Ledger) -> None:
    tenant = Tenant("acme", "acme")
    births.begin_onboarding(ledger.connection, LEDGER, tenant)
    ledger.connection.execute("CREATE TABLE acme.half_done ()")
    births.begin_onboarding(ledger.connection, LEDGER, tenant)
    left = ledger.connection.execute("SELECT to_regclass('acme.half_done')").fetchone()
    assert left == (None,)
    assert len(registry.list_tenants(ledger)) == 1


@pytest.mark.parametrize("taken", ["schema", "name"])
def test_onboarding_onto_what_exists_changes_nothing(ledger: Ledger, taken: str) -> None:
    connection = ledger.connection
    connection.execute(b"CREATE SCHEMA acme; CREATE TABLE acme.precious ()")
    if taken == "name":
        _add(ledger, "acme")
    before = registry.list_tenants(ledger)
    with pytest.raises(TenantExistsError):
        births.begin_onboarding(connection, LEDGER, Tenant("acme", "acme"))
    assert registry.list_tenants(ledger) == before
    assert connection.execute("SELECT to_regclass('acme.precious')").fetchone() != (None,)


@pytest.mark.parametrize("state", [s for s in TenantState if s is not TenantState.ONBOARDING])
def test_only_an_unfinished_onboarding_can_be_abandoned(ledger: Ledger, state: TenantState) -> None:
    connection = ledger.connection
    connection.execute("CREATE SCHEMA acme")
    registry.add_tenant(connection, LEDGER, Tenant("acme", "acme", state=state))
    births.abandon_onboarding(connection, LEDGER, Tenant("acme", "acme"))
    assert _schemas(connection) == {"acme"}
    assert len(registry.list_tenants(ledger)) == 1


def test_abandoning_drops_the_schema_and_the_registration(ledger: Ledger) -> None:
    tenant = Tenant("acme", "acme")
    births.begin_onboarding(ledger.connection, LEDGER, tenant)
    births.abandon_onboarding(ledger.connection, LEDGER, Tenant("acme", "other"))
    assert _schemas(ledger.connection) == {"acme"}
    for _ in range(2):
        births.abandon_onboarding(ledger.connection, LEDGER, tenant)
        assert _schemas(ledger.connection) == set()
        assert registry.list_tenants(ledger) == []

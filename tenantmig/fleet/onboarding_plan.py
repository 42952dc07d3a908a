"""Planning to onboard: what is checked before a tenant is created. Changes nothing."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from tenantmig.domain.plan import Plan
from tenantmig.domain.tenant import Tenant
from tenantmig.errors import SelectionError
from tenantmig.fleet.driver import Driver
from tenantmig.postgres.owner_wall import SCHEMA_OWNER
from tenantmig.rollout import planning
from tenantmig.tenants import onboarding, registry


def plan_onboarding(driver: Driver, tenants: Iterable[Tenant | str], to: str = "head") -> Plan:
    """Check that these tenants can be created, and return the plan; changes nothing.

    A name, or a `Tenant` whose schema is empty, gets the schema that the source lists for it;
    otherwise the schema has the tenant's name.
    """
    if isinstance(tenants, str):
        raise SelectionError(f"Give a list of tenants, such as [{tenants!r}].")
    born = [Tenant(t, "") if isinstance(t, str) else t for t in tenants]
    if not born:
        raise SelectionError("Name at least one tenant to onboard.")
    settings, rules = driver.settings, driver.settings.name_rules
    if settings.birth and settings.run_as == SCHEMA_OWNER:
        raise SelectionError(
            "The setting `birth` cannot be used with run_as = schema_owner: the "
            "connected role would own what it creates. Nothing was touched."
        )
    for tenant in born:
        rules.check(tenant.name)
    plan = planning.plan_onboarding(driver.history, to, born, settings.birth)
    with driver.ledger() as ledger:
        fleet = driver.discover(ledger)
        born = onboarding.settle_schemas(born, fleet)
        if settings.source != "registry":
            onboarding.check_listed(settings, ledger, born, fleet)
        onboarding.refuse_older_code(ledger, driver.history)
        onboarding.check_new_tenants(
            ledger.connection, born, registry.list_tenants(ledger), rules, settings.source
        )
    groups = tuple(replace(group, tenants=tuple(born)) for group in plan.groups)
    return replace(plan, groups=groups)

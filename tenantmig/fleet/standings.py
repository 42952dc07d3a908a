"""How the tenants of a fleet stand: towards the head, in their runs, and against their reference.

Changes nothing but the scratch schema in which references are made.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from tenantmig.domain.tenant import Selection, Tenant, TenantState
from tenantmig.errors import UnknownTenantError
from tenantmig.fleet.driver import Driver
from tenantmig.fleet.status import FleetStatus, TenantLife, read_status
from tenantmig.ledger.ledger import Ledger

if TYPE_CHECKING:
    from tenantmig.drift.drift import FleetDrift


def read_fleet(driver: Driver, shared: Driver | None, selection: Selection) -> FleetStatus:
    """Return the revision and standing of the selected tenants, and any problem of env.py."""
    _ = driver.history  # a broken one is told before a database is asked
    with driver.ledger() as ledger:
        fleet, tenants, nobody = _select(driver, ledger, selection)
        found = read_status(ledger, driver.reader(ledger), driver.history, tenants)
        found = replace(found, nobody=nobody, unborn=_unborn(fleet, selection))
        if shared is not None:
            place, read = shared.discover(ledger), shared.reader(ledger)
            found = replace(found, shared=read_status(ledger, read, shared.history, place))
    problems = [driver.engines.look_at_env(tenants)]
    problems += [shared.engines.look_at_env(place)] if shared is not None else []
    return replace(found, env_problem=" ".join(filter(None, problems)) or None)


def read_life(driver: Driver, name: str, limit: int) -> TenantLife:
    """Return the status of one tenant, and the newest runs that included it.

    Raises:
        UnknownTenantError: neither the source nor the ledger knows the name.
    """
    _ = driver.history
    with driver.ledger() as ledger:
        tenants = [tenant for tenant in driver.discover(ledger) if tenant.name == name]
        runs = ledger.tenant_runs(name, limit)
        if not tenants and not runs:
            raise UnknownTenantError(
                f'There is no tenant "{name}", and no run included one of this name. '
                "`tenantmig tenants list` shows the tenants, `tenantmig runs` the runs."
            )
        found = read_status(ledger, driver.reader(ledger), driver.history, tenants)
    return TenantLife(name, next(iter(found.tenants), None), runs)


def read_drift(driver: Driver, selection: Selection, *, with_privileges: bool) -> FleetDrift:
    """Compare the catalog of each selected tenant with its reference (see `FleetReader.drift`)."""
    from tenantmig.drift.drift import find_drift

    history = driver.history
    with driver.ledger() as ledger:
        _, tenants, nobody = _select(driver, ledger, selection)
        with driver.catalogs(ledger, len(tenants), has_privileges=with_privileges) as reader:
            read = driver.reader(ledger)
            found = find_drift(tenants, read, history, reader, driver.references)
    return replace(found, nobody=nobody)


def _select(
    driver: Driver, ledger: Ledger, selection: Selection
) -> tuple[list[Tenant], list[Tenant], str | None]:
    """Return the fleet, the selected tenants, and why there are none if so."""
    fleet = driver.discover(ledger)
    tenants = selection.select(fleet)
    nobody = None if tenants else driver.describe_nobody(ledger, fleet)
    return fleet, tenants, nobody


def _unborn(fleet: Sequence[Tenant], selection: Selection) -> tuple[str, ...]:
    """Name who waits for an onboarding, or is in one, if the whole fleet is looked at."""
    if not selection.is_everyone:
        return ()
    return tuple(sorted(one.name for one in fleet if one.state is TenantState.ONBOARDING))

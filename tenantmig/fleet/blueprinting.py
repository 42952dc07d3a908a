"""How the settings have blueprints made: in which scratch schemas, and with which programs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING

from tenantmig.backups.found_programs import find_programs
from tenantmig.catalog.catalog import CatalogOptions, CatalogReader
from tenantmig.drift.blueprint import BlueprintMaker
from tenantmig.postgres.connection import connect

if TYPE_CHECKING:
    from tenantmig.fleet.driver import Driver


def blueprint_maker(driver: Driver) -> BlueprintMaker:
    """Return what makes blueprints with the settings of a driver."""
    settings, options = driver.settings, driver.session_options

    @contextmanager
    def catalogs() -> Iterator[CatalogReader]:
        found = CatalogOptions(settings.version_table, has_privileges=True)
        with closing(CatalogReader(lambda: connect(options), found)) as reader:
            yield reader

    return BlueprintMaker(
        options,
        settings.version_table,
        settings.attempt_timeout,
        lambda: driver.history.proofs,
        driver.scratch,
        catalogs,
        lambda version: find_programs(settings.client_programs, version),
    )

"""How the settings have blueprints made: in which scratch schemas, and with which programs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from importlib.metadata import version
from typing import TYPE_CHECKING

import psycopg

from tenantmig.backups.found_programs import find_programs
from tenantmig.catalog.catalog import CatalogOptions, CatalogReader
from tenantmig.domain.plan import Path
from tenantmig.drift.blueprint import BlueprintMaker
from tenantmig.drift.blueprint_keeping import BlueprintKeeper
from tenantmig.engines.blueprints import Blueprints
from tenantmig.engines.template import Template
from tenantmig.errors import TenantmigError
from tenantmig.postgres.connection import connect
from tenantmig.postgres.owner_wall import SCHEMA_OWNER

if TYPE_CHECKING:  # it asks for what stands here
    from tenantmig.fleet.driver import Driver


def blueprints_of(driver: Driver) -> Blueprints:
    """Return the blueprints of a run with the settings of a driver.

    There are none where tenants own their schemas, or a function makes them.
    """
    settings = driver.settings
    if settings.birth or settings.onboard_owner or settings.run_as == SCHEMA_OWNER:
        return Blueprints()
    maker, keeper = _maker(driver), _keeper(driver)

    def make(path: Path) -> Template:
        made = maker.make(path)
        with suppress(TenantmigError, psycopg.Error):  # then the next run makes it again
            keeper.keep(path, made)
        return made.template

    def find(path: Path) -> Template | None:
        try:
            return keeper.find(path)
        except (TenantmigError, psycopg.Error):
            return None

    return Blueprints(make, find)


def _keeper(driver: Driver) -> BlueprintKeeper:
    settings = driver.settings
    facts = {
        "version": version("tenantmig"),
        "ini": str(settings.config.absolute()),
        "version_table": settings.version_table,
        "version_length": settings.version_length,
        "extension_schemas": settings.extension_schemas,
        "row_security": settings.row_security,
        "bind_parameters": settings.bind_parameters,
        "x": settings.x,
    }
    shared = ("public", settings.shared_schema, *settings.extension_schemas)
    files = (settings.config.absolute(), *driver.history.files)
    return BlueprintKeeper(driver.session_options, files, shared, facts, settings.signing_key)


def _maker(driver: Driver) -> BlueprintMaker:
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

"""Adoption: schemas that exist already become tenants of the registry, as they stand.

Where another source lists the tenants, only what says where they stand is written.

A version table that can be trusted is believed. Without one, the revision is found whose reference
the schema equals; where none or several do, nothing is written and the nearest is shown.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import psycopg

from tenantmig.catalog.catalog import CatalogReader, Mark
from tenantmig.domain.counting import counted
from tenantmig.domain.plan import Heads, RunKind, show_heads
from tenantmig.domain.tenant import UNFINISHED, NameRules, Tenant
from tenantmig.drift.drift import Difference, differences_between, told
from tenantmig.drift.reference import BuildReferences, Collected, Reference, collect
from tenantmig.errors import (
    SelectionError,
    SourceError,
    TenantExistsError,
    TenantSchemaMissingError,
    sentence_of,
)
from tenantmig.fleet.adopted import Adopted, Evidence
from tenantmig.fleet.adoption_writer import AdoptionWriter
from tenantmig.fleet.driver import Driver
from tenantmig.history.heads import read_heads
from tenantmig.history.revisions import History
from tenantmig.ledger import rights as ledger_rights
from tenantmig.postgres.retry import is_connection_loss
from tenantmig.postgres.tenant_schema import schema_exists
from tenantmig.postgres.version import Version
from tenantmig.tenants.registry import list_tenants

NO_VERSION = "it has no version table; name its revision with --at REV"


def adopt(
    driver: Driver,
    schemas: Sequence[str],
    labels: Mapping[str, str],
    at: str | None,
    *,
    is_dry_run: bool,
) -> tuple[Adopted, ...]:
    """Register schemas that exist; see `Fleet.adopt`."""
    if isinstance(schemas, str) or not schemas:
        raise SelectionError("Give a list of schemas to adopt, such as ['acme'].")
    history, settings = driver.history, driver.settings
    heads = None if at is None else history.stamp_path((), history.target(at, RunKind.STAMP)).target
    is_registered = settings.source == "registry"
    with driver.ledger() as ledger:
        if is_registered:
            tenants = [Tenant(schema, schema, labels=labels) for schema in schemas]
            check_schemas(ledger.connection, tenants, list_tenants(ledger), settings.name_rules)
            if ledger.exists and not is_dry_run:
                ledger_rights.require(ledger, ledger_rights.ADDED)
        else:
            tenants = _listed(driver.discover(ledger), schemas, labels, settings.source)
            for tenant in tenants:
                _require_schema(ledger.connection, tenant)
        versions = driver.reader(ledger)([tenant.schema for tenant in tenants])
        with driver.catalogs(ledger, len(tenants)) as reader:
            found = Adoption(history, reader, driver.references, heads).look(tenants, versions)
            if is_dry_run or not any(one.is_adopted for one in found):
                return tuple(found)
            if is_registered:
                ledger.create()
            writer = AdoptionWriter(driver.session_options, settings, reader)
            return tuple(
                writer.register(one, versions[one.tenant.schema]) if one.is_adopted else one
                for one in found
            )


def check_schemas(
    connection: psycopg.Connection,
    tenants: Sequence[Tenant],
    registered: Sequence[Tenant],
    rules: NameRules,
) -> None:
    """Refuse the whole list before anything is touched if one of them cannot be a tenant.

    Raises:
        TenantNameError: a name that the rules refuse.
        TenantExistsError: it is registered already, or given twice.
        TenantSchemaMissingError: there is no such schema.
    """
    known = {t.name.casefold() for t in registered} | {t.schema.casefold() for t in registered}
    for tenant in tenants:
        rules.check(tenant.name)
        if tenant.name.casefold() in known:
            raise TenantExistsError(
                f'The schema "{tenant.schema}" is a tenant already, or it is given twice; '
                "nothing was touched."
            )
        known.add(tenant.name.casefold())
        _require_schema(connection, tenant)


def _require_schema(connection: psycopg.Connection, tenant: Tenant) -> None:
    if not schema_exists(connection, tenant.schema):
        raise TenantSchemaMissingError(
            f'There is no schema "{tenant.schema}"; nothing was touched. `tenantmig '
            "onboard` creates new tenants."
        )


def _listed(
    fleet: Sequence[Tenant], wanted: Sequence[str], labels: Mapping[str, str], source: str
) -> list[Tenant]:
    """Return the tenants of another source than the registry, by their names or their schemas.

    Raises:
        SourceError: the source does not list one of them, or labels are given.
    """
    if labels:
        raise SourceError(f"The labels are in the source {source!r}; change them there.")
    known = {tenant.schema: tenant for tenant in fleet} | {tenant.name: tenant for tenant in fleet}
    strangers = [one for one in wanted if one not in known]
    if strangers:
        raise SourceError(
            f'The source {source!r} does not list "{strangers[0]}", so it is not a tenant. '
            "Add it to the source first. Nothing was touched."
        )
    return list({known[one].schema: known[one] for one in wanted}.values())


@dataclass(frozen=True, slots=True)
class Adoption:
    """What is known when schemas are looked at."""

    history: History
    reader: CatalogReader
    build: BuildReferences
    at: Heads | None = None
    """The revision that the user says they stand at."""

    def look(self, tenants: Sequence[Tenant], versions: Mapping[str, Version]) -> list[Adopted]:
        """Find at which revision each schema stands. Changes nothing.

        Where the history presumes what it does not make, there is nothing to compare with: then a
        version table is believed as it is, and that is told; a schema without one cannot be placed,
        unless the user says where it stands.

        Raises:
            ScratchError: the history cannot be run in a scratch schema for another reason.
        """
        refused = {t.name: self._problem(t, versions[t.schema]) for t in tenants}
        looked = [tenant for tenant in tenants if not refused[tenant.name]]
        marks = self.reader.marks([tenant.schema for tenant in looked])
        seen = [versions[tenant.schema] for tenant in looked]
        wanted = {version.heads for version in seen if not version.is_unstamped}
        if any(version.is_unstamped for version in seen):
            wanted |= self._everywhere() if self.at is None else {self.at}
        known = collect(self.build, self.reader, wanted)
        found = [
            Adopted(tenant, problem=refused[tenant.name])
            if refused[tenant.name]
            else self._looked_at(tenant, versions[tenant.schema], marks.get(tenant.schema), known)
            for tenant in tenants
        ]
        places = {one.revision for one in found if one.is_placed}
        writers = {place: self.history.row_writers(read_heads(place)) for place in places}
        return [replace(o, row_writers=writers[o.revision]) if o.is_placed else o for o in found]

    def _everywhere(self) -> set[Heads]:
        return {(), self.history.heads, *((one,) for one in self.history.revisions)}

    def _problem(self, tenant: Tenant, version: Version) -> str | None:
        if tenant.problem is not None or tenant.state in UNFINISHED:
            return tenant.problem or f"its state is {tenant.state}; finish that first"
        if version.is_unstamped:
            return None
        if version.problem is not None:
            return version.problem
        if self.at is not None and version.heads != self.at:
            stands = show_heads(version.heads) or "base"
            return f"its version table says {stands}, not {show_heads(self.at) or 'base'}"
        try:
            self.history.check_heads(version.heads)
        except Exception as error:  # noqa: BLE001  what is wrong with one ends nothing for others
            return sentence_of(error)
        return None

    def _looked_at(
        self, tenant: Tenant, version: Version, mark: Mark | str | None, known: Collected
    ) -> Adopted:
        try:
            return self._look_at(tenant, version, mark, known)
        except Exception as error:
            if is_connection_loss(error):
                raise
            return Adopted(tenant, problem=f"it cannot be checked: {sentence_of(error)}")

    def _look_at(
        self, tenant: Tenant, version: Version, mark: Mark | str | None, known: Collected
    ) -> Adopted:
        if not isinstance(mark, Mark):
            return Adopted(tenant, problem=mark or "the schema does not exist")
        if version.is_unstamped and self.at is None:
            if known.lacking is not None:
                return Adopted(tenant, problem=f"{NO_VERSION} ({known.lacking})")
            return self._find(tenant, mark, tuple(known.references.values()))
        heads = version.heads if self.at is None else self.at
        evidence = Evidence.GIVEN if version.is_unstamped else Evidence.VERSION_TABLE
        reference = known.references.get(heads)
        differences = self._differences(tenant, mark, reference) if reference else ()
        unproved = known.lacking if reference is None else None
        revision = show_heads(heads)
        return Adopted(
            tenant, revision, evidence, differences=differences, mark=mark, unproved=unproved
        )

    def _find(self, tenant: Tenant, mark: Mark, references: Sequence[Reference]) -> Adopted:
        schema, quoted = tenant.schema, mark.quoted
        equal = [r for r in references if r.mark(schema, quoted) == mark.number]
        differences: dict[Heads, tuple[Difference, ...]] = {}
        if not equal:
            found = self.reader.catalog(schema)
            for reference in references:
                expected = reference.of(schema, quoted)
                differences[reference.heads] = differences_between(expected, found)
            equal = [reference for reference in references if not differences[reference.heads]]
        if equal:
            return _found(tenant, mark, tuple(one.revision or "base" for one in equal))
        nearest = min(differences, key=lambda heads: len(differences[heads]))
        name, differing = show_heads(nearest) or "base", told(differences[nearest])
        differences_told = counted(len(differing), "difference")
        problem = f"its catalog matches no revision; {name} is the nearest ({differences_told})"
        return Adopted(tenant, nearest=name, differences=differing, problem=problem)

    def _differences(
        self, tenant: Tenant, mark: Mark, reference: Reference
    ) -> tuple[Difference, ...]:
        schema, quoted = tenant.schema, mark.quoted
        if mark.number == reference.mark(schema, quoted):
            return ()
        expected = reference.of(schema, quoted)
        return told(differences_between(expected, self.reader.catalog(schema)))


def _found(tenant: Tenant, mark: Mark, candidates: tuple[str, ...]) -> Adopted:
    if len(candidates) == 1:
        revision = None if candidates[0] == "base" else candidates[0]
        return Adopted(tenant, revision, Evidence.CATALOG, candidates, mark=mark)
    problem = (
        f"its catalog matches several revisions ({', '.join(candidates)}), which have the "
        "same catalog; choose one with --at REV"
    )
    return Adopted(tenant, candidates=candidates, problem=problem)

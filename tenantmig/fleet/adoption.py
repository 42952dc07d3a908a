"""Adoption: schemas that exist already become tenants of the registry, as they stand.

Where another source lists the tenants, only what says where they stand is written.

A version table that can be trusted is believed. Without one, the revision is found whose reference
the schema equals; where none or several do, nothing is written and the nearest is shown.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from enum import StrEnum

import psycopg

from tenantmig.catalog.catalog import CatalogReader, Mark
from tenantmig.domain.counting import counted
from tenantmig.domain.plan import Heads, RunKind, show_heads
from tenantmig.domain.tenant import UNFINISHED, NameRules, Tenant
from tenantmig.drift.drift import Difference, differences_between, told
from tenantmig.drift.reference import BuildReferences, Collected, Reference, collect
from tenantmig.errors import (
    PrivilegeError,
    ReadBackError,
    SelectionError,
    SourceError,
    TenantExistsError,
    TenantmigError,
    TenantSchemaMissingError,
    VersionTableError,
    sentence_of,
)
from tenantmig.fleet.driver import Driver
from tenantmig.history.heads import read_heads
from tenantmig.history.revisions import History
from tenantmig.ledger import rights as ledger_rights
from tenantmig.ledger.denial import find_denied
from tenantmig.postgres.connection import SessionOptions
from tenantmig.postgres.retry import is_connection_loss
from tenantmig.postgres.session import TenantSession
from tenantmig.postgres.tenant_schema import schema_exists
from tenantmig.postgres.version_table import Version, read_versions, write_version
from tenantmig.settings import Settings
from tenantmig.tenants.registry import add_tenant, list_tenants

NO_VERSION = "it has no version table; say where it stands with --at REV"
CHANGED = "it was changed while it was looked at; adopt it again"


class Evidence(StrEnum):
    """What says at which revision a schema stands."""

    VERSION_TABLE = "version_table"
    CATALOG = "catalog"
    GIVEN = "given"


@dataclass(frozen=True, slots=True)
class Adopted:
    """One schema: registered at `revision` (None is base), or refused with a `problem`.

    `candidates` are the revisions whose reference it equals, `nearest` the one with the fewest
    `differences`. A schema that is adopted by its version table or at a revision that was given may
    have differences as well.
    """

    tenant: Tenant
    revision: str | None = None
    evidence: Evidence | None = None
    candidates: tuple[str, ...] = ()
    nearest: str | None = None
    differences: tuple[Difference, ...] = ()
    problem: str | None = None
    mark: Mark | None = None
    """Its catalog when it was looked at."""
    unproved: str | None = None
    """Why it was compared with nothing."""
    row_writers: tuple[str, ...] = ()
    """The revisions that may write rows, where nothing says that they were run."""

    @property
    def is_adopted(self) -> bool:
        """True when it is a tenant now, or would be if this were no dry run."""
        return self.problem is None

    @property
    def is_placed(self) -> bool:
        """True when nothing says that the revisions up to there were run."""
        is_told = self.evidence is Evidence.VERSION_TABLE
        return self.is_adopted and self.revision is not None and not is_told


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
            writer = _Writer(driver.session_options, settings, reader)
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
                f'The schema "{tenant.schema}" is a tenant already, or given twice;'
                " nothing was touched."
            )
        known.add(tenant.name.casefold())
        _require_schema(connection, tenant)


def _require_schema(connection: psycopg.Connection, tenant: Tenant) -> None:
    if not schema_exists(connection, tenant.schema):
        raise TenantSchemaMissingError(
            f'There is no schema "{tenant.schema}"; nothing was touched.'
            " `tenantmig onboard` makes new tenants."
        )


def _listed(
    fleet: Sequence[Tenant], wanted: Sequence[str], labels: Mapping[str, str], source: str
) -> list[Tenant]:
    """Return the tenants of another source than the registry, by their names or their schemas.

    Raises:
        SourceError: the source does not list one of them, or labels are given.
    """
    if labels:
        raise SourceError(f"The source {source!r} keeps the labels; change them there.")
    known = {tenant.schema: tenant for tenant in fleet} | {tenant.name: tenant for tenant in fleet}
    strangers = [one for one in wanted if one not in known]
    if strangers:
        raise SourceError(
            f'The source {source!r} does not list "{strangers[0]}", so it is no tenant; list it'
            " there first. Nothing was touched."
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
            return tenant.problem or f"it is {tenant.state}; finish that first"
        if version.is_unstamped:
            return None
        if version.problem is not None:
            return version.problem
        if self.at is not None and version.heads != self.at:
            stands = show_heads(version.heads) or "base"
            return f"its version table says {stands} and not {show_heads(self.at) or 'base'}"
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
            return Adopted(tenant, problem=f"it cannot be looked at: {sentence_of(error)}")

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
        problem = f"it equals no revision; {name} is the nearest ({differences_told})"
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
        f"it equals several revisions ({', '.join(candidates)}), whose catalogs are the same;"
        " say which with --at REV"
    )
    return Adopted(tenant, candidates=candidates, problem=problem)


@dataclass(frozen=True, slots=True)
class _Writer:
    """Registers one schema after the other."""

    options: SessionOptions
    settings: Settings
    reader: CatalogReader

    def register(self, found: Adopted, seen: Version) -> Adopted:
        """Register a schema, and write its version table if it had none to be trusted.

        One transaction, under the tenant's advisory lock; what was seen must still be so.
        """
        try:
            self._register(found, seen)
        except TenantmigError as error:
            return replace(found, revision=None, evidence=None, problem=error.message)
        except psycopg.Error as error:
            reason = " ".join(str(error.diag.message_primary or error).split())
            return replace(found, revision=None, evidence=None, problem=reason)
        return found

    @contextmanager
    def _telling_denial(self, session: TenantSession, tenant: Tenant) -> Iterator[None]:
        """Say which GRANT is lacking where the server denies something."""
        try:
            yield
        except psycopg.errors.InsufficientPrivilege as error:
            missing = find_denied(error, session, tenant.schema, self.settings.version_table)
            raise PrivilegeError(f"{error.diag.message_primary}{missing}") from error

    def _register(self, found: Adopted, seen: Version) -> None:
        tenant, table = found.tenant, self.settings.version_table
        with closing(TenantSession(self.options)) as session:
            session.lock(tenant.schema)
            with self._telling_denial(session, tenant), session.transaction() as connection:
                now = read_versions(connection, [tenant.schema], table)[tenant.schema]
                mark = self.reader.marks([tenant.schema]).get(tenant.schema)
                if now != seen or mark != found.mark:
                    raise VersionTableError(CHANGED)
                if self.settings.source == "registry":
                    add_tenant(connection, self.settings.ledger_schema, tenant)
                if seen.is_unstamped:
                    heads = found.revision.split(",") if found.revision else []
                    write_version(connection, tenant.schema, table, heads)
                wanted = read_versions(connection, [tenant.schema], table)
            with session.outside_transaction() as connection:
                left = read_versions(connection, [tenant.schema], table)
        if left != wanted:
            raise ReadBackError(
                "after the COMMIT its version table is not as it was written; it is registered, so"
                " look where it stands, and say so with `tenantmig stamp REV -t NAME`"
            )

"""Drift: tenants whose catalog is not what the history makes, and how. Changes nothing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from tenantmig.catalog.catalog import COLUMN, Catalog, CatalogObject, CatalogReader, Mark
from tenantmig.catalog.wording import is_same
from tenantmig.domain.plan import Heads, show_heads
from tenantmig.domain.tenant import Tenant
from tenantmig.drift.reference import BuildReferences, Reference, collect, show_fingerprint
from tenantmig.errors import sentence_of
from tenantmig.history.revisions import History
from tenantmig.postgres.retry import is_connection_loss
from tenantmig.postgres.version import Version
from tenantmig.postgres.version_table import ReadVersions

AT_BASE = "it is at base, where there is nothing to compare"
MOVED = "it moved to another revision during the comparison; run again"
NO_WAY = "no path of the history leads to exactly its revisions, so there is no reference"
OF_A_COLUMN = frozenset({"default", "not null", "column settings", "comment"})
BY_NAME_ALONE = frozenset({"index", "grant"})


class Change(StrEnum):
    """How a tenant's object differs from the reference's."""

    MISSING = "missing"
    EXTRA = "extra"
    DIFFERS = "differs"


@dataclass(frozen=True, slots=True)
class Difference:
    """One object that is not what it should be; the side on which there is none is None."""

    reference: CatalogObject | None
    tenant: CatalogObject | None

    @property
    def change(self) -> Change:
        """What is wrong with it."""
        if self.tenant is None:
            return Change.MISSING
        return Change.EXTRA if self.reference is None else Change.DIFFERS

    @property
    def either(self) -> CatalogObject:
        """The object, as the reference has it if it does."""
        found = self.reference or self.tenant
        assert found is not None
        return found

    @property
    def kind(self) -> str:
        """What kind of object it is."""
        return self.either.kind

    @property
    def name(self) -> str:
        """Its name as people say it, with that of its table."""
        one = self.either
        if one.kind in BY_NAME_ALONE and one.name:
            return f"{one.name} on {one.part_of}"
        return ".".join(part for part in (one.part_of, one.name) if part)


@dataclass(frozen=True, slots=True)
class TenantDrift:
    """One tenant: whether it differs from the reference, None if `problem` kept it from being
    compared.
    """

    tenant: Tenant
    revision: str | None
    fingerprint: str | None = None
    has_drifted: bool | None = None
    problem: str | None = None


@dataclass(frozen=True, slots=True)
class DriftGroup:
    """Tenants at one revision with the same catalog; no differences: that of the reference.

    `differences` are all of them; `told` leaves out parts of what is missing as a whole.
    """

    revision: str | None
    fingerprint: str
    tenants: tuple[Tenant, ...]
    differences: tuple[Difference, ...] = ()


@dataclass(frozen=True, slots=True)
class FleetDrift:
    """The fleet by revision and fingerprint; the groups that differ come last at each revision."""

    tenants: tuple[TenantDrift, ...]
    groups: tuple[DriftGroup, ...]
    nobody: str | None = None
    """Why there is no tenant, if that is so: what the source lists."""
    left_out: tuple[str, ...] = ()
    """Options that PostgreSQL does not document, and by which nothing was compared."""

    @property
    def drifted(self) -> tuple[DriftGroup, ...]:
        """The groups that differ from their reference."""
        return tuple(group for group in self.groups if group.differences)

    @property
    def problems(self) -> tuple[TenantDrift, ...]:
        """The tenants that could not be compared."""
        return tuple(found for found in self.tenants if found.problem is not None)


def find_drift(
    tenants: Sequence[Tenant],
    read: ReadVersions,
    history: History,
    reader: CatalogReader,
    build: BuildReferences,
) -> FleetDrift:
    """Compare each tenant with what the history makes of a scratch schema at the same revision.

    Where the history cannot be run there, that is the problem of each tenant that it concerns.
    """
    versions = read([tenant.schema for tenant in tenants])
    found = {t.name: _refused(t, versions[t.schema], history) for t in tenants}
    compared = [tenant for tenant in tenants if found[tenant.name] is None]
    wanted = {versions[tenant.schema].heads for tenant in compared}
    references, lacking = collect(build, reader, wanted)
    marks = reader.marks([tenant.schema for tenant in compared])
    comparison = _Comparison(reader, references, versions, marks, lacking or NO_WAY)
    for tenant in compared:
        try:
            found[tenant.name] = comparison.compare(tenant)
        except Exception as error:
            if is_connection_loss(error):
                raise
            revision = show_heads(versions[tenant.schema].heads)
            problem = f"it cannot be compared: {sentence_of(error)}"
            found[tenant.name] = TenantDrift(tenant, revision, problem=problem)
    drifted = [t for t in compared if (one := found[t.name]) and one.has_drifted]
    for tenant, heads in _moved(drifted, versions, read):
        comparison.forget(tenant)
        found[tenant.name] = TenantDrift(tenant, show_heads(heads), problem=MOVED)
    groups = sorted(comparison.groups(), key=_order)
    left_out = reader.undocumented([tenant.schema for tenant in compared])
    return FleetDrift(tuple(filter(None, found.values())), tuple(groups), left_out=left_out)


def _order(group: DriftGroup) -> tuple[str, bool, str]:
    return group.revision or "", bool(group.differences), group.tenants[0].name


def _refused(tenant: Tenant, version: Version, history: History) -> TenantDrift | None:
    """Say why a tenant cannot be compared, or None."""
    problem = tenant.problem or tenant.unfinished or version.problem
    if problem is None:
        try:
            history.check_heads(version.heads)
        except Exception as error:  # noqa: BLE001  what is wrong with one ends nothing for others
            problem = sentence_of(error)
    if problem is None and not version.heads:
        problem = AT_BASE
    return TenantDrift(tenant, show_heads(version.heads), problem=problem) if problem else None


def _moved(
    tenants: Sequence[Tenant], versions: Mapping[str, Version], read: ReadVersions
) -> Iterator[tuple[Tenant, Heads]]:
    """Find those of the tenants that no longer stand where they stood."""
    now = read([tenant.schema for tenant in tenants]) if tenants else {}
    for tenant in tenants:
        if now[tenant.schema] != versions[tenant.schema]:
            yield tenant, now[tenant.schema].heads


class _Comparison:
    """Compares tenants with references, and groups those with the same differences."""

    def __init__(
        self,
        reader: CatalogReader,
        references: Mapping[Heads, Reference],
        versions: Mapping[str, Version],
        marks: Mapping[str, Mark | str],
        lacking: str,
    ) -> None:
        self.reader = reader
        self.lacking = lacking
        """Why there is no reference for where some stand."""
        self.references = {heads: [reference] for heads, reference in references.items()}
        """As the history makes them, and with the wordings that were met in tenants."""
        self.versions = versions
        self.marks = marks
        self._groups: dict[tuple[str | None, str], tuple[list[Tenant], tuple[Difference, ...]]] = {}

    def compare(self, tenant: Tenant) -> TenantDrift:
        heads, mark = self.versions[tenant.schema].heads, self.marks.get(tenant.schema)
        references, revision = self.references.get(heads), show_heads(heads)
        if references is None or not isinstance(mark, Mark):
            problem = mark or "the tenant schema does not exist" if references else self.lacking
            return TenantDrift(tenant, revision, problem=str(problem))
        reference, differences = references[0], self._differences(tenant, references, mark)
        fingerprint = _fingerprint(reference, differences)
        group = self._groups.setdefault((revision, fingerprint), ([], differences))
        group[0].append(tenant)
        return TenantDrift(tenant, revision, fingerprint, has_drifted=bool(differences))

    def _differences(
        self, tenant: Tenant, references: list[Reference], mark: Mark
    ) -> tuple[Difference, ...]:
        schema, quoted = tenant.schema, mark.quoted
        if any(mark.number == reference.mark(schema, quoted) for reference in references):
            return ()
        found = self.reader.catalog(schema)
        differences = differences_between(references[0].of(schema, quoted), found)
        if not differences:
            references.append(references[0].worded(found))
        return differences

    def forget(self, tenant: Tenant) -> None:
        for members, _ in self._groups.values():
            if tenant in members:
                members.remove(tenant)

    def groups(self) -> Iterator[DriftGroup]:
        for (revision, fingerprint), (tenants, differences) in self._groups.items():
            if tenants:
                yield DriftGroup(revision, fingerprint, tuple(tenants), differences)


def _fingerprint(reference: Reference, differences: Sequence[Difference]) -> str:
    """The fingerprint of the reference, with what differs in its place."""
    mark = int(reference.fingerprint, 16)
    for difference in differences:
        mark -= difference.reference.number if difference.reference else 0
        mark += difference.tenant.number if difference.tenant else 0
    return show_fingerprint(mark)


def differences_between(expected: Catalog, found: Catalog) -> tuple[Difference, ...]:
    """Return all objects that differ, in the order of their names."""
    keys = expected.keys() | found.keys()
    both = (Difference(expected.get(key), found.get(key)) for key in keys)
    different = (pair for pair in both if not _is_same(pair.reference, pair.tenant))
    return tuple(sorted(different, key=lambda d: (d.either.part_of or d.either.name, d.either.key)))


def _is_same(reference: CatalogObject | None, tenant: CatalogObject | None) -> bool:
    if reference is None or tenant is None:
        return reference is tenant
    is_alike = (reference.key, reference.state) == (tenant.key, tenant.state)
    return is_alike and is_same(reference.kind, reference.definition, tenant.definition)


def told(differences: Sequence[Difference]) -> tuple[Difference, ...]:
    """Leave out what belongs to a table or a column that is itself missing, or extra."""
    whole = {(d.change, d.either.name) for d in differences if not d.either.part_of}
    columns = {(d.change, d.either.part_of, d.either.name) for d in differences if d.kind == COLUMN}
    return tuple(d for d in differences if not _is_told_with(d, whole, columns))


def _is_told_with(
    difference: Difference,
    whole: set[tuple[Change, str]],
    columns: set[tuple[Change, str, str]],
) -> bool:
    change, one = difference.change, difference.either
    if change is Change.DIFFERS or not one.part_of:
        return False
    is_of_column = one.kind in OF_A_COLUMN and (change, one.part_of, one.name) in columns
    return is_of_column or (change, one.part_of) in whole

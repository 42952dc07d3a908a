"""Discovery: the fleet, read from one of five sources. Owns the sources; changes nothing."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg
from psycopg.rows import dict_row

from tenantmig.domain.named_function import find_function
from tenantmig.domain.tenant import POOL, SCRATCH, UNFINISHED, Tenant, TenantState
from tenantmig.errors import SourceError, TenantNameError
from tenantmig.ledger.ledger import Ledger
from tenantmig.postgres.sql import query
from tenantmig.settings import Settings
from tenantmig.tenants.registry import list_tenants


def discover(settings: Settings, ledger: Ledger) -> list[Tenant]:
    """Return the fleet, by name, as the configured source lists it.

    Whatever the source, a tenant whose onboarding or offboarding was begun and not ended keeps
    that state, so that no rollout touches it.

    Raises:
        SourceError: the source is not configured, cannot be read, or lists a name or schema twice.
        TenantNameError: it lists a tenant that the name rules refuse.
    """
    registered = list_tenants(ledger)
    if settings.source == "registry":
        return registered
    listed = list(_read_source(settings, ledger))
    _check(listed, settings)
    active = [tenant for tenant in listed if tenant.state is TenantState.ACTIVE]
    unfinished = dict.fromkeys(_unborn(active, ledger), TenantState.ONBOARDING) | {
        tenant.schema: tenant.state for tenant in registered if tenant.state in UNFINISHED
    }
    problems = {tenant.schema: tenant.problem for tenant in registered}
    database = ledger.connection.info.dbname
    fleet = [
        Tenant(
            tenant.name,
            tenant.schema,
            tenant.database or database,
            unfinished.get(tenant.schema, tenant.state),
            tenant.labels,
            problems.get(tenant.schema),
        )
        for tenant in listed
    ]
    return sorted(fleet, key=lambda tenant: tenant.name)


def _unborn(listed: Sequence[Tenant], ledger: Ledger) -> Iterator[str]:
    """Yield the schemas that are listed and do not exist, if no run has seen them yet.

    They wait for `onboard`. One that the ledger has seen in a run was there; that it is missing is
    a problem of its own.
    """
    schemas = [tenant.schema for tenant in listed]
    missing = (
        "SELECT s FROM unnest(%s::text[]) s WHERE s NOT IN (SELECT nspname::text FROM pg_namespace)"
    )
    absent = [schema for (schema,) in ledger.connection.execute(missing, [schemas])]
    if not absent:
        return
    seen = set()
    if ledger.exists:
        try:
            rows = ledger.connection.execute(
                query("tenants/schemas_in_runs", ledger.schema), [absent]
            )
            seen = {schema for (schema,) in rows}
        except psycopg.errors.InsufficientPrivilege:
            seen = set(absent)  # nobody can say
    yield from (schema for schema in absent if schema not in seen)


def describe_nobody(settings: Settings, database: str, fleet: Sequence[Tenant]) -> str:
    """Say why no tenant of the source is selected by `--all`, and what to look at."""
    named = {
        "registry": f'The registry (schema "{settings.ledger_schema}")',
        "schemas": f"The source `schemas` (pattern {settings.source_pattern!r})",
        "query": "The source `query` (`source_query`)",
        "file": f"The source `file` ({settings.source_file})",
        "callable": f"The source `callable` ({settings.source_callable})",
    }
    where = f'{named[settings.source]} of the database "{database}"'
    if fleet:
        counts = Counter(tenant.state.value for tenant in fleet)
        states = ", ".join(f"{count} {state}" for state, count in counts.items())
        return f"{where} lists no tenant that is active and not skipped with --skip ({states})."
    if settings.source != "registry":
        return f"{where} lists no tenant. Check the settings `source...` and `database_url`."
    return (
        f"{where} lists no tenant. Onboard one (`tenantmig onboard NAME`), adopt existing "
        "schemas (`tenantmig tenants adopt SCHEMA...`), or set `source` if your tenants are "
        "listed elsewhere."
    )


def _read_source(settings: Settings, ledger: Ledger) -> Iterable[Tenant]:
    match settings.source:
        case "schemas":
            return _from_schemas(settings, ledger)
        case "query":
            return _from_query(_required(settings, "source_query"), ledger)
        case "file":
            return read_tenant_file(Path(_required(settings, "source_file")))
        case _:
            return _from_callable(_required(settings, "source_callable"))


def _required(settings: Settings, key: str) -> str:
    value = getattr(settings, key)
    if not value:
        raise SourceError(f"The source is {settings.source!r}, but `{key}` is not set.")
    return str(value)


def _from_schemas(settings: Settings, ledger: Ledger) -> Iterator[Tenant]:
    reserved = settings.name_rules.reserved | {"public", "information_schema"}
    pattern = _required(settings, "source_pattern")
    try:
        rows = ledger.connection.execute(
            "SELECT nspname FROM pg_namespace WHERE nspname LIKE %s AND nspname !~ '^pg_'",
            [pattern],
        )
    except psycopg.DataError as error:
        reason = error.diag.message_primary
        raise SourceError(f"`source_pattern` {pattern!r} cannot be used: {reason}.") from error
    for (schema,) in rows:
        if schema.lower() not in reserved and not schema.startswith((SCRATCH, POOL)):
            yield Tenant(schema, schema)


def is_in_pattern(settings: Settings, ledger: Ledger, tenant: Tenant) -> bool:
    """True when the source `schemas` would list a schema of this name."""
    like = "SELECT %s::text LIKE %s"
    row = ledger.connection.execute(like, [tenant.schema, settings.source_pattern]).fetchone()
    return bool(row and row[0])


def _from_query(source_query: str, ledger: Ledger) -> Iterator[Tenant]:
    with ledger.connection.cursor(row_factory=dict_row) as cursor:
        try:
            with ledger.transaction():
                cursor.execute("SET TRANSACTION READ ONLY")
                cursor.execute(source_query.encode())
                rows = cursor.fetchall()
        except psycopg.Error as error:
            reason = error.diag.message_primary or error
            raise SourceError(f"`source_query` failed: {reason}") from error
    for row in rows:
        yield _tenant_of_row(row, "source_query")


def _from_callable(where: str) -> Iterator[Tenant]:
    listing = find_function("source_callable", where, SourceError)
    try:
        rows = list(listing())
    except Exception as error:
        raise SourceError(f"`source_callable` {where} raised {error!r}.") from error
    for row in rows:
        yield _tenant_of_row(row, where)


def _tenant_of_row(row: Any, where: str) -> Tenant:
    match row:
        case Tenant():
            return row
        case str() | UUID():
            return Tenant(str(row), str(row))
        case {"name": str() | UUID() | int() as given, **rest} if not isinstance(given, bool):
            name = str(given)
            try:
                state = TenantState(str(rest.get("state") or TenantState.ACTIVE))
            except ValueError as error:
                raise SourceError(f"`{where}` gives {name!r} an unknown state: {error}.") from error
            labels = rest.get("labels") or {}
            if not isinstance(labels, Mapping):
                raise SourceError(f"`{where}` gives {name!r} labels that are not a mapping.")
            return Tenant(name, str(rest.get("schema") or name), state=state, labels=dict(labels))
        case (str() | UUID() as name, str() | UUID() as schema):
            return Tenant(str(name), str(schema))
    if isinstance(row, Mapping) and "name" in row:
        given = type(row["name"]).__name__
        raise SourceError(
            f"`{where}` gives a name of type {given}; it must be a text, UUID or integer."
        )
    raise SourceError(
        f"`{where}` must give names, (name, schema) pairs, tenants, or rows with a column"
        f" `name`; it gave {type(row).__name__}."
    )


def read_tenant_file(path: Path, *, is_schema_open: bool = False) -> list[Tenant]:
    """Read a file of tenants: CSV lines of `name` or `name,schema`; # begins a comment line.

    A line without a schema means the one of that name; with `is_schema_open` none ("").

    It may begin with a byte order mark and with a header, `name,schema` or `schema,name`. Empty
    lines, and those of nothing but commas, are passed over; blanks around a value are no part of
    it.

    Raises:
        SourceError: it cannot be read; a line that is malformed is named.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as lines:
            rows = [[cell.strip() for cell in row] for row in csv.reader(lines)]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise SourceError(f"The tenant file {path} cannot be read: {error}") from error
    numbered = [
        (number, row)
        for number, row in enumerate(rows, start=1)
        if any(row) and not row[0].startswith("#")
    ]
    name = 0
    if numbered:
        number, first = numbered[0]
        header = [cell.casefold() for cell in first]
        if header == ["name"]:
            raise SourceError(
                f"{path}, line {number}: `name` alone may be a header or a tenant. Write "
                "name,schema for a header, or name,name for a tenant with this name."
            )
        if sorted(header) == ["name", "schema"]:
            name = header.index("name")
            del numbered[0]
    tenants = []
    for number, row in numbered:
        if len(row) > 2 or not row[min(name, len(row) - 1)]:
            raise SourceError(f"{path}, line {number}: write name or name,schema.")
        named = row[name] if len(row) == 2 else row[0]
        schema = row[1 - name] if len(row) == 2 else ""
        tenants.append(Tenant(named, schema or ("" if is_schema_open else named)))
    return tenants


def _check(fleet: Sequence[Tenant], settings: Settings) -> None:
    rules = settings.name_rules
    for tenant in fleet:
        try:
            rules.check(tenant.name)
            rules.check(tenant.schema, "tenant schema")
        except TenantNameError as error:
            raise TenantNameError(f"{error.message} (Source: {settings.source}.)") from error
    for what, values in (
        ("name", Counter(tenant.name for tenant in fleet)),
        ("schema", Counter(tenant.schema for tenant in fleet)),
    ):
        twice = [value for value, times in values.items() if times > 1]
        if twice:
            raise SourceError(f'The source lists the {what} "{twice[0]}" more than once.')

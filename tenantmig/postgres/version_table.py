"""The version table of each tenant schema: read for a whole fleet in chunks, written by a stamp.

One `UNION ALL` over 17,000 schemas has taken a production database down (onyx 8679), so the fleet
is read a few hundred schemas at a time, a large one over several connections at once. Knows rows,
not what revisions mean.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from queue import SimpleQueue
from typing import NamedTuple

import psycopg
from psycopg import sql

from tenantmig.domain.lineage import Lineage
from tenantmig.domain.plan import Heads
from tenantmig.errors import VersionTableError, sentence_of
from tenantmig.postgres import rights
from tenantmig.postgres.connection import in_catalog, trusts, version_length
from tenantmig.postgres.sql import query, quoted

SHOWN = 3
CHUNK = 500  # version tables read by one statement
PART = 1500  # schemas that one connection takes at a time, and looks up in the catalogs
LONGEST = 1000  # characters of what may be a revision
REMEDY = "say where the tenant stands with `tenantmig stamp REV -t NAME`"
ADOPT = "; in another source than the registry `tenantmig tenants adopt NAME` finds the revision"
MISSING_SCHEMA = "the tenant schema does not exist"
EMPTY = (
    "the version table is empty though the schema holds tables; say where it stands with"
    " `tenantmig stamp REV -t NAME`, or, if its tables are older than the history, run the"
    f" first revision with `alembic -x tenant=NAME upgrade REV`{ADOPT}"
)


@dataclass(frozen=True, slots=True)
class Version:
    """The rows of one version table; `problem` says why they cannot be trusted, if so.

    `is_unstamped`: there is no version table, or an empty one beside other tables.
    """

    heads: Heads = ()
    problem: str | None = None
    is_unstamped: bool = False
    is_unsafe: bool = False
    """The tenant's own role may have put something there that would run as the migrator."""
    is_forbidden: bool = False
    """This role may not read it."""

    def seen_from(self, lineage: Lineage) -> Version:
        """Return what it means for a lineage: the shared one begins at base where nothing is said.

        Its schema may well hold other tables, and Alembic does the same. A tenant's never does.
        """
        return Version() if self.is_unstamped and lineage is Lineage.SHARED else self

    @property
    def is_schema_missing(self) -> bool:
        """True when there is no such tenant schema."""
        return self.problem == MISSING_SCHEMA

    @property
    def forbids_stamp(self) -> bool:
        """True when the version table cannot be written either, or what it says is not known."""
        return self.is_schema_missing or self.is_unsafe or self.is_forbidden


class _Facts(NamedTuple):
    has_version_table: bool
    has_version_column: bool
    shadows: list[str]
    oddities: list[str]

    def danger(self, schema: str, version_table: str) -> str | None:
        """Say what is there that may run as the migrator, and what to do."""
        found = [
            *(f"{thing} has a name of PostgreSQL's own" for thing in sorted(self.shadows)),
            *(f"{version_table}: {oddity}" for oddity in self.oddities),
        ]
        if not found:
            return None
        more = f" and {len(found) - SHOWN} more" if len(found) > SHOWN else ""
        return (
            "the tenant schema could run code as the migrator, so nothing was run or read there:"
            f" {'; '.join(found[:SHOWN])}{more}. Drop what should not be there. If it is meant, add"
            f' "{schema}" to `trusted_schemas`'
        )


ReadVersions = Callable[[Sequence[str]], Mapping[str, Version]]


def read_versions(
    connection: psycopg.Connection,
    schemas: Sequence[str],
    version_table: str,
    helpers: Sequence[psycopg.Connection] = (),
) -> dict[str, Version]:
    """Return the version of each schema, in a statement for every few hundred schemas.

    A few more look at the catalogs, and where version tables are empty. `helpers` are connections
    that read beside the first.

    A schema without a version table, or with an empty one beside other tables, has a problem:
    Alembic would run its history from base there. So has one in which something may run as the
    migrator, unless the schema is among `trusted_schemas`; its version table is not read.
    """
    parts = list(_chunks(schemas, PART))
    if not helpers:
        return _joined(_read_part(connection, part, version_table) for part in parts)
    idle: SimpleQueue[psycopg.Connection] = SimpleQueue()
    for one in (connection, *helpers):
        idle.put(one)

    def read(part: Sequence[str]) -> dict[str, Version]:
        mine = idle.get()
        try:
            return _read_part(mine, part, version_table)
        finally:
            idle.put(mine)

    try:
        with ThreadPoolExecutor(1 + len(helpers)) as threads:
            return _joined(threads.map(read, parts))
    except psycopg.OperationalError:
        if connection.broken or connection.closed:
            raise
        return read_versions(connection, schemas, version_table)  # a helper was lost


def _joined(parts: Iterable[dict[str, Version]]) -> dict[str, Version]:
    return {schema: version for part in parts for schema, version in part.items()}


def _read_part(
    connection: psycopg.Connection, schemas: Sequence[str], version_table: str
) -> dict[str, Version]:
    versions: dict[str, Version] = {}
    facts = _read_facts(connection, schemas, version_table)
    for chunk in _chunks(schemas, CHUNK):
        try:
            versions |= _read_chunk(connection, chunk, facts, version_table)
        except Exception:  # one of them: dropped meanwhile, not ours to read, or not readable
            if connection.broken or connection.closed:
                raise
            for schema in chunk:
                versions[schema] = _read_one(connection, schema, version_table)
    return versions


def _read_one(connection: psycopg.Connection, schema: str, version_table: str) -> Version:
    try:
        facts = _read_facts(connection, [schema], version_table)
        return _read_chunk(connection, [schema], facts, version_table)[schema]
    except Exception as error:
        if connection.broken or connection.closed:
            raise
        is_told = isinstance(error, psycopg.Error) and error.diag.message_primary
        told = is_told or sentence_of(error)
        problem = f"the version table cannot be read: {told}"
        if not isinstance(error, psycopg.errors.InsufficientPrivilege):
            return Version(problem=problem)
        needs = {version_table: frozenset({"SELECT"})}
        grants = rights.missing_grants(connection, schema, needs)
        if grants:
            problem += f"; to read it: {grants}"
            owner = rights.missing_membership(connection, schema)
            problem += f" to change it: {owner}" if owner else ""
        return Version(problem=problem, is_forbidden=True)


def _chunks(schemas: Sequence[str], size: int) -> Iterator[Sequence[str]]:
    for start in range(0, len(schemas), size):
        yield schemas[start : start + size]


def _read_facts(
    connection: psycopg.Connection, schemas: Sequence[str], version_table: str
) -> dict[str, _Facts]:
    parameters = {"schemas": list(schemas), "version_table": version_table}
    rows = connection.execute(query("postgres/version_tables"), parameters)
    return {schema: _Facts(*facts) for schema, *facts in rows}


def _read_chunk(
    connection: psycopg.Connection,
    schemas: Sequence[str],
    found: Mapping[str, _Facts],
    version_table: str,
) -> dict[str, Version]:
    dangers = {
        schema: found[schema].danger(schema, version_table)
        for schema in schemas
        if schema in found and not trusts(connection, schema)
    }
    readable = [
        s for s in schemas if s in found and found[s].has_version_column and not dangers.get(s)
    ]
    rows = _read_rows(connection, readable, version_table)
    empty = [schema for schema in readable if schema not in rows]
    full = _with_tables(connection, empty, version_table)
    versions = {}
    for schema in schemas:
        heads, wrong = _heads(rows.get(schema, ()))
        facts = found.get(schema)
        danger = dangers.get(schema)
        found_wrong = EMPTY if schema in full else wrong or _problem(facts, version_table)
        problem = danger or found_wrong
        is_bare = facts is not None and not facts.has_version_table
        is_unstamped = not danger and (is_bare or schema in full)
        versions[schema] = Version(heads, problem, is_unstamped, is_unsafe=danger is not None)
    return versions


def _heads(rows: Sequence[str | None]) -> tuple[Heads, str | None]:
    """Return the revisions that the rows of a version table name, and what is wrong with them."""
    heads = tuple(sorted({row for row in rows if row and len(row) <= LONGEST}))
    if len(heads) == len(rows):
        return heads, None
    if None in rows:
        found = "NULL"
    elif "" in rows:
        found = "an empty text"
    else:
        is_long = any(row and len(row) > LONGEST for row in rows)
        found = "a text that is too long for a revision" if is_long else "a revision twice"
    return heads, f"the version table holds {found}; {REMEDY}"


def _with_tables(
    connection: psycopg.Connection, schemas: Sequence[str], version_table: str
) -> set[str]:
    """Return those of the schemas that hold tables beside the version table."""
    if not schemas:
        return set()
    facts = {"schemas": list(schemas), "version_table": version_table}
    return {
        schema for (schema,) in connection.execute(query("postgres/schemas_with_tables"), facts)
    }


def _read_rows(
    connection: psycopg.Connection, schemas: Sequence[str], version_table: str
) -> dict[str, list[str | None]]:
    if not schemas:
        return {}
    one = sql.SQL("SELECT {}, version_num::pg_catalog.text FROM {}")
    statement = sql.SQL(" UNION ALL ").join(
        one.format(sql.Literal(index), sql.Identifier(schema, version_table))
        for index, schema in enumerate(schemas)
    )
    rows: dict[str, list[str | None]] = {}
    for index, revision in connection.execute(statement):
        rows.setdefault(schemas[index], []).append(revision)
    return rows


def _problem(facts: _Facts | None, version_table: str) -> str | None:
    if facts is None:
        return MISSING_SCHEMA
    if not facts.has_version_table:
        return (
            f"the schema has no version table ({version_table}); if its tables stand at a"
            f" revision, say so with `tenantmig stamp REV -t NAME`{ADOPT}"
        )
    if not facts.has_version_column:
        return f"the table {version_table} has no column version_num: it is not Alembic's"
    return None


def write_version(
    connection: psycopg.Connection, schema: str, version_table: str, heads: Collection[str]
) -> None:
    """Make the version table say `heads`, in the caller's transaction; create it if it is missing.

    The table is the one Alembic makes, its column as wide as the setting `version_length` says.

    Raises:
        VersionTableError: something else is in its place, or would run as the migrator.
    """
    table = sql.Identifier(schema, version_table)
    if not refuse_danger(connection, schema, version_table):  # IF NOT EXISTS asks for CREATE
        connection.execute(
            sql.SQL(
                "CREATE TABLE IF NOT EXISTS {} (version_num varchar({}) NOT NULL,"
                " CONSTRAINT {} PRIMARY KEY (version_num))"
            ).format(
                table,
                sql.Literal(version_length(connection)),
                sql.Identifier(f"{version_table}_pkc"),
            )
        )
    connection.execute(sql.SQL("DELETE FROM {}").format(table))
    for revision in heads:
        insert = sql.SQL("INSERT INTO {} VALUES (%s)").format(quoted(schema, version_table))
        connection.execute(insert, [revision])


def refuse_danger(connection: psycopg.Connection, schema: str, version_table: str) -> bool:
    """Make sure that nothing in a tenant schema can run as the migrator where versions are kept.

    Returns whether there is a version table.

    Raises:
        VersionTableError: something can, and the schema is not among `trusted_schemas`.
    """
    with in_catalog(connection):
        facts = _read_facts(connection, [schema], version_table).get(schema)
    danger = facts.danger(schema, version_table) if facts else None
    if danger and not trusts(connection, schema):
        raise VersionTableError(danger)
    return facts is not None and facts.has_version_table

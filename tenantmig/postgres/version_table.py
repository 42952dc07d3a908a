"""The version table of each tenant schema, read for a whole fleet in chunks.

One `UNION ALL` over 17,000 schemas has taken a production database down (onyx 8679), so the fleet
is read a few hundred schemas at a time, a large one over several connections at once. Knows rows,
not what revisions mean.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from queue import SimpleQueue

import psycopg

from tenantmig.errors import sentence_of
from tenantmig.postgres import rights
from tenantmig.postgres.version import Version
from tenantmig.postgres.version_rows import read_chunk, read_facts

CHUNK = 500  # version tables read by one statement
PART = 1500  # schemas that one connection takes at a time, and looks up in the catalogs


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
    facts = read_facts(connection, schemas, version_table)
    for chunk in _chunks(schemas, CHUNK):
        try:
            versions |= read_chunk(connection, chunk, facts, version_table)
        except Exception:  # one of them: dropped meanwhile, not ours to read, or not readable
            if connection.broken or connection.closed:
                raise
            for schema in chunk:
                versions[schema] = _read_one(connection, schema, version_table)
    return versions


def _read_one(connection: psycopg.Connection, schema: str, version_table: str) -> Version:
    try:
        facts = read_facts(connection, [schema], version_table)
        return read_chunk(connection, [schema], facts, version_table)[schema]
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

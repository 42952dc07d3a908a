"""Catalogs: every object of a tenant schema as PostgreSQL renders it, and one number for all.

For thousands of tenants: a prepared statement over a few connections returns the number alone, and
the objects are fetched only where it differs. Knows no history and changes nothing.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from queue import SimpleQueue
from typing import NamedTuple

import psycopg
from psycopg.rows import namedtuple_row

from tenantmig.catalog.storage_parameters import PARAMETERS
from tenantmig.errors import ConnectError
from tenantmig.postgres.sql import query

PIPELINED = 20  # tenants for which a session is asked before it has answered the first
MODULUS = 2**64
COLUMN = "column"

Key = tuple[str, str, str]


class CatalogObject(NamedTuple):
    """An object, or a property of one: what it is part of, its name (quoted as in SQL), and what
    PostgreSQL says of it. `state` is what no definition tells, such as INVALID.
    """

    kind: str
    part_of: str
    name: str
    definition: str
    state: str = ""

    @property
    def key(self) -> Key:
        """What makes it the same object in another tenant."""
        return self.kind, self.part_of, self.name

    @property
    def text(self) -> str:
        """Its definition and its state, for people."""
        state = f" [{self.state}]" if self.state else ""
        return f"{self.definition}{state}".strip()

    @property
    def number(self) -> int:
        """Its share of the catalog's mark, as the server computes it (`catalog_mark.sql`)."""
        digest = hashlib.sha256("\x1f".join(self).encode()).digest()
        return int.from_bytes(digest[:8], "big", signed=True)


Catalog = Mapping[Key, CatalogObject]


class Mark(NamedTuple):
    """A number for the catalog of a schema, and the schema's name as PostgreSQL quotes it."""

    quoted: str
    number: int


@dataclass(frozen=True, slots=True)
class CatalogOptions:
    """What is read. `has_privileges` adds owners and grants."""

    version_table: str
    has_privileges: bool = False
    recycle_after: int = 200
    """Schemas after which a session is replaced: what it has cached of them only grows."""


@dataclass(slots=True)
class _Session:
    """A connection that reads catalogs and nothing else."""

    connect: Callable[[], psycopg.Connection]
    options: CatalogOptions
    served: int = 0
    _connection: psycopg.Connection | None = field(default=None)

    @property
    def connection(self) -> psycopg.Connection:
        is_spent = self.served >= self.options.recycle_after
        if self._connection is None or self._connection.closed or is_spent:
            self.close()
            self._connection, self.served = self.connect(), 0
            self._connection.prepare_threshold = 0
            self._connection.execute(query("catalog/bind_catalog_session"))
        return self._connection

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def marks(self, schemas: Sequence[str]) -> dict[str, Mark | str]:
        try:
            return self._marks(schemas)
        except psycopg.Error:  # one of them: dropped meanwhile, or changed while it was read
            if self.connection.broken:
                raise
        return {schema: mark for one in schemas for schema, mark in self._mark_alone(one).items()}

    def _mark_alone(self, schema: str) -> dict[str, Mark | str]:
        try:
            return self._marks([schema])
        except psycopg.Error as error:
            if self.connection.broken:
                raise
            return {schema: f"its catalog cannot be read: {error.diag.message_primary}"}

    def _marks(self, schemas: Sequence[str]) -> dict[str, Mark | str]:
        """A transaction for each: the search path and the locks of rendering end with it."""
        connection, statement = (
            self.connection,
            query("catalog/catalog_objects") + query("catalog/catalog_mark"),
        )
        self.served += len(schemas)
        with connection.pipeline() as pipeline:
            cursors = []
            for schema in schemas:
                cursors.append(connection.execute(statement, self._parameters(schema)))
                pipeline.sync()
            rows = [cursor.fetchone() for cursor in cursors]
        found = zip(schemas, rows, strict=True)
        return {schema: Mark(row[0], int(row[1])) for schema, row in found if row is not None}

    def catalog(self, schema: str) -> Catalog:
        statement = query("catalog/catalog_objects") + query("catalog/catalog_lines")
        self.served += 1
        with self.connection.cursor(row_factory=namedtuple_row) as cursor:
            rows = cursor.execute(statement, self._parameters(schema)).fetchall()
        objects = (CatalogObject(*row) for row in rows)
        return {one.key: one for one in objects}

    def undocumented(self, schemas: Sequence[str]) -> tuple[str, ...]:
        given = {"schemas": list(schemas)} | PARAMETERS
        rows = self.connection.execute(query("catalog/undocumented_options"), given).fetchall()
        return tuple(name for (name,) in rows)

    def _parameters(self, schema: str) -> dict[str, object]:
        return {
            "schema": schema,
            "version_table": self.options.version_table,
            "privileges": self.options.has_privileges,
        } | PARAMETERS


class CatalogReader:
    """Reads the catalogs of tenant schemas, over a few sessions of its own. One thread uses it.

    Without the version table, what belongs to extensions, and what differs between equal tenants:
    the order of columns, tablespaces, and where a sequence stands.
    """

    def __init__(
        self, connect: Callable[[], psycopg.Connection], options: CatalogOptions, sessions: int = 1
    ) -> None:
        self._sessions = [_Session(connect, options) for _ in range(sessions)]

    def close(self) -> None:
        """End its connections."""
        for session in self._sessions:
            session.close()

    def marks(self, schemas: Sequence[str]) -> dict[str, Mark | str]:
        """Return a mark for each schema that exists, or why there is none.

        Equal catalogs have equal marks, whatever their oids, the order of their objects and their
        past. (That different catalogs have the same is one chance in 2^64.)
        """
        idle: SimpleQueue[_Session] = SimpleQueue()
        for session in self._usable():
            idle.put(session)

        def read(part: Sequence[str]) -> dict[str, Mark | str]:
            mine = idle.get()
            try:
                return mine.marks(part)
            finally:
                idle.put(mine)

        with ThreadPoolExecutor(len(self._sessions)) as threads:
            parts = threads.map(read, _parts(schemas))
            return {schema: mark for part in parts for schema, mark in part.items()}

    def _usable(self) -> Iterator[_Session]:
        """Connect all but the first only if the server admits them."""
        first, *others = self._sessions
        _ = first.connection
        yield first
        with suppress(ConnectError):
            for session in others:
                _ = session.connection
                yield session

    def catalog(self, schema: str) -> Catalog:
        """Return every object of a schema; none if there is no such schema."""
        return self._sessions[0].catalog(schema)

    def undocumented(self, schemas: Sequence[str]) -> tuple[str, ...]:
        """Name the options in these schemas that are left out: PostgreSQL documents no such."""
        return self._sessions[0].undocumented(schemas)


def _parts(schemas: Sequence[str]) -> Iterator[Sequence[str]]:
    for start in range(0, len(schemas), PIPELINED):
        yield schemas[start : start + PIPELINED]

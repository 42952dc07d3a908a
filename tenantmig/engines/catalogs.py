"""Catalogs: how tenants stand before a replay, and whether they stand as they should after it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence

import psycopg

from tenantmig.catalog.fingerprint import CHUNK, Outline, read_fingerprints
from tenantmig.postgres.connection import in_catalog

Read = Callable[[Sequence[str]], Mapping[str, Outline]]


class Catalogs:
    """The catalogs of one batch of tenants. May be used from several threads.

    `outlines` reads those of several schemas; whoever is next in line is read with the tenant that
    is asked for.
    """

    def __init__(self, outlines: Read) -> None:
        self.outlines = outlines
        self._line: list[str] = []
        self._place: dict[str, int] = {}
        self._before: dict[str, Outline | None] = {}
        self._unverified: dict[str, str | None] = {}
        self._guard = threading.Lock()  # held while outlines are read
        self._arrivals = threading.Lock()

    def expect(self, schemas: Sequence[str]) -> None:
        """Forget the batch before; these are next, in about this order."""
        with self._guard:
            self._line = list(schemas)
            self._place = {schema: place for place, schema in enumerate(schemas)}
            self._before.clear()

    def before(self, schema: str) -> Outline | None:
        """Return the outline of a tenant that is yet to be moved, None without a schema."""
        with self._guard:
            if schema not in self._before:
                start = self._place.get(schema, 0)
                chunk = [schema, *self._line[start + 1 : start + CHUNK]]
                found = self.outlines(chunk)
                self._before |= {name: found.get(name) for name in chunk}
            return self._before[schema]

    def replayed(self, schema: str, expected: str | None) -> None:
        """A tenant was replayed; this should be its fingerprint now."""
        with self._arrivals:
            self._unverified[schema] = expected

    def verify(self, connection: psycopg.Connection, least: int = 1) -> list[str]:
        """Return the schemas that do not, of those replayed since the last look.

        Looks when there are at least so many.
        """
        with self._arrivals:
            if len(self._unverified) < least:
                return []
            expected, self._unverified = self._unverified, {}
        differing = []
        try:
            for start in range(0, len(expected), CHUNK):
                chunk = list(expected)[start : start + CHUNK]
                with in_catalog(connection):
                    found = read_fingerprints(connection, chunk)
                differing += [schema for schema in chunk if found.get(schema) != expected[schema]]
        except psycopg.Error:
            with self._arrivals:
                self._unverified = expected | self._unverified
            raise
        return differing

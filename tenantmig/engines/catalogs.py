"""Catalogs: how tenants stand before a replay, and whether they stand as they should after it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence

import psycopg

from tenantmig.catalog.fingerprint import CHUNK, Outline, read_fingerprints
from tenantmig.postgres.connection import in_catalog

Read = Callable[[Sequence[str]], Mapping[str, Outline]]
AHEAD = 64  # tenants whose outlines are known when the next are read, so that nobody waits for them


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
        self._reading = threading.Lock()
        self._arrivals = threading.Lock()

    def expect(self, schemas: Sequence[str]) -> None:
        """Forget the batch before; these are next, in about this order."""
        with self._reading:
            self._line = list(schemas)
            self._place = {schema: place for place, schema in enumerate(schemas)}
            self._before.clear()

    def before(self, schema: str) -> Outline | None:
        """Return the outline of a tenant that is yet to be moved, None without a schema."""
        place = self._place.get(schema, 0)
        if schema in self._before:
            self._read_ahead(place)
        else:
            with self._reading:
                if schema not in self._before:
                    self._read([schema, *self._line[place + 1 : place + CHUNK]])
        return self._before[schema]

    def _read_ahead(self, place: int) -> None:
        """Read the next outlines while the other threads go on with those that are known."""
        soon = self._line[place : place + AHEAD + 1]
        if not soon or soon[-1] in self._before or not self._reading.acquire(blocking=False):
            return
        try:
            unread = [schema for schema in self._line[place:] if schema not in self._before]
            if unread:
                self._read(unread[:CHUNK])
        finally:
            self._reading.release()

    def _read(self, chunk: Sequence[str]) -> None:
        found = self.outlines(chunk)
        self._before |= {schema: found.get(schema) for schema in chunk}

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

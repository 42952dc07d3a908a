"""Literals: a statement and its parameters as one text that the server takes as it took the two.

psycopg binds most parameters with a type; a bare literal would get another one (2.5 is numeric and
no double precision). What it binds without one, a str, gets the type from where it stands, which
the server is asked for. So each is written as a literal with the type that it had.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import psycopg
from psycopg import abc
from psycopg.adapt import Dumper, PyFormat, Transformer
from psycopg.pq import Escaping, Format, TransactionStatus
from psycopg.pq.abc import Escaping as AnyEscaping

from tenantmig.postgres.sql import query

Parameters = Sequence[Any] | Mapping[str, Any]
UNKNOWN = "unknown"
WITH_FORMAT = re.compile(r"%(?:\([^)]*\))?[bt]")


class UnwritableError(Exception):
    """A parameter cannot be written as a literal of the same type."""


class _Text(NamedTuple):
    """What stands in a parameter's place."""

    sql: bytes


class _TextDumper(Dumper):
    def dump(self, obj: _Text) -> bytes:
        return obj.sql

    def quote(self, obj: _Text) -> bytes:
        return obj.sql


class _Bound(NamedTuple):
    """A parameter as psycopg's cursor would bind it; type 0 is left to the server."""

    oid: int
    value: bytes | None


class Literals:
    """Writes the statements of one connection, inside the transaction that it has open.

    Unless it `asks`, the server is not asked for the type of a parameter that is bound without one:
    the literal has none either.
    """

    def __init__(self, connection: psycopg.Connection, *, asks: bool = True) -> None:
        self.connection = connection
        self._asks = asks
        self._cursor = psycopg.ClientCursor(connection)
        self._cursor.adapters.register_dumper(_Text, _TextDumper)
        self._names = {0: UNKNOWN}
        self._types: dict[tuple[str, tuple[int, ...]], Sequence[str]] = {}

    def write(self, statement: str, parameters: Parameters) -> str:
        """Return the statement with its parameters put in.

        Raises:
            UnwritableError: one cannot be written with its type.
            psycopg.Error: one cannot be bound either, or the statement is refused.
        """
        if WITH_FORMAT.search(statement.replace("%%", "")):
            raise UnwritableError("a placeholder has a format")
        given = _used(statement, parameters)
        transformer = Transformer(self.connection)
        bound = {key: _bind(value, transformer) for key, value in given.items()}
        types = self._types_of(statement, parameters, bound)
        escaping = Escaping(self.connection.pgconn)
        written = {
            key: _written(_quoted(one, escaping), name.encode(self.connection.info.encoding))
            for (key, one), name in zip(bound.items(), types, strict=True)
        }
        return self._filled(statement, parameters, written)

    def _filled(self, statement: str, parameters: Parameters, texts: Mapping[Any, bytes]) -> str:
        """Put a text in the place of each parameter; of none, what psycopg makes of it."""
        filled: Parameters = {key: _Text(text) for key, text in texts.items()}
        if not isinstance(parameters, Mapping):
            filled = [_Text(text) for text in texts.values()]
        return self._cursor.mogrify(statement.encode(self.connection.info.encoding), filled)

    def _types_of(
        self, statement: str, parameters: Parameters, bound: Mapping[Any, _Bound]
    ) -> Sequence[str]:
        """Name the type of each parameter, as the server sees the statement."""
        oids = tuple(one.oid for one in bound.values())
        if 0 not in oids or not self._asks:
            return [self._name(oid) for oid in oids]
        if (statement, oids) not in self._types:
            declared = ", ".join(self._name(oid) for oid in oids)
            places = {key: b"$%d" % number for number, key in enumerate(bound, 1)}
            text = self._filled(statement, parameters, places)
            self._types[statement, oids] = self._ask(f"({declared}) AS {text}")
        return self._types[statement, oids]

    def _ask(self, prepared: str) -> Sequence[str]:
        """Let the server read the statement, without running it; a savepoint bears its refusal."""
        is_idle = self.connection.info.transaction_status is TransactionStatus.IDLE
        if is_idle and not self.connection.autocommit:
            self.connection.execute("SELECT")  # begins the transaction of the statement itself
        with self.connection.transaction():
            self.connection.execute(f"PREPARE tenantmig_types {prepared}".encode())
            found = self.connection.execute(query("postgres/prepared_types")).fetchall()
            self.connection.execute("DEALLOCATE tenantmig_types")
        return [str(name) for (name,) in found]

    def _name(self, oid: int) -> str:
        """Name a type without losing any: `bit` would be one bit, and "bit" is as many as come."""
        if oid not in self._names:
            cursor = psycopg.Cursor(self.connection)  # not as a script's own statement
            found = cursor.execute(
                "SELECT pg_catalog.format_type(%s::pg_catalog.oid, -1)", [oid]
            ).fetchone()
            self._names[oid] = str(found[0]) if found else UNKNOWN
        return self._names[oid]


def _used(statement: str, parameters: Parameters) -> dict[Any, Any]:
    """Return the parameters that the statement has a place for, in any order."""
    if isinstance(parameters, Mapping):
        return {name: value for name, value in parameters.items() if f"%({name})s" in statement}
    return dict(enumerate(parameters))


def _bind(value: object, transformer: abc.Transformer) -> _Bound:
    """Bind a parameter as a cursor does that leaves all literals to the server."""
    if value is None:
        return _Bound(0, None)
    dumper = transformer.get_dumper(value, PyFormat.AUTO)
    oid = dumper.oid
    if dumper.format is Format.BINARY:
        dumper = transformer.get_dumper(value, PyFormat.TEXT)
        if dumper.oid != oid or dumper.format is Format.BINARY:
            raise UnwritableError(
                f"a {type(value).__name__} cannot be written as a text of its type"
            )
    dumped = dumper.dump(value)
    return _Bound(oid, None if dumped is None else bytes(dumped))


def _written(literal: bytes, name: bytes) -> bytes:
    return literal if name == UNKNOWN.encode() else b"(%s::%s)" % (literal, name)


def _quoted(one: _Bound, escaping: AnyEscaping) -> bytes:
    return b"NULL" if one.value is None else bytes(escaping.escape_literal(one.value)).strip()

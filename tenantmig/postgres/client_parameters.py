"""Parameters that are put into a statement's text on the client, as psycopg2 does it.

The server takes parameters of a SELECT, INSERT, UPDATE, DELETE or MERGE, and of what holds one of
them, but of no other statement (PostgreSQL docs, PREPARE) and of no text of several statements.
Knows no connection of ours.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any, Final

import psycopg
from psycopg.adapt import RecursiveDumper

from tenantmig.postgres.parsing import UnreadableError, enum_name, parse_sent

COMMENTS: Final = re.compile(r"(?:\s|\(|--[^\n]*(?:\n|$)|/\*(?:[^*]|\*(?!/))*\*/)*")
QUICK: Final = re.compile(
    r"(?:SELECT|INSERT|UPDATE|DELETE|MERGE|VALUES|WITH|TABLE)\b", re.IGNORECASE
)
BOUND: Final = frozenset(
    f"{kind}_stmt"
    for kind in (
        "select",
        "insert",
        "update",
        "delete",
        "merge",
        "explain",
        "declare_cursor",
        "call",
    )
)


class _TupleDumper(RecursiveDumper):
    """Writes a tuple as psycopg2 does, for `IN %s`; psycopg 3 alone writes a composite value."""

    def dump(self, obj: tuple[Any, ...]) -> bytes:
        return self.quote(obj)

    def quote(self, obj: tuple[Any, ...]) -> bytes:
        """Return the list of its values, in parentheses."""
        return b"(%s)" % b", ".join(bytes(self._tx.as_literal(one)) for one in obj)


def takes_parameters(statement: str) -> bool:
    """True when the server takes parameters beside the text."""
    begin = COMMENTS.match(statement)
    if ";" not in statement and QUICK.match(statement, begin.end() if begin else 0):
        return True
    return _takes_parameters(statement)


@lru_cache(maxsize=64)
def _takes_parameters(statement: str) -> bool:
    try:
        parsed = parse_sent(statement).stmts
    except UnreadableError:  # as COMMENT … IS $1
        return False
    if len(parsed) != 1:
        return False
    kind = parsed[0].stmt.WhichOneof("node")
    if kind == "create_table_as_stmt":
        node = parsed[0].stmt.create_table_as_stmt
        return enum_name(node, "objtype") != "OBJECT_MATVIEW"
    return kind in BOUND


def put_in(connection: psycopg.Connection[Any], statement: str, parameters: Any) -> str:
    """Return the statement with its parameters as literals, as psycopg2 writes them.

    Raises:
        psycopg.Error: a value has no literal, or their number is another one.
    """
    cursor = psycopg.ClientCursor(connection)
    cursor.adapters.register_dumper(tuple, _TupleDumper)
    return cursor.mogrify(statement.encode(connection.info.encoding), parameters)

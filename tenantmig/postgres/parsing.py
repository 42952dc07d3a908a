"""Parsing: SQL read by PostgreSQL's own parser, with one error for all that cannot be read. Pure.

The parser is imported when it is needed: a command that finds nothing to do never does.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

PLACEHOLDER = re.compile(r"%\(\w+\)[sbt]|%[sbt]")  # psycopg's; the parser knows $1


class UnreadableError(Exception):
    """The text is no SQL to PostgreSQL, or nests too deeply for the parser's trees."""


def prepare() -> None:
    """Import the parser before it is needed: in a thread, beside something else."""
    import postgast  # noqa: F401, PLC0415


def parse(text: str, *, is_deep: bool = False) -> Any:
    """Return the tree of one or more statements. `is_deep`: however deeply it nests.

    Raises:
        UnreadableError: it cannot be read.
    """
    if is_deep:
        with _deep_trees():
            return parse(text)
    import postgast  # noqa: PLC0415
    from google.protobuf.message import DecodeError  # noqa: PLC0415  its trees are messages

    try:
        return postgast.parse(text)
    except postgast.PgQueryError as error:
        raise UnreadableError(str(error)) from error
    except DecodeError as error:  # more than 100 messages deep: a chain of 60 operators is
        raise UnreadableError("it is nested too deeply for the parser") from error


@contextmanager
def _deep_trees() -> Iterator[None]:
    """Let protobuf read trees of any depth in the block; its own limit is 100 messages."""
    try:
        from google._upb._message import SetAllowOversizeProtos  # noqa: PLC0415
    except ImportError:  # another implementation of protobuf
        yield
        return
    SetAllowOversizeProtos(True)  # noqa: FBT003
    try:
        yield
    finally:
        SetAllowOversizeProtos(False)  # noqa: FBT003


def parse_sent(text: str) -> Any:
    """Return the tree of a text as psycopg is given it, with its placeholders.

    Raises:
        UnreadableError: it cannot be read.
    """
    return parse(PLACEHOLDER.sub("$1", text).replace("%%", "%"))


def deparse(tree: Any) -> str:
    """Write the SQL of a tree.

    Raises:
        UnreadableError: the tree is none of SQL.
    """
    import postgast  # noqa: PLC0415

    try:
        return str(postgast.deparse(tree))
    except postgast.PgQueryError as error:
        raise UnreadableError(str(error)) from error


def tokens(text: str) -> list[Any]:
    """Return the tokens of a text, whose places count bytes.

    Raises:
        UnreadableError: it cannot be read.
    """
    import postgast  # noqa: PLC0415

    try:
        return list(postgast.scan(text).tokens)
    except postgast.PgQueryError as error:
        raise UnreadableError(str(error)) from error


def enum_name(message: Any, field: str) -> str:
    """Return the name of the value that a field of a tree's node has."""
    descriptor = message.DESCRIPTOR.fields_by_name[field].enum_type
    return str(descriptor.values_by_number[getattr(message, field)].name)

"""The script that pg_restore prints for a backup, cut into statements and rows. Pure.

PostgreSQL's own parser says where a statement ends. Whoever reads a script here runs exactly the
statements that were read, one by one: no other program cuts the text a second time.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import IO, Any

from tenantmig.errors import UnreadableScriptError
from tenantmig.postgres.parsing import UnreadableError, parse

RESTRICT = re.compile(rb"\\restrict ([A-Za-z0-9]{1,255})\r?\n")
"""pg_restore begins its script so, since 16.10 and 17.6; the word is a new one each time."""
COPY_ENDS = b" FROM stdin;\n"
END_OF_ROWS = b"\\.\n"
ENTRY = (b"-- Name: ", b"-- Data for Name: ")
CHUNK = 1 << 18
MOST_TRIES = 1_000
Rows = Iterator[bytes]


@dataclass(frozen=True, slots=True)
class Statement:
    """One statement: its text, its kind and its tree; of a COPY also the rows."""

    text: str
    kind: str
    node: Any
    rows: Rows = field(default_factory=lambda: iter(()))


def read_script(stream: IO[bytes]) -> Iterator[Statement]:
    """Yield the statements of a script. What is left of a COPY's rows is read over.

    Raises:
        UnreadableScriptError: it holds something that is no SQL, or rows that do not end.
    """
    text, token, tries, wanted = bytearray(), b"", 0, CHUNK
    for line in stream:
        if not token and (found := RESTRICT.fullmatch(line)) and _is_remark(bytes(text)):
            token = found[1]
            continue
        if token and line == b"\\unrestrict " + token + b"\n":
            break
        text += line
        is_copy = line.endswith(COPY_ENDS)
        if not is_copy and not (len(text) > wanted and line.startswith(ENTRY)):
            continue
        try:
            statements = list(_statements(bytes(text)))
        except UnreadableError:  # the line stands inside a text
            tries, wanted = tries + 1, 2 * len(text)
            if tries > MOST_TRIES:
                raise UnreadableScriptError(_words("its last statement does not end")) from None
            continue
        if is_copy and not (statements and _takes_rows(statements[-1])):
            continue
        text.clear()
        wanted = CHUNK
        yield from _in_turn(statements, stream if is_copy else None)
    yield from _rest(bytes(text), stream)


def _rest(text: bytes, stream: IO[bytes]) -> Iterator[Statement]:
    if any(line.strip() for line in stream):
        raise UnreadableScriptError(_words("it has text after its end"))
    try:
        statements = list(_statements(text))
    except UnreadableError as error:
        raise UnreadableScriptError(_words(f"the parser says: {error}")) from error
    yield from _in_turn(statements, None)


def _in_turn(statements: list[Statement], stream: IO[bytes] | None) -> Iterator[Statement]:
    """Yield statements; the last one has the rows that follow in the stream, if that is given."""
    last = statements.pop() if stream is not None else None
    for statement in statements:
        if _takes_rows(statement):
            raise UnreadableScriptError(_words("it contains a COPY whose rows cannot be found"))
        yield statement
    if last is not None and stream is not None:
        rows = _rows(stream)
        yield Statement(last.text, last.kind, last.node, rows)
        for _ in rows:
            pass


def _rows(stream: IO[bytes]) -> Rows:
    for line in stream:
        if line == END_OF_ROWS:
            return
        if line.startswith(b"\\.") or b"\0" in line or not line.endswith(b"\n"):
            break
        yield line
    raise UnreadableScriptError(_words("the rows of a COPY do not end the way pg_dump ends them"))


def _statements(text: bytes) -> Iterator[Statement]:
    """Parse a text and yield its statements.

    Raises:
        UnreadableError: it cannot be read.
    """
    if b"\0" in text:
        raise UnreadableError("it contains a NUL character")
    try:
        tree = parse(text.decode(), is_deep=True)
    except UnicodeDecodeError as error:
        raise UnreadableError("it is not UTF-8") from error
    for one in tree.stmts:
        start = one.stmt_location
        end = start + one.stmt_len if one.stmt_len else len(text)
        kind = str(one.stmt.WhichOneof("node"))
        yield Statement(text[start:end].decode().strip(), kind, getattr(one.stmt, kind))


def _takes_rows(statement: Statement) -> bool:
    """True for COPY ... FROM stdin."""
    if statement.kind != "copy_stmt":
        return False
    node = statement.node
    return bool(node.is_from and not node.filename and not node.is_program)


def _is_remark(text: bytes) -> bool:
    return all(not line.strip() or line.startswith(b"--") for line in text.splitlines())


def _words(reason: str) -> str:
    return f"pg_dump did not write this backup: {reason}. Nothing was touched."

"""PostgreSQL's protocol as a server speaks it to pg_dump: version 3, "simple query" and COPY out.

See "Frontend/Backend Protocol" in PostgreSQL's docs. Knows libpq's results, and no tenant.
"""

from __future__ import annotations

import socket
import struct

from psycopg import pq
from psycopg.pq.abc import PGconn, PGresult

PROTOCOL = 3
ASKS_FOR_TLS = frozenset({80877103, 80877104})
ASKS_TO_CANCEL = 80877102
LONGEST_START = 10_000
CHUNK = 1 << 16
REPORTED = (
    b"server_version", b"server_encoding", b"client_encoding", b"application_name",
    b"is_superuser", b"session_authorization", b"DateStyle", b"IntervalStyle", b"TimeZone",
    b"integer_datetimes", b"standard_conforming_strings", b"in_hot_standby",
    b"default_transaction_read_only",
)  # fmt: skip
STATES = {
    pq.TransactionStatus.IDLE: b"I",
    pq.TransactionStatus.INTRANS: b"T",
    pq.TransactionStatus.INERROR: b"E",
}
FIELDS = {
    b"S": pq.DiagnosticField.SEVERITY,
    b"V": pq.DiagnosticField.SEVERITY_NONLOCALIZED,
    b"C": pq.DiagnosticField.SQLSTATE,
    b"M": pq.DiagnosticField.MESSAGE_PRIMARY,
    b"D": pq.DiagnosticField.MESSAGE_DETAIL,
    b"H": pq.DiagnosticField.MESSAGE_HINT,
}
INT, SHORT, BYTE = struct.Struct("!i"), struct.Struct("!h"), struct.Struct("!b")
COLUMN = struct.Struct("!ihihih")
NULL = INT.pack(-1)


class WireError(Exception):
    """The other side has gone, or says what is not known here."""


class Wire:
    """The server's side of one conversation. What is sent is gathered until `flush`."""

    def __init__(self, client: socket.socket) -> None:
        self.client = client
        self._out = bytearray()
        self._told: dict[bytes, bytes | None] = {}

    def begin(self, server: PGconn) -> bool:
        """Let it in, as the server has let us in. False: it only asks to cancel."""
        while True:
            (length,) = INT.unpack(self._read(4))
            if not 8 <= length <= LONGEST_START:
                raise WireError("pg_dump did not start the connection as PostgreSQL's clients do")
            start = self._read(length - 4)
            (code,) = INT.unpack(start[:4])
            if code in ASKS_FOR_TLS:
                self.client.sendall(b"N")
                continue
            if code == ASKS_TO_CANCEL:
                return False
            if code >> 16 != PROTOCOL:
                raise WireError(f"pg_dump uses version {code >> 16} of the protocol")
            if code & 0xFFFF:  # a newer minor version: only 3.0 is spoken here
                self._send(b"v", INT.pack(PROTOCOL << 16) + INT.pack(0))
            break
        self._send(b"R", INT.pack(0))
        self._send(b"K", INT.pack(0) * 2)
        self.ready(server)
        return True

    def question(self) -> bytes | None:
        """Wait for the next question; None when pg_dump takes its leave, or has gone."""
        kind = self.client.recv(1)
        if not kind:
            return None
        (length,) = INT.unpack(self._read(4))
        body = self._read(length - 4)
        if kind == b"X":
            return None
        if kind != b"Q":
            raise WireError(f"pg_dump sent a message of the unknown type {kind!r}")
        return body.removesuffix(b"\0")

    def ready(self, server: PGconn) -> None:
        """Say that the next question may come, and what has changed in the session."""
        for name in REPORTED:
            value = server.parameter_status(name)
            if value is not None and self._told.get(name) != value:
                self._told[name] = value
                self._send(b"S", name + b"\0" + value + b"\0")
        state = STATES.get(pq.TransactionStatus(server.transaction_status))
        if state is None:
            raise WireError("the connection to the server was lost")
        self._send(b"Z", state)
        self.flush()

    def result(self, result: PGresult) -> None:
        """Pass on a whole result, or how a statement ended."""
        if result.status == pq.ExecStatus.TUPLES_OK:
            self._rows(result)
        if result.status == pq.ExecStatus.EMPTY_QUERY:
            self._send(b"I", b"")
        elif result.status in {pq.ExecStatus.TUPLES_OK, pq.ExecStatus.COMMAND_OK}:
            self._send(b"C", (result.command_status or b"") + b"\0")
        elif result.status == pq.ExecStatus.FATAL_ERROR:
            found = ((code, result.error_field(field)) for code, field in FIELDS.items())
            self._send(b"E", b"".join(code + text + b"\0" for code, text in found if text) + b"\0")
        else:
            raise WireError(f"the server answered with {pq.ExecStatus(result.status).name}")

    def _rows(self, result: PGresult) -> None:
        columns = range(result.nfields)
        self._send(b"T", SHORT.pack(len(columns)) + b"".join(_column(result, c) for c in columns))
        count = SHORT.pack(len(columns))
        for row in range(result.ntuples):
            values = (result.get_value(row, column) for column in columns)
            self._send(b"D", count + b"".join(map(_value, values)))

    def copy_begins(self, result: PGresult) -> None:
        """Say that rows of a COPY follow, as text."""
        formats = (SHORT.pack(result.fformat(column)) for column in range(result.nfields))
        self._send(b"H", BYTE.pack(0) + SHORT.pack(result.nfields) + b"".join(formats))

    def copy_row(self, row: bytes | memoryview) -> None:
        """Pass on a row of a COPY."""
        self._out += b"d" + INT.pack(len(row) + 4)
        if len(row) > CHUNK:  # a row may have a gigabyte: without a copy of it
            self.flush()
            self.client.sendall(row)
            return
        self._out += row
        if len(self._out) > CHUNK:
            self.flush()

    def copy_ends(self) -> None:
        """Say that there is no further row."""
        self._send(b"c", b"")

    def flush(self) -> None:
        """Send what was gathered."""
        self.client.sendall(self._out)
        self._out.clear()

    def _send(self, kind: bytes, body: bytes) -> None:
        self._out += kind + INT.pack(len(body) + 4) + body
        if len(self._out) > CHUNK:
            self.flush()

    def _read(self, count: int) -> bytes:
        read = bytearray()
        while len(read) < count:
            part = self.client.recv(count - len(read))
            if not part:
                raise WireError("pg_dump has ended")
            read += part
        return bytes(read)


def _column(result: PGresult, column: int) -> bytes:
    return (
        (result.fname(column) or b"")
        + b"\0"
        + COLUMN.pack(
            _signed(result.ftable(column)),
            result.ftablecol(column),
            _signed(result.ftype(column)),
            result.fsize(column),
            result.fmod(column),
            result.fformat(column),
        )
    )


def _signed(oid: int) -> int:
    return oid - (1 << 32) if oid >= 1 << 31 else oid


def _value(value: bytes | None) -> bytes:
    return NULL if value is None else INT.pack(len(value)) + value

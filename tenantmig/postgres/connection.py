"""Connections: the only place that connects. Owns what must hold of every connection.

Direct, to a primary, with a limit on every wait: the server's own (lock, statement, idle
transaction) and ours, for a server or a network that never answers. Knows no tenant.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any, TypeVar

import psycopg
from psycopg import errors
from psycopg.abc import PQGen
from psycopg.pq import TransactionStatus

from tenantmig.domain.database_url import DatabaseUrl
from tenantmig.domain.tenant import Tenant
from tenantmig.domain.written_values import AUTO
from tenantmig.errors import (
    ConnectError,
    PoolerError,
    PrivilegeError,
    StandbyError,
    UnsafeServerError,
)
from tenantmig.postgres import rights, sql
from tenantmig.settings import Settings

T = TypeVar("T")
C = TypeVar("C", bound="BoundedConnection")
OLDEST_SERVER = 14_00_00  # client_connection_check_interval
VERSION_LENGTH = 32  # as Alembic makes the column (alembic.ddl.impl, version_table_impl)
EVERY_SCHEMA = "*"
GRACE_S = 5.0  # how long after its own limit the server may take to say so


class BoundedConnection(psycopg.Connection[Any]):
    """A connection that is closed when the server does not answer.

    Keepalives and tcp_user_timeout do not notice a proxy that still acknowledges packets.
    """

    answer_within_s: float | None = None
    trusted_schemas: frozenset[str] = frozenset()
    """Tenant schemas in which what may run as the migrator is meant to be there."""
    server = ""
    """The system identifier and the timeline: a promoted standby has another timeline."""
    lock_salt: int | None = 0
    """What the keys of advisory locks begin with; 0 where there is no ledger, None where it cannot
    be read. Ask `salt_of`."""
    puts_in_all = False
    """All parameters of scripts are put into the text, as psycopg2 does."""
    unasked_ledger: str | None = None
    """The ledger in which it stands, until it is first asked for."""
    ledger = ""
    version_length = VERSION_LENGTH
    """How wide the column of a version table is that is made over this connection."""

    @property
    def strings(self) -> str:
        """How the server reads string literals now: its `standard_conforming_strings`.

        The server reports each change by itself. A text of several statements is read as a whole
        before any of them runs.
        """
        return self.info.parameter_status("standard_conforming_strings") or "on"

    def wait(self, gen: PQGen[T], interval: float = 0.1, timeout: float | None = None) -> T:
        """Wait for the server's answer, for `answer_within_s` at most."""
        try:
            return super().wait(gen, interval, timeout or self.answer_within_s)
        except errors._WaitTimeout as error:  # noqa: SLF001  what psycopg documents to raise here
            self.pgconn.finish()
            raise psycopg.OperationalError(
                f"the server did not answer within {self.answer_within_s:g} s"
            ) from error


@dataclass(frozen=True, slots=True)
class SessionOptions:
    """What a session is opened with. Durations are in seconds."""

    url: DatabaseUrl
    application_name: str = "tenantmig"
    ledger: str = "tenantmig"
    extension_schemas: tuple[str, ...] = ()
    lock_timeout_s: float = 2.0
    statement_timeout_s: float = 900.0
    idle_timeout_s: float = 300.0
    connect_timeout_s: float = 10.0
    tenant_lock_timeout_s: float = 10.0
    row_security: str = "off"
    trusted_schemas: tuple[str, ...] = ()
    run_as: str = "connected"
    puts_in_all: bool = False
    """All parameters of scripts are put into the text on the client, as psycopg2 does."""
    onboard_owner: str = ""
    version_length: int = VERSION_LENGTH

    @classmethod
    def of(
        cls, settings: Settings, url: DatabaseUrl, application_name: str = "tenantmig"
    ) -> SessionOptions:
        """Take the session's part of the settings; `url` is one that can be connected to."""
        return cls(
            url=url,
            application_name=application_name,
            ledger=settings.ledger_schema,
            extension_schemas=settings.extension_schemas,
            lock_timeout_s=settings.lock_timeout,
            statement_timeout_s=settings.statement_timeout,
            idle_timeout_s=settings.idle_in_transaction_timeout,
            connect_timeout_s=settings.connect_timeout,
            tenant_lock_timeout_s=settings.tenant_lock_timeout,
            row_security=settings.row_security,
            trusted_schemas=settings.trusted_schemas,
            run_as=settings.run_as,
            puts_in_all=settings.bind_parameters == "client"
            or (settings.bind_parameters == AUTO and url.is_psycopg2),
            onboard_owner=settings.onboard_owner,
            version_length=settings.version_length,
        )

    def owner_of(self, tenant: Tenant) -> str | None:
        """Return the role that is to own the schema of a new tenant; None is the connected one."""
        return self.onboard_owner.format(name=tenant.name, schema=tenant.schema) or None


def connect(options: SessionOptions, schemas: tuple[str, ...] = ()) -> BoundedConnection:
    """Open a connection (see `connect_as`)."""
    return connect_as(BoundedConnection, options, schemas)


def connect_as(kind: type[C], options: SessionOptions, schemas: tuple[str, ...] = ()) -> C:
    """Open a direct connection to a primary, in autocommit mode, with every limit set.

    Its search path is `schemas`, the extension schemas and pg_temp.

    Raises:
        ConnectError: on one line, without the password; or the password command failed.
        PoolerError: a pooler answers: session state and locks would leak to other clients.
        StandbyError: advisory locks succeed on a standby and protect nothing there.
    """
    parameters = options.url.ask_parameters()
    parameters.setdefault("connect_timeout", str(max(2, round(options.connect_timeout_s))))
    parameters.setdefault("application_name", options.application_name)
    try:
        connection = kind.connect(
            **parameters,  # type: ignore[arg-type]
            autocommit=True,
            prepare_threshold=None,
        )
    except psycopg.Error as error:
        message = options.url.redact(str(error))
        raise ConnectError(
            f"Cannot connect to {options.url}: {message}{_connect_grant(options, str(error))}"
        ) from None
    connection.answer_within_s = options.statement_timeout_s + GRACE_S
    connection.trusted_schemas = frozenset(options.trusted_schemas)
    connection.version_length = options.version_length
    connection.puts_in_all = options.puts_in_all
    try:
        _refuse_unsafe_server(connection, options)
        bind(connection, options, schemas, options.application_name)
    except BaseException:
        connection.close()
        raise
    return connection


def _connect_grant(options: SessionOptions, message: str) -> str:
    """Say what lets a role connect: libpq hands out no SQLSTATE, and a text that is translated."""
    database, role = (options.url.parameters.get(key) for key in ("dbname", "user"))
    if "CONNECT" not in message or not database or not role:
        return ""
    return f" Grant it: {rights.database_grant(str(database), str(role), 'CONNECT')}"


def _refuse_unsafe_server(connection: BoundedConnection, options: SessionOptions) -> None:
    asked = connection.execute(
        sql.query("postgres/server_facts"), {"ledger_schema": options.ledger}
    )
    facts = asked.fetchone() or (None, None, "", False)
    backend_pid, is_standby, connection.server, is_salted = facts
    if backend_pid != connection.info.backend_pid:
        raise PoolerError(
            f"There is a connection pooler in front of the server at {options.url}; use the "
            "database's own (direct) URL."
        )
    connection.ledger = options.ledger
    connection.unasked_ledger = options.ledger if is_salted else None
    if connection.info.server_version < OLDEST_SERVER:
        raise UnsafeServerError(
            f"The server at {options.url} is older than PostgreSQL 14 and does not notice "
            "when a driver dies during a statement. Upgrade the server."
        )
    if is_standby:
        raise StandbyError(
            f"The server at {options.url} is a read-only standby; use the primary's URL."
        )


def find_salt(connection: BoundedConnection) -> int | None:
    """Return what the keys of advisory locks begin with, or None where that cannot be read."""
    ledger, connection.unasked_ledger = connection.unasked_ledger, None
    if ledger is not None:
        try:
            row = connection.execute(sql.query("postgres/lock_salt", ledger)).fetchone()
        except (psycopg.ProgrammingError, psycopg.DataError):  # no right, or the table is damaged
            row = None
        connection.lock_salt = row[0] if row and isinstance(row[0], int) else None
    return connection.lock_salt


def salt_of(connection: psycopg.Connection) -> int:
    """Return what the keys of advisory locks begin with on this connection.

    Raises:
        PrivilegeError: it cannot be read.
    """
    salt = find_salt(connection) if isinstance(connection, BoundedConnection) else 0
    if salt is None:
        ledger = getattr(connection, "ledger", "")
        grants = rights.missing_grants(connection, ledger, rights.needs_of("postgres/lock_salt"))
        raise PrivilegeError(
            f"The role {connection.info.user} may not read tenantmig's ledger, so it "
            f"cannot take its locks. Grant it: {grants}"
            if grants
            else f'The lock keys cannot be read from tenantmig\'s ledger "{ledger}": '
            "the row of version 4 in ledger_version is damaged, or this role may "
            "not see it."
        )
    return salt


def bind(
    connection: psycopg.Connection,
    options: SessionOptions,
    schemas: tuple[str, ...],
    application_name: str,
) -> None:
    """Set a session's limits, its name, and its search path: `schemas` and no others."""
    parameters = binding(options, schemas, application_name)
    connection.execute(sql.query("postgres/bind_session"), parameters)


def set_limits(connection: psycopg.Connection, options: SessionOptions) -> None:
    """Set a session's limits again: a script may have set others, for its own revision."""
    connection.execute(sql.query("postgres/set_limits"), binding(options, (), ""))


def binding(
    options: SessionOptions, schemas: tuple[str, ...], application_name: str
) -> dict[str, object]:
    """Return the parameters of the query `bind_session`, for a path of `schemas` and extensions."""
    return {
        "application_name": application_name,
        "lock_timeout": f"{round(options.lock_timeout_s * 1000)}ms",
        "statement_timeout": f"{round(options.statement_timeout_s * 1000)}ms",
        "idle_timeout": f"{round(options.idle_timeout_s * 1000)}ms",
        "row_security": options.row_security,
        # pg_temp alone would make current_schema() create one, and ask for the TEMP privilege
        "path": [*(schemas or ("pg_catalog",)), *options.extension_schemas, "pg_temp"],
    }


def trusts(connection: psycopg.Connection, schema: str) -> bool:
    """True when the settings allow what a tenant schema holds to run as the migrator."""
    named = connection.trusted_schemas if isinstance(connection, BoundedConnection) else ()
    return schema in named or EVERY_SCHEMA in named


def version_length(connection: object) -> int:
    """Return how wide the column of a version table is that is made over a connection."""
    if isinstance(connection, BoundedConnection):
        return connection.version_length
    return VERSION_LENGTH


@contextmanager
def in_catalog(connection: psycopg.Connection) -> Iterator[None]:
    """Let names and operators mean those of pg_catalog for the block, whatever the path was.

    An operator of a tenant's own that fits better than PostgreSQL's is called in its place as long
    as its schema is on the path (PostgreSQL docs, 10.2).
    """
    is_local = connection.info.transaction_status is not TransactionStatus.IDLE
    # with parameters in the texts: sent apart, they would keep a snapshot in an open transaction
    cursor = psycopg.ClientCursor(connection)
    found = cursor.execute(sql.query("postgres/enter_catalog"), [is_local]).fetchone()
    try:
        yield
    finally:
        with suppress(psycopg.Error):  # lost, or in a transaction that is rolled back
            cursor.execute(sql.query("postgres/leave_catalog"), [found and found[0], is_local])

"""The tenant session: the only place that connects. Owns what must hold before any migration step.

One dedicated, direct connection. While it is bound to a tenant, its search path is the tenant
schema, the configured extension schemas and pg_temp (never public: a missing schema is skipped
silently and DDL would land in the next one); the tenant's advisory lock is held on this same
connection; every wait has a limit. It knows nothing of revisions, runs or the ledger.
"""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psycopg
import sqlalchemy as sa
from sqlalchemy import event

from tenantmig import sql
from tenantmig.database_url import DatabaseUrl
from tenantmig.errors import (
    ConnectError,
    PartialRevisionError,
    PoolerError,
    StandbyError,
    TenantLockedError,
    TenantmigError,
    TenantSchemaMissingError,
    TenantSessionError,
    UnsafeServerError,
)
from tenantmig.failure import Failure, FailureKind, Phase, classify
from tenantmig.settings import Settings

LOCK_POLL_S = 0.1
OLDEST_SERVER = 14_00_00  # client_connection_check_interval
TENANT_LOCK = "hashtextextended('tenantmig.tenant:' || %(schema)s, 0)"


@dataclass(frozen=True, slots=True)
class SessionOptions:
    """What a session is opened with. Durations are in seconds."""

    url: DatabaseUrl
    application_name: str = "tenantmig"
    extension_schemas: tuple[str, ...] = ()
    lock_timeout_s: float = 2.0
    statement_timeout_s: float = 900.0
    idle_timeout_s: float = 300.0
    connect_timeout_s: float = 10.0
    tenant_lock_timeout_s: float = 10.0

    @classmethod
    def of(
        cls, settings: Settings, url: DatabaseUrl, application_name: str = "tenantmig"
    ) -> SessionOptions:
        """Take the session's part of the settings; `url` is one that can be connected to."""
        return cls(
            url=url,
            application_name=application_name,
            extension_schemas=settings.extension_schemas,
            lock_timeout_s=settings.lock_timeout,
            statement_timeout_s=settings.statement_timeout,
            idle_timeout_s=settings.idle_in_transaction_timeout,
            connect_timeout_s=settings.connect_timeout,
            tenant_lock_timeout_s=settings.tenant_lock_timeout,
        )


def connect(options: SessionOptions, schemas: tuple[str, ...] = ()) -> psycopg.Connection:
    """Open a direct connection to a primary, in autocommit mode, with every limit set.

    Its search path is `schemas`, the extension schemas and pg_temp.

    Raises:
        ConnectError: on one line, without the password.
        PoolerError: a pooler answers: session state and locks would leak to other clients.
        StandbyError: advisory locks succeed on a standby and protect nothing there.
    """
    parameters = dict(options.url.parameters)
    parameters.setdefault("connect_timeout", str(max(2, round(options.connect_timeout_s))))
    parameters.setdefault("application_name", options.application_name)
    try:
        connection = psycopg.connect(**parameters, autocommit=True, prepare_threshold=None)  # type: ignore[arg-type]
    except psycopg.Error as error:
        message = options.url.redact(str(error))
        raise ConnectError(f"Cannot connect to {options.url}: {message}") from None
    try:
        _refuse_unsafe_server(connection, options)
        _bind(connection, options, schemas, options.application_name)
    except BaseException:
        connection.close()
        raise
    return connection


def _refuse_unsafe_server(connection: psycopg.Connection, options: SessionOptions) -> None:
    facts = connection.execute("SELECT pg_backend_pid(), pg_is_in_recovery()").fetchone()
    backend_pid, is_standby = facts or (None, None)
    if backend_pid != connection.info.backend_pid:
        raise PoolerError(
            f"A connection pooler stands before the server at {options.url};"
            " give the database's own (direct) URL."
        )
    if connection.info.server_version < OLDEST_SERVER:
        raise UnsafeServerError(
            f"The server at {options.url} is older than PostgreSQL 14, which cannot notice that a"
            " driver died while its statement runs; upgrade it."
        )
    if is_standby:
        raise StandbyError(
            f"The server at {options.url} is a standby and read-only; give the primary's URL."
        )


def _bind(
    connection: psycopg.Connection,
    options: SessionOptions,
    schemas: tuple[str, ...],
    application_name: str,
) -> None:
    connection.execute(
        sql.query("bind_session"),
        {
            "application_name": application_name,
            "lock_timeout": f"{round(options.lock_timeout_s * 1000)}ms",
            "statement_timeout": f"{round(options.statement_timeout_s * 1000)}ms",
            "idle_timeout": f"{round(options.idle_timeout_s * 1000)}ms",
            # pg_temp alone would make current_schema() create one, and ask for the TEMP privilege
            "path": [*(schemas or ("pg_catalog",)), *options.extension_schemas, "pg_temp"],
        },
    )


class TenantSession:
    """A connection that serves one tenant at a time, for Alembic (`sqlalchemy`) or plain SQL.

    Locks: the advisory lock of the tenant it is bound to, until `leave` or the connection's end.
    Not for use by two threads at once.
    """

    def __init__(self, options: SessionOptions) -> None:
        self.options = options
        self.phase = Phase.CONNECT
        self.schema: str | None = None
        self.application_name = options.application_name
        self.is_recorded = False
        """The running revision's journal row is written in its open transaction."""
        self.is_partial = False
        """The running revision has committed a part of itself and not the rest."""
        self._on_part: Callable[[psycopg.Connection], None] | None = None
        engine = sa.create_engine(
            "postgresql+psycopg://",
            creator=lambda: connect(options, self._path),  # also for what a script opens itself
            poolclass=sa.NullPool,
            hide_parameters=True,
        )
        self.sqlalchemy = engine.connect()
        driver = self.sqlalchemy.connection.driver_connection
        assert isinstance(driver, psycopg.Connection)
        self.driver = driver
        self.sqlalchemy.rollback()
        self.driver.autocommit = False
        self.phase = Phase.PREPARE
        self.end_revision()
        self._watch()

    @property
    def _path(self) -> tuple[str, ...]:
        return () if self.schema is None else (self.schema,)

    def _watch(self) -> None:
        """Follow the phase, and see a revision commit a part of itself."""

        def before_statement(*_: object) -> None:
            self.phase = Phase.AUTOCOMMIT if self.driver.autocommit else Phase.TRANSACTION

        def before_commit(_: sa.Connection) -> None:
            if self._on_part is not None and not (self.is_recorded or self.is_partial):
                self.is_partial = True
                self._on_part(self.driver)
            self.phase = Phase.COMMIT

        event.listen(self.sqlalchemy, "before_cursor_execute", before_statement)
        event.listen(self.sqlalchemy, "commit", before_commit)

    def begin_revision(self, on_part: Callable[[psycopg.Connection], None]) -> None:
        """Watch a revision: a COMMIT before it is recorded (`autocommit_block`) commits a part.

        `on_part` is called in the transaction of that part.
        """
        self.end_revision()
        self._on_part = on_part

    def end_revision(self) -> None:
        """The revision is committed as a whole, or none runs."""
        self._on_part = None
        self.is_recorded = self.is_partial = False

    @contextmanager
    def outside_transaction(self) -> Iterator[psycopg.Connection]:
        """Hand out the psycopg connection in autocommit mode; Alembic's mode comes back after."""
        self.sqlalchemy.rollback()
        self.driver.autocommit = True
        try:
            yield self.driver
        finally:
            if not self.driver.closed:
                self.driver.autocommit = False

    @contextmanager
    def transaction(self) -> Iterator[psycopg.Connection]:
        """One transaction of plain SQL; if the connection breaks in it, the COMMIT may be lost."""
        with self.outside_transaction() as connection:
            self.phase = Phase.COMMIT
            with connection.transaction():
                yield connection
            self.phase = Phase.PREPARE

    def lock(self, schema: str) -> None:
        """Take the tenant's advisory lock, polling; never by blocking (that deadlocks with
        CREATE INDEX CONCURRENTLY) and never inside a transaction. What an earlier tenant left on
        the connection is discarded.

        Raises:
            TenantLockedError: another session holds it and did not end in time.
        """
        self.phase = Phase.PREPARE
        deadline = time.monotonic() + self.options.tenant_lock_timeout_s
        with self.outside_transaction() as connection:
            connection.execute("DISCARD ALL")
            _bind(connection, self.options, (), self.application_name)
            while not _try_lock(connection, schema):
                if time.monotonic() >= deadline:
                    raise TenantLockedError(
                        f'Another session is migrating the tenant schema "{schema}";'
                        " run again when it has ended."
                    )
                time.sleep(LOCK_POLL_S)

    def bind(self, schema: str) -> None:
        """Point the session at a tenant schema whose lock it holds.

        Raises:
            TenantSchemaMissingError: there is no such schema, or no right to use it.
        """
        with self.outside_transaction() as connection:
            _bind(connection, self.options, (schema,), self.application_name)
        self.schema = schema
        self.assert_bound()
        self.sqlalchemy.execution_options(schema_translate_map=translate_map(schema))
        self.sqlalchemy.dialect.default_schema_name = schema
        self.sqlalchemy.info["tenantmig_schema"] = schema

    def assert_bound(self) -> None:
        """Make sure that unqualified names still mean the tenant's.

        Raises:
            TenantSchemaMissingError: the schema does not exist.
            TenantSessionError: the current schema is another one.
        """
        with self.outside_transaction() as connection:
            row = connection.execute(
                "SELECT CASE WHEN has_schema_privilege(oid, 'USAGE') THEN current_schema() END"
                " FROM pg_namespace WHERE nspname = %s::text",
                [self.schema],
            ).fetchone()
        current = row[0] if row else None
        if current == self.schema:
            return
        if current is None:
            raise TenantSchemaMissingError(
                f'The tenant schema "{self.schema}" does not exist, or this role may not use it;'
                " onboard the tenant, or correct the schema in its source."
            )
        raise TenantSessionError(f'The session is in "{current}", not in "{self.schema}".')

    def enter(self, schema: str) -> None:
        """Lock a tenant schema and bind to it (see `lock` and `bind`)."""
        self.lock(schema)
        self.bind(schema)

    def leave(self) -> None:
        """Give up the tenant's lock; the connection can serve another tenant."""
        self.schema = None
        with self.outside_transaction() as connection:
            connection.execute("SELECT pg_advisory_unlock_all()")

    @property
    def is_broken(self) -> bool:
        """True when the connection can no longer be used."""
        return self.driver.closed or self.sqlalchemy.invalidated or self.driver.broken

    def close(self) -> None:
        """End the connection, and with it every lock it holds."""
        with suppress(sa.exc.SQLAlchemyError, psycopg.Error):
            self.driver.close()
            self.sqlalchemy.invalidate()
        self.sqlalchemy.close()


def translate_map(schema: str) -> dict[str | None, str | None]:
    """The `schema_translate_map` of a tenant: no schema, and the placeholder "tenant"."""
    return {None: schema, "tenant": schema}


def _try_lock(connection: psycopg.Connection, schema: str) -> bool:
    row = connection.execute(
        f"SELECT pg_try_advisory_lock({TENANT_LOCK})",
        {"schema": schema},
    ).fetchone()
    return bool(row and row[0])


def explain(
    error: BaseException,
    session: TenantSession | None,
    url: DatabaseUrl,
    revision: str | None = None,
) -> Failure:
    """Say what an exception raised during an attempt means, without secrets or parameters.

    `revision` is the one whose script was running, if any.
    """
    origin = error.orig if isinstance(error, sa.exc.DBAPIError) else error
    phase = session.phase if session else Phase.CONNECT
    kind, sqlstate = FailureKind.PERMANENT, None
    if isinstance(origin, psycopg.Error):
        kind, sqlstate = _classify(origin, session, phase), origin.sqlstate
        message = origin.diag.message_primary or str(origin) or type(origin).__name__
    elif isinstance(origin, TenantmigError):
        message = origin.message
        if isinstance(origin, TenantLockedError):
            kind = FailureKind.LOCKED
        if isinstance(origin, PartialRevisionError):
            kind = FailureKind.IN_DOUBT
        if isinstance(origin, ConnectError):
            kind, phase = FailureKind.TRANSIENT, Phase.CONNECT
    else:
        message = f"{type(origin).__name__}: {origin}{_where(origin)}"
    if session is not None and session.is_partial and kind is not FailureKind.RUN:
        kind = FailureKind.IN_DOUBT
        message += " (a part of the revision is committed: what stood before an autocommit_block)"
    where = f"revision {revision}: " if revision else ""
    return Failure(kind, url.redact(where + message), phase, sqlstate)


def _where(error: BaseException | None) -> str:
    """Name the last line of a script that an exception passed through, or nothing."""
    frames = traceback.extract_tb(error.__traceback__ if error else None)
    ours = str(Path(__file__).parent)
    for frame in reversed(frames):
        if "site-packages" not in frame.filename and not frame.filename.startswith((ours, "<")):
            return f" ({Path(frame.filename).name}, line {frame.lineno})"
    return ""


def _classify(error: psycopg.Error, session: TenantSession | None, phase: Phase) -> FailureKind:
    is_race = error.sqlstate == "XX000" and "tuple concurrently" in str(error.diag.message_primary)
    return classify(
        phase,
        error.sqlstate,
        is_broken=session is None or session.is_broken,
        is_catalog=is_race or error.diag.schema_name == "pg_catalog",
    )

"""The tenant session: what must hold before any migration step.

One dedicated connection. While it is bound to a tenant, its search path is the tenant schema, the
configured extension schemas and pg_temp (never public: a missing schema is skipped silently and DDL
would land in the next one); the tenant's advisory lock is held on this same connection. It knows
nothing of paths, runs or the ledger.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import replace
from functools import wraps
from typing import Any

import psycopg
import sqlalchemy as sa
from sqlalchemy import event

from tenantmig.domain.failure import Phase
from tenantmig.domain.tenant import PLACEHOLDER
from tenantmig.postgres.bound_schema import assert_current
from tenantmig.postgres.connection import SessionOptions, bind, in_catalog
from tenantmig.postgres.forbidden import refuse_text
from tenantmig.postgres.lock_wait import LockWait
from tenantmig.postgres.owner_wall import SCHEMA_OWNER, Gate, OwnerWall, read_owners
from tenantmig.postgres.script_connection import ScriptConnection
from tenantmig.postgres.script_engine import script_engine
from tenantmig.postgres.step_watch import (
    Connect,
    FindContext,
    StepWatch,
    adopt_transaction,
    connect_script,
    driver_of,
    is_savepoint,
    open_beside,
)
from tenantmig.postgres.tenant_lock import wait_for_lock


class TenantSession:
    """A connection that serves one tenant at a time, for Alembic (`sqlalchemy`) or plain SQL.

    Locks: the advisory lock of the tenant it is bound to, until `leave` or the connection's end.
    Not for use by two threads at once.
    """

    def __init__(self, options: SessionOptions, connect: Connect = connect_script) -> None:
        self.options = options
        self._open = connect
        self.phase = Phase.CONNECT
        self.schema: str | None = None
        self.application_name = options.application_name
        self.is_recorded = False
        """The running revision's journal row is written in its open transaction."""
        self.has_own_commit = False
        """The running revision's script committed, or rolled back, by itself."""
        self.is_beside = False
        """The last statement ran on a connection that the script opened."""
        self.owner: str | None = None
        """The role as which scripts run, if that is not the connected one."""
        self._gate = Gate()
        self._version_table = ""
        self._watcher: StepWatch | None = None
        self._find_context: FindContext | None = None
        self._is_cut_off = False
        self._lock_wait = LockWait(options.lock_timeout_s)
        engine = script_engine(self._connect, puts_in_all=options.puts_in_all)
        self.sqlalchemy = engine.connect()
        driver = self.sqlalchemy.connection.driver_connection
        assert isinstance(driver, ScriptConnection)
        self.driver = driver
        self.sqlalchemy.rollback()
        self.phase = Phase.PREPARE
        self.end_revision()
        self._watch()
        self.driver.begin_watch(self)

    def _connect(self) -> ScriptConnection:
        """Connect for the session itself, or for a script that asks its engine beside it."""
        if self.schema is None:
            return open_beside(self.options, None, self._open)
        named = replace(self.options, application_name=self.application_name)
        with self._ours():
            connection = open_beside(named, self.schema, self._open)
        connection.begin_watch(self)
        connection.wall, connection.hear = self._new_wall(), self.driver.hear
        return connection

    def _watch(self) -> None:
        """Follow the phase, cap the wait for locks, and see what runs outside a transaction."""

        def begin(_: sa.Connection) -> None:
            self._lock_wait.begin()

        def beside(connection: sa.Connection, *arguments: Any) -> Any:
            is_other = connection is not self.sqlalchemy
            return self._before(connection, *arguments) if is_other else arguments[1:3]

        def after_beside(connection: sa.Connection, *arguments: Any) -> None:
            if connection is not self.sqlalchemy:
                self._after(connection, *arguments)

        engine = self.sqlalchemy.engine
        event.listen(self.sqlalchemy, "before_cursor_execute", self._before, retval=True)
        event.listen(self.sqlalchemy, "after_cursor_execute", self._after)
        event.listen(self.sqlalchemy, "begin", begin)
        event.listen(engine, "before_cursor_execute", beside, retval=True)
        event.listen(engine, "after_cursor_execute", after_beside)
        event.listen(engine, "handle_error", self._failed)

    def _before(
        self,
        connection: sa.Connection,
        _: object,
        statement: str,
        parameters: Any,
        context: Any,
        is_many: bool,
    ) -> tuple[str, Any]:
        """See a statement before it runs; return it, or what takes its place."""
        driver = driver_of(connection)
        refuse_text(statement, is_savepoint_allowed=is_savepoint(context))
        self.is_beside = driver is not self.driver
        if not driver.autocommit:
            self.phase = Phase.TRANSACTION
            if not self.is_beside:
                self.has_own_commit |= adopt_transaction(connection, self._find_context)
                self._cap_lock_wait()
            return statement, parameters
        self.phase = Phase.AUTOCOMMIT
        if self._watcher is None:
            return statement, parameters
        sent = (None if is_many else driver.put_in(statement, parameters)) or statement
        with self._ours(driver):
            kept = self._watcher.before_statement(driver, statement, sent)
        return (statement, parameters) if kept == statement else (kept, [()] if is_many else ())

    def _after(self, connection: sa.Connection, cursor: Any, *_: object) -> None:
        driver = driver_of(connection)
        if driver.autocommit and self._watcher:
            returned = cursor.description is not None
            with self._ours(driver):
                self._watcher.after_statement(driver, None if returned else cursor.rowcount)

    def _failed(self, failure: sa.engine.ExceptionContext) -> None:
        """See a statement fail: of one outside a transaction only now can be told what it left."""
        self._is_cut_off |= failure.is_disconnect
        if failure.connection is None or self._watcher is None or failure.is_disconnect:
            return
        driver = driver_of(failure.connection)
        if driver.autocommit and not (driver.closed or driver.broken):
            with self._ours(driver):
                self._watcher.after_failure(driver, failure.original_exception)

    def before_commit(self, connection: ScriptConnection) -> None:
        """See a COMMIT, by Alembic or a script, of the session or of a connection beside it."""
        is_whole = connection is self.driver and self.is_recorded
        if self._watcher is not None and not is_whole:
            with self._ours(connection):
                self._watcher.before_commit(connection)
        self.phase = Phase.COMMIT

    def _cap_lock_wait(self) -> None:
        """Let all waits of one transaction together last no longer than `lock_timeout`.

        The server counts each wait anew, and the locks of earlier statements are held meanwhile:
        three waits of 2 s would keep the application from the first table for 6 s.
        """
        rest_s = self._lock_wait.rest_s(self.driver)
        if rest_s is not None:
            setting = f"{max(1, round(rest_s * 1000))}ms"
            cap = "SELECT pg_catalog.set_config('lock_timeout', %s, true)"
            with self._ours():
                self.driver.execute(cap, [setting])

    # -- as the owner of the schema ---------------------------------------------------------------

    def act_as_owner(self, version_table: str) -> None:
        """Let scripts act as the owner of the tenant schema, if the settings say so.

        Call it when the session is bound, and `confine` for each step.

        Raises:
            PrivilegeError: the connected role cannot act as the owner.
        """
        self._version_table, schema = version_table, self.schema or ""
        if self.options.run_as != SCHEMA_OWNER:
            return
        with self.outside_transaction() as connection, in_catalog(connection):
            owner, connected = read_owners(connection, [schema])[schema]
        self.owner = owner if owner != connected else None
        self.driver.wall = self._new_wall()

    def confine(self, step: Any) -> None:
        """Let the script of a step of Alembic act as the owner, and nothing else."""
        script = step.migration_fn

        @wraps(script)  # Alembic logs its name
        def run(**arguments: object) -> None:
            with self._gate.armed():
                script(**arguments)
            self.driver.lower_wall()

        if self.owner is not None:
            step.migration_fn = run

    def _new_wall(self) -> OwnerWall | None:
        if self.owner is None or self.schema is None:
            return None
        trusted = self.options.trusted_schemas
        return OwnerWall(self._gate, self.schema, self.owner, self._version_table, trusted)

    @contextmanager
    def _ours(self, connection: ScriptConnection | None = None) -> Iterator[None]:
        """What is sent in the block, by a path that no code of the tenant's has set, is ours."""
        is_walled = connection is not None and connection.wall is not None
        path = in_catalog(connection) if connection and is_walled else nullcontext()
        with self._gate.armed(is_armed=False), path:
            yield

    def begin_revision(self, watcher: StepWatch) -> None:
        """Tell `watcher` how the revision that runs now commits."""
        self._watcher, self.is_recorded, self.has_own_commit = watcher, False, False

    def follow(self, find_context: FindContext | None) -> None:
        """Keep the migration context's notion of its transaction when a script ends that."""
        self._find_context = find_context

    def end_revision(self) -> None:
        """The revision is committed as a whole, or none runs."""
        self._watcher, self.is_recorded = None, False

    @property
    def is_partial(self) -> bool:
        """True when the running revision has committed a part of itself and not the rest."""
        return self._watcher is not None and self._watcher.is_partial

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
        self.follow(None)
        self.owner = self.driver.wall = None
        deadline = time.monotonic() + self.options.tenant_lock_timeout_s
        with self.outside_transaction() as connection:
            connection.execute("DISCARD ALL")
            bind(connection, self.options, (), self.application_name)
            wait_for_lock(connection, schema, deadline)

    def bind(self, schema: str) -> None:
        """Point the session at a tenant schema whose lock it holds.

        Raises:
            TenantSchemaMissingError: there is no such schema.
            PrivilegeError: this role may not use it.
        """
        with self.outside_transaction() as connection:
            bind(connection, self.options, (schema,), self.application_name)
        self.schema = schema
        self.assert_bound()
        self.sqlalchemy.execution_options(schema_translate_map=translate_map(schema))
        self.sqlalchemy.engine.update_execution_options(schema_translate_map=translate_map(schema))
        self.sqlalchemy.dialect.default_schema_name = schema
        self.sqlalchemy.info["tenantmig_schema"] = schema

    def assert_bound(self) -> None:
        """Make sure that unqualified names still mean the tenant's.

        Raises:
            TenantSchemaMissingError: the schema does not exist.
            PrivilegeError: this role may not use it.
            TenantSessionError: the current schema is another one.
        """
        with self.outside_transaction() as connection:
            assert_current(connection, self.schema)

    def enter(self, schema: str) -> None:
        """Lock a tenant schema and bind to it (see `lock` and `bind`)."""
        self.lock(schema)
        self.bind(schema)

    def leave(self) -> None:
        """Give up the tenant's lock; the connection can serve another tenant."""
        self.schema = None
        with self.outside_transaction() as connection:
            connection.execute("SELECT pg_catalog.pg_advisory_unlock_all()")

    @property
    def is_broken(self) -> bool:
        """True when the connection can no longer be used."""
        is_own = self.driver.closed or self.sqlalchemy.invalidated or self.driver.broken
        return is_own or self._is_cut_off

    def close(self) -> None:
        """End the connection, and with it every lock it holds."""
        with suppress(sa.exc.SQLAlchemyError, psycopg.Error):
            self.driver.close()
            self.sqlalchemy.invalidate()
        self.sqlalchemy.close()


def translate_map(schema: str) -> dict[str | None, str | None]:
    """The `schema_translate_map` of a tenant: no schema, and the placeholder "tenant"."""
    return {None: schema, PLACEHOLDER: schema}

"""The statements engine: what takes no migration script (stamp, offboard), over connections.

Owns one session for each thread that calls it; reconnects what broke.
"""

from __future__ import annotations

import threading
from dataclasses import replace

from tenantmig.domain.outcome import DONE, Attempt
from tenantmig.domain.plan import Assignment, RunKind
from tenantmig.domain.tenant import TenantState
from tenantmig.engines import Engine
from tenantmig.engines.reading_back import read_back_outcome
from tenantmig.errors import LedgerError
from tenantmig.ledger.claim import session_name
from tenantmig.ledger.denial import find_denied
from tenantmig.ledger.journal import begin_attempt, record_step
from tenantmig.postgres.blockers import find_blockers
from tenantmig.postgres.connection import SessionOptions
from tenantmig.postgres.diagnosis import explain
from tenantmig.postgres.same_server import refuse_other_server
from tenantmig.postgres.session import TenantSession
from tenantmig.postgres.tenant_extensions import home_of
from tenantmig.postgres.tenant_schema import drop_schema
from tenantmig.postgres.version_writing import write_version
from tenantmig.tenants.registry import remove_tenant


class StatementsEngine(Engine):
    """Stamps and drops tenant schemas; `attempt` may be called from any number of threads."""

    name = "statements"

    def __init__(self, options: SessionOptions, ledger: str, version_table: str) -> None:
        self.options = options
        self.ledger = ledger
        self.version_table = version_table
        self._local = threading.local()
        self._sessions: list[TenantSession] = []

    def attempt(self, assignment: Assignment) -> Attempt:
        """Do one tenant's part in one transaction, under its lock."""
        session: TenantSession | None = getattr(self._local, "session", None)
        knows_version = False
        try:
            session = session or self._open_session()
            session.application_name = session_name(assignment.run)
            refuse_other_server(session.driver, assignment.server, assignment.run)
            session.lock(assignment.tenant.schema)
            with session.outside_transaction() as connection:
                recorded = begin_attempt(connection, self.ledger, assignment)
            knows_version = True
            if recorded is None and assignment.is_reading:
                raise LedgerError("The last attempt changed nothing; run again.")
            if recorded is None:
                self._carry_out(session, assignment)
            read_back_outcome(session, self.ledger, self.version_table, assignment)
            session.leave()
            return Attempt(recorded or DONE[assignment.kind])
        except Exception as error:  # noqa: BLE001  an engine never raises
            failure = explain(error, session, self.options.url)
            if session is not None and not session.is_broken:
                is_dropped = assignment.kind is RunKind.OFFBOARD
                schema, table = assignment.tenant.schema, self.version_table
                denied = find_denied(error, session, schema, table, needs_owner=is_dropped)
                blockers = find_blockers(error, session, schema)
                failure = replace(failure, message=failure.message + denied + blockers)
            if session is not None:
                session.close()
            self._local.session = None
            return Attempt(failure=failure, knows_version=knows_version)

    def _open_session(self) -> TenantSession:
        session = TenantSession(self.options)
        self._local.session = session
        self._sessions.append(session)
        return session

    def _carry_out(self, session: TenantSession, assignment: Assignment) -> None:
        tenant, target = assignment.tenant, assignment.path.target
        if assignment.kind is RunKind.STAMP:
            session.bind(tenant.schema)
            with session.transaction() as connection:
                write_version(connection, tenant.schema, self.version_table, target)
                record_step(connection, self.ledger, assignment, target)
        else:
            with session.transaction() as connection:
                is_half_born = tenant.state is TenantState.ONBOARDING
                home = home_of(self.options.extension_schemas)
                drop_schema(connection, tenant.schema, home, is_half_born=is_half_born)
                remove_tenant(connection, self.ledger, tenant.name)
                record_step(connection, self.ledger, assignment, target, is_bound=False)

    def close(self) -> None:
        """End every connection."""
        for session in self._sessions:
            session.close()

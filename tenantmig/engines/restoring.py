"""The restoring engine: one tenant brought back from its backup, in one transaction."""

from __future__ import annotations

from contextlib import closing

from psycopg import sql

from tenantmig.backup_file import BackupFacts
from tenantmig.client_programs import ClientPrograms
from tenantmig.connection import SessionOptions, connect, refuse_other_server
from tenantmig.diagnosis import explain
from tenantmig.engines import Engine
from tenantmig.engines.reading_back import read_back_outcome
from tenantmig.errors import ReadBackError, TenantSchemaMissingError
from tenantmig.failure import FailureKind
from tenantmig.journal import begin_attempt, step_facts
from tenantmig.ledger import session_name
from tenantmig.outcome import DONE, Attempt
from tenantmig.plan import Assignment
from tenantmig.restore import RestorePlan, rendered, restore
from tenantmig.session import TenantSession
from tenantmig.sql import query


class RestoringEngine(Engine):
    """Restores tenants from one backup; `registry` is None where another source lists tenants."""

    name = "restore"

    def __init__(
        self,
        options: SessionOptions,
        ledger: str,
        version_table: str,
        programs: ClientPrograms,
        backup: BackupFacts,
        *,
        is_registry_source: bool,
        deadline_s: float,
        outside: tuple[str, ...] = (),
        role: str | None = None,
        is_proven: bool = False,
    ) -> None:
        self.options = options
        self.ledger = ledger
        self.version_table = version_table
        self.programs = programs
        self.backup = backup
        self.registry = ledger if is_registry_source else None
        self.deadline_s = deadline_s
        self.outside = outside
        self.role = role
        self.is_proven = is_proven

    def attempt(self, assignment: Assignment) -> Attempt:
        """Restore a tenant; the journal is written in the transaction of the restore."""
        try:
            with closing(connect(self.options)) as connection:
                refuse_other_server(connection, assignment.server, assignment.run)
                recorded = begin_attempt(connection, self.ledger, assignment)
                if recorded is not None:
                    return Attempt(recorded)
                step = rendered(
                    connection,
                    query("record_step", self.ledger),
                    step_facts(assignment, assignment.path.target),
                )
                check = rendered(
                    connection,
                    query("assert_restored", self.ledger),
                    {"run": assignment.run, "tenant": assignment.tenant.name},
                )
            plan = RestorePlan(
                assignment.tenant,
                self.backup,
                self.registry,
                sql.SQL(";\n").join([step, check]),
                self.deadline_s,
                session_name(assignment.run),
                self.outside,
                self.role,
                self.is_proven,
            )
            restore(self.options, self.programs, plan)
            self._read_back(assignment)
            return Attempt(DONE[assignment.kind])
        except Exception as error:  # noqa: BLE001  an engine never raises
            failure = explain(error, None, self.options.url)
            is_doubtful = failure.kind is FailureKind.IN_DOUBT
            return Attempt(failure=failure, knows_version=True, is_partial=is_doubtful)

    def _read_back(self, assignment: Assignment) -> None:
        """Look, in a session of its own and under the lock, what the COMMIT has left."""
        with closing(TenantSession(self.options)) as session:
            session.application_name = session_name(assignment.run)
            refuse_other_server(session.driver, assignment.server, assignment.run)
            try:
                session.enter(assignment.tenant.schema)
            except TenantSchemaMissingError as error:
                raise ReadBackError(f"After the COMMIT: {error.message}") from error
            read_back_outcome(session, self.ledger, self.version_table, assignment)
            session.leave()

    def close(self) -> None:
        """What is at work is cancelled on the server, by its session's name."""

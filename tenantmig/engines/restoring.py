"""The restoring engine: one tenant brought back from its backup, in one transaction."""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace

from psycopg import sql

from tenantmig.backups.client_programs import ClientPrograms
from tenantmig.backups.restore import RestorePlan, rendered, restore
from tenantmig.domain.failure import FailureKind
from tenantmig.domain.outcome import DONE, Attempt
from tenantmig.domain.plan import Assignment
from tenantmig.engines import Engine
from tenantmig.engines.reading_back import read_back_outcome
from tenantmig.errors import ReadBackError, TenantSchemaMissingError
from tenantmig.ledger.claim import session_name
from tenantmig.ledger.journal import begin_attempt, step_facts
from tenantmig.postgres.connection import SessionOptions, connect
from tenantmig.postgres.diagnosis import explain
from tenantmig.postgres.same_server import refuse_other_server
from tenantmig.postgres.session import TenantSession
from tenantmig.postgres.sql import query


class RestoringEngine(Engine):
    """Restores a tenant from its backup, as `plan` says; the journal is added to what it writes."""

    name = "restore"

    def __init__(
        self,
        options: SessionOptions,
        ledger: str,
        version_table: str,
        programs: ClientPrograms,
        plan: RestorePlan,
    ) -> None:
        self.options = options
        self.ledger = ledger
        self.version_table = version_table
        self.programs = programs
        self.plan = plan

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
                    query("ledger/record_step", self.ledger),
                    step_facts(assignment, assignment.path.target),
                )
                check = rendered(
                    connection,
                    query("engines/assert_restored", self.ledger),
                    {"run": assignment.run, "tenant": assignment.tenant.name},
                )
            plan = replace(
                self.plan,
                extra_sql=sql.SQL(";\n").join([step, check]),
                application_name=session_name(assignment.run),
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

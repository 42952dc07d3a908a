"""A worker process of the alembic engine: the history loaded once, one connection reused.

`alembic.op` and `alembic.context` are module globals, so migrations of two tenants must never run
in two threads of one process. Everything here runs in a process of its own; only data crosses back.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from contextlib import nullcontext
from dataclasses import replace
from typing import Any

import psycopg
from alembic.runtime.migration import MigrationContext, RevisionStep

from tenantmig.domain.failure import FailureKind
from tenantmig.domain.lineage import Lineage
from tenantmig.domain.notices import NoticeListener
from tenantmig.domain.outcome import DONE, Attempt, Outcome
from tenantmig.domain.plan import Assignment, Heads, RunKind
from tenantmig.domain.redaction import redact
from tenantmig.domain.tenant import Tenant
from tenantmig.engines.birth import make_schema
from tenantmig.engines.environment import ScriptEnvironment, Unheard, WorkerOptions
from tenantmig.engines.failed_attempt import explain_attempt
from tenantmig.engines.hooks import HookLook
from tenantmig.engines.moved_on import forget_finished_parts, refuse_moved
from tenantmig.engines.onward import Onward
from tenantmig.engines.reading_back import read_back_outcome
from tenantmig.engines.shared_locks import find_shared_lock
from tenantmig.engines.witness import Witness
from tenantmig.errors import EnvironmentFileError, VersionTableError
from tenantmig.ledger.claim import session_name
from tenantmig.ledger.denial import refuse_role
from tenantmig.ledger.journal import begin_attempt, record_step
from tenantmig.ledger.parts import RevisionParts
from tenantmig.postgres.connection import in_catalog
from tenantmig.postgres.same_server import refuse_other_server
from tenantmig.postgres.session import TenantSession
from tenantmig.postgres.step_watch import end_mode_with
from tenantmig.postgres.tenant_extensions import home_of
from tenantmig.postgres.version_table import read_versions
from tenantmig.postgres.version_writing import write_version
from tenantmig.tenants.births import begin_onboarding, end_onboarding


class Worker(ScriptEnvironment):
    """One process's history and session."""

    def __init__(self, options: WorkerOptions) -> None:
        super().__init__(options)
        self._hooks = HookLook()
        self.session: TenantSession | None = None
        self.served = 0
        self.notices = NoticeListener(options.session.url.redact)
        self._forget()
        sys.addaudithook(self._hear_audit)

    def _hear_audit(self, happening: str, arguments: tuple[Any, ...]) -> None:
        if self.witness is not None:
            self.witness.hear_audit(happening, arguments)

    def _forget(self) -> None:
        """Forget what was found out about the tenant before."""
        self.knows_version = False
        self.running: str | None = None
        self.xid: str | None = None
        self.parts: RevisionParts | None = None
        self.shared_locks: dict[str, str] = {}
        self.witness: Witness | None = None
        self.onward: Onward | None = None
        self.hook: str | None = None

    def run(self, assignment: Assignment) -> Attempt:
        """Bring one tenant along its path, or say why not; with what was warned of and printed."""
        heard = sys.stderr
        if isinstance(heard, Unheard):
            heard.keep()
        made = replace(self._run(assignment), warnings=self.notices.take(assignment.tenant))
        if not isinstance(heard, Unheard):
            return made
        secrets = self.options.session.url.secrets
        return replace(made, printed=tuple(redact(line, secrets) for line in heard.take()))

    def _run(self, assignment: Assignment) -> Attempt:
        self._forget()
        if assignment.loads_late:
            self.load_late()
        try:
            outcome = self._bring(self._open_session(assignment), assignment)
            recordings = self.witness.recordings if self.witness else ()
            is_left = bool(self.onward and self.onward.is_marked())
            if assignment.releases or assignment.is_isolated or is_left:
                self.close_session()
            made = Attempt(outcome, shared_locks=self.shared_locks, recordings=recordings)
            return replace(made, hook=self.hook, **self.onward.told if self.onward else {})
        except (Exception, SystemExit) as error:  # noqa: BLE001  scripts raise anything
            return self._fail(error, assignment)

    def _fail(self, error: BaseException, assignment: Assignment) -> Attempt:
        failure = explain_attempt(
            error, assignment, self.options, self.session, self.parts, self.running
        )
        is_partial = self.parts is not None and self.parts.is_partial
        if assignment.kind is RunKind.ONBOARD:
            # whatever is left of it is dropped before the next attempt
            is_partial = False
            if failure.kind is FailureKind.IN_DOUBT:
                failure = replace(failure, kind=FailureKind.TRANSIENT)
        lost_xid = self.xid if failure.kind is FailureKind.LOST_COMMIT else None
        failure = self.onward.heed(failure) if self.onward else failure
        self.close_session()
        return Attempt(
            failure=failure,
            knows_version=self.knows_version,
            is_partial=is_partial or failure.kind is FailureKind.IN_DOUBT,
            lost_xid=lost_xid,
            memo=self.onward.memo if self.onward else assignment.memo,
            hook=self.hook,
        )

    def _open_session(self, assignment: Assignment) -> TenantSession:
        if self.served >= self.options.recycle_after:
            self.close_session()
        if self.session is None:
            self.session = TenantSession(self.options.session)
            self.notices.listen(self.session.driver)
            self.served = 0
        self.served += 1
        self.session.application_name = session_name(assignment.run)
        refuse_other_server(self.session.driver, assignment.server, assignment.run)
        return self.session

    def close_session(self) -> None:
        """Give up the connection, if there is one."""
        if self.session is not None:
            self.session.close()
        self.session = None

    def _bring(self, session: TenantSession, assignment: Assignment) -> Outcome:
        tenant, ledger = assignment.tenant, self.options.ledger
        session.lock(tenant.schema)
        with session.outside_transaction() as connection:
            recorded = begin_attempt(connection, ledger, assignment)
            self.knows_version = recorded is not None
            if recorded is None and assignment.kind is RunKind.ONBOARD:
                owner = self.options.session.owner_of(tenant)
                home = home_of(self.options.session.extension_schemas)
                begin_onboarding(connection, ledger, tenant, owner, home)
                self.knows_version = True
            if recorded is None:
                self.parts = RevisionParts(connection, ledger, tenant.schema)
        if recorded is None:
            session.bind(tenant.schema)
            if self.options.lineage is Lineage.TENANT:
                session.act_as_owner(self.options.version_table)
            recorded = self._move(session, assignment)
        else:
            read_back_outcome(session, ledger, self.options.version_table, assignment)
        session.leave()
        return recorded

    def _move(self, session: TenantSession, assignment: Assignment) -> Outcome:
        """Go on from where the tenant stands, which an earlier attempt may have moved."""
        stretch = assignment.stretch
        if assignment.kind is not RunKind.ONBOARD:
            heads = self._read_heads(session, assignment.tenant)
            assert self.parts is not None
            forget_finished_parts(self.parts, session, self.history, heads, assignment.kind)
            self.knows_version = True
            if heads == assignment.path.target:
                return Outcome.ALREADY_CURRENT
            if heads == stretch.target:
                return DONE[assignment.kind]
            refuse_moved(self.history, heads, assignment)
            if assignment.is_reading:
                raise VersionTableError("the last attempt changed nothing; run again")
        if stretch.revisions:
            self._migrate(session, assignment)
        else:
            self._write_base(session, assignment)
        table = self.options.version_table
        is_through = self.onward is not None and self.onward.is_through
        target = assignment.path.target if is_through else stretch.target
        read_back_outcome(session, self.options.ledger, table, assignment, target)
        return DONE[assignment.kind]

    def _write_base(self, session: TenantSession, assignment: Assignment) -> None:
        """Onboard at base: a history without revisions, or `--to base`; or as `birth` makes it."""
        heads = assignment.path.target
        if heads:
            self._bear(session, assignment)
            return
        with session.transaction() as connection:
            write_version(connection, assignment.tenant.schema, self.options.version_table, ())
            self._record(connection, assignment, ())

    def _bear(self, session: TenantSession, assignment: Assignment) -> None:
        """Let the application make the schema, and stamp it in the same transaction."""
        schema, heads = assignment.tenant.schema, assignment.path.target
        with session.sqlalchemy.begin():
            make_schema(session, self.options.birth, schema)
            write_version(session.driver, schema, self.options.version_table, heads)
            self._record(session.driver, assignment, heads)

    def _record(self, connection: psycopg.Connection, assignment: Assignment, heads: Heads) -> None:
        """Write the journal, and at the target end an onboarding, in the revision's transaction."""
        self.xid = record_step(connection, self.options.ledger, assignment, heads)
        if assignment.kind is RunKind.ONBOARD and heads == assignment.path.target:
            is_kept = self.options.is_registry_source
            end_onboarding(connection, self.options.ledger, assignment.tenant, keep=is_kept)

    def _read_heads(self, session: TenantSession, tenant: Tenant) -> Heads:
        with session.outside_transaction() as connection, in_catalog(connection):
            versions = read_versions(connection, [tenant.schema], self.options.version_table)
        version = versions[tenant.schema].seen_from(self.options.lineage)
        if version.problem:
            raise VersionTableError(version.problem)
        self.history.check_heads(version.heads)
        return version.heads

    def _migrate(self, session: TenantSession, assignment: Assignment) -> None:
        """Run the user's env.py and scripts, writing the journal in each revision's transaction."""
        stretch = assignment.stretch
        witness = self._witness(session, assignment)
        onward = self.onward = Onward(session, self.history, assignment, witness)

        def journal(*, heads: set[str], **_: object) -> None:
            reached = onward.reached = tuple(sorted(heads))
            session.driver.refuse_left()
            if witness is not None:
                held = find_shared_lock(session, assignment.tenant, self.options.ledger)
                if held and self.running:
                    self.shared_locks[self.running] = held
                if session.has_own_commit:
                    witness.note_script("it ends its transaction itself")
                witness.reached(str(self.running), assignment.kind, reached, onward.remembered)
            refuse_role(session.driver, self.options.ledger)
            self._record(session.driver, assignment, reached)
            session.is_recorded = True

        def migrations(heads: Heads, context: MigrationContext) -> Iterable[RevisionStep]:
            self.check_environment(context, session, assignment.tenant)
            self.hook = self._hooks.find()
            session.follow(lambda: context)
            if witness is not None:
                witness.stands = heads
                witness.look_at(context, self.hook)
            context.on_version_apply_callbacks = (*context.on_version_apply_callbacks, journal)
            for step in onward.steps(heads, context):
                self._begin_revision(session, step.revision.revision, assignment.kind)
                session.confine(step)
                end_mode_with(session.sqlalchemy, step)
                if witness is not None:
                    witness.watch(step, context)
                yield step
            self._end_revision(session)
            self.running = None

        self.config.attributes["connection"] = session.sqlalchemy
        with witness.attached() if witness is not None else nullcontext():
            self.run_env(assignment.tenant, migrations, stretch.destination)
        if not onward.is_arrived:
            raise EnvironmentFileError(
                "env.py ended without running the revisions; it must call context.run_migrations()."
            )

    def _witness(self, session: TenantSession, assignment: Assignment) -> Witness | None:
        if assignment.is_witness:
            schema, table = assignment.tenant.schema, self.options.version_table
            is_birth = assignment.kind is RunKind.ONBOARD
            self.witness = Witness(
                session.sqlalchemy, schema, table, assignment.formats, is_birth=is_birth
            )
            with session.outside_transaction():
                self.witness.begin()
        return self.witness

    def _begin_revision(self, session: TenantSession, revision: str, kind: RunKind) -> None:
        assert self.parts is not None
        self._end_revision(session)
        self.running = self.notices.revision = revision
        self.parts.begin(revision, kind)
        session.begin_revision(self.parts)

    def _end_revision(self, session: TenantSession) -> None:
        """What was begun before is committed as a whole."""
        if self.running is not None and self.parts is not None:
            self.parts.end()
        session.end_revision()

"""A worker's part in a scratch schema: the history runs there as in a tenant, without a ledger.

What a script does there is committed only if it stays inside the schema. Each call is complete in
itself and can be made in a process of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import closing
from dataclasses import dataclass, replace

import psycopg
from alembic.runtime.migration import MigrationContext, RevisionStep

from tenantmig.domain.failure import Failure
from tenantmig.domain.plan import Heads, RunKind, show_heads
from tenantmig.domain.tenant import Tenant
from tenantmig.engines.acts import acts_refused
from tenantmig.engines.birth import make_schema
from tenantmig.engines.birth_witness import BirthSeen, BirthWitness, loaded_files
from tenantmig.engines.environment import WorkerOptions
from tenantmig.engines.hints import find_hint
from tenantmig.engines.worker import Worker
from tenantmig.engines.worker_process import worker_of
from tenantmig.errors import OutsideError, VersionTableError
from tenantmig.history.paths import MigrationsFunction
from tenantmig.postgres.confined import Confinement
from tenantmig.postgres.diagnosis import explain
from tenantmig.postgres.session import TenantSession
from tenantmig.postgres.step_watch import end_mode_with
from tenantmig.postgres.version_table import read_versions
from tenantmig.postgres.version_writing import write_version


@dataclass(frozen=True, slots=True)
class NotTried:
    """A revision that reaches out of the scratch schema: nothing of it was committed.

    `act` says what it does: "touches public.countries". Without a revision env.py does it.
    """

    revision: str | None
    act: str

    @property
    def message(self) -> str:
        """The sentence a user reads."""
        who = "env.py" if self.revision is None else f"revision {self.revision}"
        return f"{who} {self.act}: not tried"


def move_scratch(
    options: WorkerOptions, schema: str, kind: RunKind, destination: str
) -> Failure | NotTried | None:
    """Run the history from where the scratch schema stands to `destination`, or say why not."""
    worker = worker_of(options)
    return _run(worker, schema, worker.history.steps(kind, destination), destination)


def step_scratch(
    options: WorkerOptions, schema: str, kind: RunKind, revisions: tuple[str, ...]
) -> Failure | NotTried | None:
    """Run exactly these revisions in the scratch schema, in this order, or say why not."""
    worker = worker_of(options)
    return _run(worker, schema, worker.history.exact_steps(kind, revisions), "heads")


def witness_scratch(
    options: WorkerOptions, schema: str, revisions: tuple[str, ...], formats: frozenset[str]
) -> Failure | NotTried | BirthSeen:
    """Run a birth in the scratch schema, watched; return what was seen, or why it failed."""
    worker = worker_of(options)
    steps = worker.history.exact_steps(RunKind.ONBOARD, revisions)
    seen: list[BirthSeen] = []

    def bear(session: TenantSession) -> Heads | None:
        watching = BirthWitness(session, options.version_table, formats)
        worker.witness = watching.witness  # it hears what is done outside the database
        try:
            with watching.witness.attached():
                return _migrate(worker, session, steps, "heads", watching)
        finally:
            worker.witness = None
            seen.append(BirthSeen(watching.unsure, loaded_files(), watching.asks_roles))

    return _confined(worker, schema, bear) or seen[0]


def mend_scratch(
    options: WorkerOptions, schema: str, statements: tuple[str, ...]
) -> Failure | NotTried | None:
    """Send statements of ours to the scratch schema, in one transaction, as far as they succeed.

    One that fails is tried again after the others: it may have waited for them. What they made of
    the schema is for the caller to look at.
    """
    session = None
    with closing(Confinement(options.session, schema)) as confinement:
        try:
            session = TenantSession(options.session, confinement.connect)
            session.enter(schema)
            with confinement.armed(), session.transaction() as connection:
                _send(connection, statements)
        except psycopg.Error as error:
            if confinement.refusal is None:
                return explain(error, session, options.session.url)
        except OutsideError:
            pass
        finally:
            if session is not None:
                session.close()
        if confinement.refusal is not None:
            return NotTried(None, confinement.refusal)
    return None


def _send(connection: psycopg.Connection, statements: tuple[str, ...]) -> None:
    left = list(statements)
    while left:
        refused = []
        for statement in left:
            try:
                with connection.transaction():
                    connection.execute(statement.encode())
            except (psycopg.errors.OperationalError, OutsideError):
                raise
            except psycopg.Error:
                refused.append(statement)
        if len(refused) == len(left):
            return
        left = refused


def bear_scratch(options: WorkerOptions, schema: str, heads: Heads) -> Failure | NotTried | None:
    """Let the setting `birth` make the scratch schema, at `heads`, or say why not."""
    worker = worker_of(options)

    def make(session: TenantSession) -> Heads:
        with session.sqlalchemy.begin():
            make_schema(session, options.birth, schema)
            write_version(session.driver, schema, options.version_table, heads)
        return heads

    return _confined(worker, schema, make)


def _run(
    worker: Worker, schema: str, steps: MigrationsFunction, destination: str
) -> Failure | NotTried | None:
    return _confined(worker, schema, lambda s: _migrate(worker, s, steps, destination))


def _confined(
    worker: Worker, schema: str, act: Callable[[TenantSession], Heads | None]
) -> Failure | NotTried | None:
    session, worker.running = None, None
    options = worker.options.session
    with closing(Confinement(options, schema)) as confinement:
        try:
            session = TenantSession(options, confinement.connect)
            session.enter(schema)
            with (
                confinement.armed(),
                acts_refused(confinement.refuse, lambda: confinement.is_connecting),
            ):
                reached = act(session)
            if confinement.refusal is None:
                _read_back(worker, session, reached)
        except (Exception, SystemExit) as error:  # noqa: BLE001  scripts raise anything
            if confinement.refusal is None:
                failure = explain(error, session, options.url, worker.running)
                more = find_hint(error, session, worker.options)
                return replace(failure, message=failure.message + more)
        finally:
            if session is not None:
                session.close()
        if confinement.refusal is not None:  # the script may have gone on regardless
            return NotTried(worker.running, confinement.refusal)
    return None


def _migrate(
    worker: Worker,
    session: TenantSession,
    steps: MigrationsFunction,
    destination: str,
    watching: BirthWitness | None = None,
) -> Heads | None:
    assert session.schema is not None
    tenant = Tenant(session.schema, session.schema)
    reached: list[Heads] = []

    def note(*, heads: set[str], **_: object) -> None:
        reached.append(tuple(sorted(heads)))
        if watching is not None:
            watching.reached()

    def migrations(heads: Heads, context: MigrationContext) -> Iterable[RevisionStep]:
        worker.check_environment(context, session, tenant)
        session.follow(lambda: context)
        if watching is not None:
            watching.begin(context)
        context.on_version_apply_callbacks = (*context.on_version_apply_callbacks, note)
        for step in steps(heads, context):
            worker.running = step.revision.revision
            end_mode_with(session.sqlalchemy, step)
            if watching is not None:
                watching.watch(step, context)
            yield step

    worker.config.attributes["connection"] = session.sqlalchemy
    worker.run_env(tenant, migrations, destination)
    return reached[-1] if reached else None


def _read_back(worker: Worker, session: TenantSession, reached: Heads | None) -> None:
    """Make sure that what Alembic said is committed: a script may have ended its transaction."""
    assert session.schema is not None
    if reached is None:
        return
    with session.outside_transaction() as connection:
        table = worker.options.version_table
        found = read_versions(connection, [session.schema], table)[session.schema]
    if found.heads != reached:
        raise VersionTableError(
            "it ran to its end, but its version row was not committed (the version table "
            f"says {show_heads(found.heads) or 'base'})"
        )

"""A worker's part in a scratch schema: the history runs there as in a tenant, without a ledger."""

from __future__ import annotations

from collections.abc import Iterable

from alembic.runtime.migration import MigrationContext, RevisionStep

from tenantmig.diagnosis import explain
from tenantmig.engines.worker import Worker, WorkerOptions, worker_of
from tenantmig.failure import Failure
from tenantmig.plan import Heads, RunKind
from tenantmig.revisions import MigrationsFunction
from tenantmig.session import TenantSession
from tenantmig.step_watch import end_mode_with
from tenantmig.tenant import Tenant


def move_scratch(
    options: WorkerOptions, schema: str, kind: RunKind, destination: str
) -> Failure | None:
    """Run the history from where the scratch schema stands to `destination`, or say why not."""
    worker = worker_of(options)
    return _run(worker, schema, worker.history.steps(kind, destination), destination)


def step_scratch(
    options: WorkerOptions, schema: str, kind: RunKind, revisions: tuple[str, ...]
) -> Failure | None:
    """Run exactly these revisions in the scratch schema, in this order, or say why not."""
    worker = worker_of(options)
    return _run(worker, schema, worker.history.exact_steps(kind, revisions), "heads")


def _run(
    worker: Worker, schema: str, steps: MigrationsFunction, destination: str
) -> Failure | None:
    session, worker.running = None, None
    try:
        session = TenantSession(worker.options.session)
        session.enter(schema)
        _migrate(worker, session, steps, destination)
    except (Exception, SystemExit) as error:  # noqa: BLE001  scripts raise anything
        return explain(error, session, worker.options.session.url, worker.running)
    finally:
        if session is not None:
            session.close()
    return None


def _migrate(
    worker: Worker, session: TenantSession, steps: MigrationsFunction, destination: str
) -> None:
    assert session.schema is not None
    tenant = Tenant(session.schema, session.schema)

    def migrations(heads: Heads, context: MigrationContext) -> Iterable[RevisionStep]:
        worker.check_environment(context, session, tenant)
        session.follow(lambda: context)
        for step in steps(heads, context):
            worker.running = step.revision.revision
            end_mode_with(session.sqlalchemy, step)
            yield step
        worker.running = None

    worker.config.attributes["connection"] = session.sqlalchemy
    worker.run_env(tenant, migrations, destination)

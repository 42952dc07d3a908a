"""A worker's part in a scratch schema: the history runs there as in a tenant, without a ledger."""

from __future__ import annotations

from collections.abc import Iterable

from alembic.runtime.migration import MigrationContext, RevisionStep

from tenantmig.diagnosis import explain
from tenantmig.engines.worker import Worker, WorkerOptions, worker_of
from tenantmig.failure import Failure
from tenantmig.plan import Heads, RunKind
from tenantmig.session import TenantSession
from tenantmig.tenant import Tenant


def move_scratch(
    options: WorkerOptions, schema: str, kind: RunKind, destination: str
) -> Failure | None:
    """Run the history from where the scratch schema stands to `destination`, or say why not."""
    worker, session = worker_of(options), None
    worker.running = None
    try:
        session = TenantSession(options.session)
        session.enter(schema)
        _migrate(worker, session, kind, destination)
    except (Exception, SystemExit) as error:  # noqa: BLE001  scripts raise anything
        return explain(error, session, options.session.url, worker.running)
    finally:
        if session is not None:
            session.close()
    return None


def _migrate(worker: Worker, session: TenantSession, kind: RunKind, destination: str) -> None:
    assert session.schema is not None
    tenant = Tenant(session.schema, session.schema)

    def migrations(heads: Heads, context: MigrationContext) -> Iterable[RevisionStep]:
        worker.check_environment(context, session, tenant)
        for step in worker.history.steps(kind, destination)(heads, context):
            worker.running = step.revision.revision
            yield step
        worker.running = None

    worker.config.attributes["connection"] = session.sqlalchemy
    worker.run_env(tenant, migrations, destination)

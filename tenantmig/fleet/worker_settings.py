"""What a worker process is told of the settings. Starts none."""

from __future__ import annotations

from tenantmig.domain.lineage import Lineage
from tenantmig.engines.environment import WorkerOptions
from tenantmig.postgres.connection import SessionOptions
from tenantmig.settings import Settings


def worker_options(settings: Settings, session: SessionOptions, lineage: Lineage) -> WorkerOptions:
    """Return the options of the worker processes for one lineage."""
    return WorkerOptions(
        ini=settings.config.absolute(),
        session=session,
        ledger=settings.ledger_schema,
        version_table=settings.version_table,
        recycle_after=settings.recycle_after,
        is_registry_source=settings.source == "registry",
        attempt_timeout_s=settings.attempt_timeout,
        lineage=lineage,
        shared_schema=settings.shared_schema,
        pure_modules=settings.pure_modules,
        shared_section=settings.shared_section,
        x=settings.x,
        birth=settings.birth,
    )

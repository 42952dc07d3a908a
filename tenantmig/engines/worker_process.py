"""The one worker of this process, and what is asked of it by name from another process.

Nothing of this is for the process that the user started: its output would be taken from it.
"""

from __future__ import annotations

import os
import sys
from functools import lru_cache
from typing import TYPE_CHECKING

from tenantmig.domain.plan import Path as RevisionPath
from tenantmig.domain.tenant import Tenant
from tenantmig.engines.environment import Unheard, WorkerOptions

if TYPE_CHECKING:
    from tenantmig.engines.worker import Worker


def render_sql(options: WorkerOptions, tenant: Tenant, path: RevisionPath) -> str:
    """Return the SQL of an upgrade along `path`, from Alembic's offline mode."""
    return worker_of(options).render_sql(tenant, path)


@lru_cache(maxsize=1)
def worker_of(options: WorkerOptions) -> Worker:
    """Return this process's worker."""
    from tenantmig.engines.worker import Worker  # noqa: PLC0415  a driver needs none of it

    own_output()
    return Worker(options)


@lru_cache(maxsize=1)
def own_output() -> None:
    """Send what a script prints where errors go: it is not our result."""
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    sys.stdout = sys.stderr = Unheard(sys.stderr)

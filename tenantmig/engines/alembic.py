"""The alembic engine: the user's env.py and scripts as they are, in long-lived worker processes.

Owns the pool. A worker that is killed costs the attempt it was making and nothing else (pebble
replaces it; `concurrent.futures` loses the whole pool). Workers come from a fork server that has
imported the libraries and opened nothing: a fork of the driver would share its sockets.
"""

from __future__ import annotations

from concurrent.futures import CancelledError

from pebble import ProcessExpired, ProcessPool

from tenantmig.engines.worker import WorkerOptions, render_sql, run_assignment
from tenantmig.failure import Failure, FailureKind, Phase
from tenantmig.forkserver import worker_context
from tenantmig.outcome import Attempt
from tenantmig.plan import Assignment, Path
from tenantmig.tenant import Tenant


class AlembicEngine:
    """A pool of worker processes; `attempt` is for as many threads as it has workers."""

    name = "alembic"

    def __init__(self, options: WorkerOptions, workers: int) -> None:
        self.options = options
        self.is_closed = False
        self._pool = ProcessPool(max_workers=workers, context=worker_context())

    def attempt(self, assignment: Assignment) -> Attempt:
        """Make one attempt in a worker process."""
        try:
            future = self._pool.schedule(run_assignment, args=(self.options, assignment))
            attempt: Attempt = future.result()
        except ProcessExpired as death:
            message = f"the worker process died (exit code {death.exitcode})"
            failure = Failure(FailureKind.LOST_COMMIT, message, Phase.TRANSACTION)
        except (CancelledError, RuntimeError):
            failure = Failure(FailureKind.LOST_COMMIT, "the engine was stopped", Phase.PREPARE)
        except Exception as error:  # noqa: BLE001  the worker could not start
            message = self.options.session.url.redact(f"{type(error).__name__}: {error}")
            failure = Failure(FailureKind.RUN, message, Phase.PREPARE)
        else:
            return attempt
        return Attempt(failure=failure)

    def render_sql(self, tenant: Tenant, path: Path) -> str:
        """Return the SQL of an upgrade, as Alembic's offline mode writes it for this tenant."""
        rendered: str = self._pool.schedule(render_sql, args=(self.options, tenant, path)).result()
        return rendered

    def close(self) -> None:
        """End the workers; an attempt in flight is cut off (its transaction rolls back)."""
        self.is_closed = True
        self._pool.stop()  # type: ignore[no-untyped-call]
        self._pool.join()

"""Plain Alembic for one schema, in a process that has seen no other and ends with it.

Alembic's own upgrade with the project's env.py: none of our steps, no journal, nothing watched.
"""

from __future__ import annotations

import sys
from contextlib import closing, redirect_stderr, redirect_stdout

import alembic.command

from tenantmig.domain.failure import Failure
from tenantmig.engines.alembic import AlembicEngine
from tenantmig.engines.environment import Unheard, WorkerOptions
from tenantmig.engines.workers import Workers
from tenantmig.postgres.diagnosis import explain
from tenantmig.postgres.session import TenantSession


def upgrade_alone(options: WorkerOptions, schema: str, destination: str) -> Failure | None:
    """Bring a schema to a revision by plain Alembic in a new process; say why that failed."""
    with (
        closing(Workers(1)) as workers,
        closing(AlembicEngine(options, workers, proofs=None, is_shared=False)) as engine,
    ):
        return engine.ask(_upgrade, schema, destination)


def _upgrade(options: WorkerOptions, schema: str, destination: str) -> Failure | None:
    x = (f"tenant={schema}", f"schema={schema}")
    config = options.config(x)
    session: TenantSession | None = None
    try:
        heard = Unheard(sys.stderr)
        with redirect_stdout(heard), redirect_stderr(heard):
            session = TenantSession(options.session)
            session.enter(schema)
            config.attributes["connection"] = session.sqlalchemy
            alembic.command.upgrade(config, destination)
    except (Exception, SystemExit) as error:  # noqa: BLE001  scripts raise anything
        return explain(error, session, options.session.url, None)
    finally:
        if session is not None:
            session.close()
    return None

"""`alembic.command.upgrade` in a pool: python -m benchmarks.process_pool CONFIG WORKERS NAME...

With --create each tenant schema is created first.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import sys
from concurrent.futures import ProcessPoolExecutor
from functools import partial

import psycopg
from alembic import command
from alembic.config import Config
from psycopg import sql

PRELOADED = ["alembic.command", "alembic.config", "psycopg", "sqlalchemy.dialects.postgresql"]


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.process_pool", description=__doc__)
    parser.add_argument("config")
    parser.add_argument("workers", type=int)
    parser.add_argument("--create", action="store_true")
    parser.add_argument("tenants", nargs="+")
    options = parser.parse_args(sys.argv[1:])
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(PRELOADED)
    with ProcessPoolExecutor(options.workers, mp_context=context) as pool:
        list(pool.map(partial(upgrade, options.config, options.create), options.tenants))


def upgrade(config: str, create: bool, tenant: str) -> None:
    """Bring one tenant to head, as the command `alembic` does it."""
    if create:
        url = os.environ["TENANTMIG_DATABASE_URL"]
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute(sql.SQL("CREATE SCHEMA {}").format(sql.Identifier(tenant)))
    given = argparse.Namespace(x=[f"tenant={tenant}"])
    command.upgrade(Config(config, cmd_opts=given), "head")


if __name__ == "__main__":
    main()

"""The contenders but for the floor: tenantmig, the loops, the process pool, django-tenants."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg
from psycopg import sql

from benchmarks.command import Peak, finish, run, start
from benchmarks.fleet import DJANGO, RIVALS
from benchmarks.measurement import Stage, Timed, Work


def tenantmig(subcommand: str, *flags: str) -> Work:
    """One `tenantmig` command over all; `onboard` is given the names."""

    def work(stage: Stage) -> Timed:
        names = stage.tenants if subcommand == "onboard" else []
        config = str(stage.fleet.history.config)
        command = ["tenantmig", "--config", config, subcommand, "--json", *flags, *names]

        def timed() -> float:
            process = start(stage.url, command)
            peak = Peak(process)
            finish(process)
            return peak.end()

        return timed

    return work


def program(*command: str) -> Work:
    """A program that is told no tenants."""
    return lambda stage: _running(stage.url, command)


def commands(at_once: int = 1, config: Path | None = None) -> Work:
    """A loop of `alembic -x tenant=NAME upgrade head`."""

    def work(stage: Stage) -> Timed:
        def one(tenant: str) -> None:
            _create_if_unborn(stage, tenant)
            ini = str(config or stage.fleet.history.config)
            run(stage.url, ["alembic", "-c", ini, "-x", f"tenant={tenant}", "upgrade", "head"])

        def timed() -> None:
            with ThreadPoolExecutor(at_once) as threads:
                list(threads.map(one, stage.tenants))

        return timed

    return work


def process_pool(workers: int, config: Path | None = None) -> Work:
    """`alembic.command.upgrade` in long-lived processes."""

    def work(stage: Stage) -> Timed:
        ini = str(config or stage.fleet.history.config)
        flags = [ini, str(workers), *([] if stage.fleet.size else ["--create"])]
        command = ["python", "-m", "benchmarks.process_pool", *flags, *stage.tenants]
        return _running(stage.url, command)

    return work


def one_by_one() -> Work:
    """Read each tenant's revision over a connection of its own."""

    def work(stage: Stage) -> Timed:
        command = ["python", "-m", "benchmarks.one_by_one", stage.fleet.revision, *stage.tenants]
        return _running(stage.url, command)

    return work


def django_upgrade(executor: str, processes: int = 1) -> Work:
    """One `migrate_schemas` of django-tenants over all."""

    def work(stage: Stage) -> Timed:
        options = ["--tenant", "--executor", executor, "-v", "0"]
        command = [str(RIVALS), "manage.py", "migrate_schemas", *options]
        return _django(stage.url, command, processes)

    return work


def django_onboard(executor: str, processes: int = 1) -> Work:
    """New tenants of django-tenants, by its own means."""

    def work(stage: Stage) -> Timed:
        command = [str(RIVALS), "onboard.py", executor, *stage.tenants]
        return _django(stage.url, command, processes)

    return work


def _running(url: str, command: Sequence[str]) -> Callable[[], None]:
    def timed() -> None:
        run(url, command)

    return timed


def _django(url: str, command: Sequence[str], processes: int) -> Callable[[], None]:
    def timed() -> None:
        run(url, command, DJANGO, {"BENCHMARK_PROCESSES": str(processes)})

    return timed


def _create_if_unborn(stage: Stage, tenant: str) -> None:
    if not stage.fleet.size:
        with psycopg.connect(stage.url, autocommit=True) as connection:
            connection.execute(sql.SQL("CREATE SCHEMA {}").format(sql.Identifier(tenant)))

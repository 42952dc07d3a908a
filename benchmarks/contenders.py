"""The contenders: each is given a fresh database and some tenants, and runs whole processes."""

from __future__ import annotations

import ctypes
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import psycopg
from psycopg import sql

from benchmarks.machine import BEFORE, HEAD, BenchServer, tenant_names, wrong_tenants
from benchmarks.raw_floor import NAMELESS

REPOSITORY = Path(__file__).parents[1]
BIN = Path(sys.executable).parent
PR_SET_CHILD_SUBREAPER = 36  # prctl(2)
COOKBOOK = str(REPOSITORY / "benchmarks" / "cookbook" / "alembic.ini")


@dataclass
class Bench:
    """What the contenders share: the server, its templates by number of tenants, the raw SQL."""

    server: BenchServer
    templates: dict[int, str]
    folder: Path

    def run(self, url: str, command: Sequence[str]) -> str:
        """Run a program of this virtual environment to its end and return its stdout."""
        done = subprocess.run(
            [str(BIN / command[0]), *command[1:]],
            cwd=REPOSITORY,
            env=environment(url),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise SystemExit(f"{' '.join(command)[:80]}: exit {done.returncode}\n{done.stderr}")
        return done.stdout

    @property
    def script(self) -> Path:
        """The SQL of the upgrade, by `alembic upgrade --sql`."""
        return self.folder / "upgrade.sql"


def environment(url: str) -> dict[str, str]:
    """The environment of a contender: no settings of tenantmig but the database, Python's usual
    ones (with PYTHONDONTWRITEBYTECODE every process would compile tenantmig anew)."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("TENANTMIG_", "PYTHON"))}
    return kept | {"TENANTMIG_DATABASE_URL": url}


@dataclass
class Measurement:
    """One contender's runs."""

    seconds: list[float] = field(default_factory=list)
    client_ms: list[float] = field(default_factory=list)
    server_ms: list[float] = field(default_factory=list)
    tenant_seconds: list[float] = field(default_factory=list)  # the report's, of all runs

    def median(self, values: str = "seconds") -> float:
        """The median over the rounds."""
        numbers: list[float] = getattr(self, values)
        return statistics.median(numbers)


Work = Callable[[Bench, str, Sequence[str]], list[float]]


@dataclass
class Contender:
    """`work(bench, url, tenants)` brings the tenants to head; returns seconds a tenant, if told.

    Of the `fleet` tenants in its database the first `sample` are worked on. `fleet` 0 is an
    onboarding: the tenants do not exist.
    """

    name: str
    work: Work
    sample: int
    fleet: int
    measured: Measurement = field(default_factory=Measurement)

    def run(self, bench: Bench) -> None:
        """Run once on a fresh database and add to what was measured; refuse a wrong result."""
        url = bench.server.url(bench.server.create(bench.templates[self.fleet]))
        tenants = tenant_names(self.sample)
        client, server, began = _children_cpu_ms(), bench.server.cpu_ms(), time.perf_counter()
        told = self.work(bench, url, tenants)
        self.measured.seconds.append(time.perf_counter() - began)
        time.sleep(0.3)  # until the last backends and orphans have ended
        self.measured.client_ms.append(_children_cpu_ms() - client)
        self.measured.server_ms.append(bench.server.cpu_ms() - server)
        self.measured.tenant_seconds += told
        expected = dict.fromkeys(tenant_names(self.fleet), BEFORE) | dict.fromkeys(tenants, HEAD)
        wrong = wrong_tenants(url, expected)
        if wrong:
            raise SystemExit(f"{self.name}: {len(wrong)} tenants are not where they should be")


def adopt_orphans() -> None:
    """Become the parent of what a contender leaves behind, so that its processor time counts."""
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def _children_cpu_ms() -> float:
    with suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return 1000 * (used.ru_utime + used.ru_stime)


def alembic_commands(at_once: int = 1, config: str = "alembic.ini") -> Work:
    """A loop of `alembic -x tenant=NAME upgrade head`."""

    def work(bench: Bench, url: str, tenants: Sequence[str]) -> list[float]:
        def one(tenant: str) -> None:
            bench.run(url, ["alembic", "-c", config, "-x", f"tenant={tenant}", "upgrade", "head"])

        with ThreadPoolExecutor(at_once) as threads:
            list(threads.map(one, tenants))
        return []

    return work


def tenantmig_upgrade(*flags: str) -> Work:
    """One `tenantmig upgrade`, start-up included."""

    def work(bench: Bench, url: str, _: Sequence[str]) -> list[float]:
        return _told(bench.run(url, ["tenantmig", "upgrade", "--json", *flags]))

    return work


def tenantmig_onboard(bench: Bench, url: str, tenants: Sequence[str]) -> list[float]:
    """One `tenantmig onboard` of all."""
    return _told(bench.run(url, ["tenantmig", "onboard", "--json", *tenants]))


def onboard_by_commands(bench: Bench, url: str, tenants: Sequence[str]) -> list[float]:
    """CREATE SCHEMA, then `alembic -x tenant=NAME upgrade head`; nothing is registered."""
    for tenant in tenants:
        with psycopg.connect(url) as connection:
            connection.execute(sql.SQL("CREATE SCHEMA {}").format(sql.Identifier(tenant)))
        bench.run(url, ["alembic", "-x", f"tenant={tenant}", "upgrade", "head"])
    return []


def in_process(bench: Bench, url: str, tenants: Sequence[str]) -> list[float]:
    """A for loop around `alembic.command.upgrade`, with a fresh Config each."""
    bench.run(url, ["python", "-m", "benchmarks.in_process", *tenants])
    return []


def raw_floor(bench: Bench, url: str, tenants: Sequence[str]) -> list[float]:
    """The SQL alone, statement by statement over one connection."""
    bench.run(url, ["python", "-m", "benchmarks.raw_floor", str(bench.script), *tenants])
    return []


def _told(report: str) -> list[float]:
    return [tenant["duration_s"] for tenant in json.loads(report)["tenants"]]


def prepare(server: BenchServer, fleets: set[int]) -> Bench:
    """Make the templates: for each size of fleet, that many tenants at the revision before."""
    bench = Bench(server, {}, Path(tempfile.mkdtemp(prefix="tenantmig-bench-")))
    for fleet in sorted(fleets):
        name = server.create()
        bench.templates[fleet] = name
        if fleet:
            command = ["tenantmig", "onboard", "--to", BEFORE, *tenant_names(fleet)]
            bench.run(server.url(name), command)
    command = ["alembic", "-x", f"tenant={NAMELESS}", "upgrade", f"{BEFORE}:{HEAD}", "--sql"]
    bench.script.write_text(bench.run(server.url("postgres"), command))
    return bench

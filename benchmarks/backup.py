"""Backups: what one of them costs in a small fleet and in a large one."""

from __future__ import annotations

import tempfile

from benchmarks.command import finish, run, start
from benchmarks.fleet import Fleet
from benchmarks.history import HEAD
from benchmarks.measurement import Contender, Stage, Timed
from benchmarks.operation import Aim, Operation, Options, reading

BY_PG_DUMP = 4


class Backup(Operation):
    """Backups of some tenants, one after the other, and pg_dump alone."""

    title = "Backup"
    about = (
        "Tenants of a fleet of that size are backed up one after the other. tenantmig reads each"
        " dump to its end, hashes it and flushes it. pg_dump alone only writes the dump."
    )

    def __init__(self, options: Options) -> None:
        sizes = (options.few, options.backup)
        self.small, self.large = (self._contender(size, options.sample * 2) for size in sizes)
        self.by_pg_dump = [
            reading(f"pg_dump -n, {size:,} tenants", _dumps, Fleet(size, HEAD), BY_PG_DUMP)
            for size in sizes
        ]
        self.contenders = [self.small, self.large, *self.by_pg_dump]

    @staticmethod
    def _contender(size: int, sample: int) -> Contender:
        return reading(f"backup, {size:,} tenants", _backups, Fleet(size, HEAD), sample)

    def aims(self) -> list[Aim]:
        what = (
            f"backup of a tenant: its time in a fleet of {self.large.fleet.size:,} divided by"
            f" that in a fleet of {self.small.fleet.size:,}"
        )
        return [Aim(what, self.small.times(self.large), 2, is_at_most=True)]

    def remarks(self) -> list[str]:
        small, large = self.by_pg_dump
        return [f"pg_dump alone: {small.times(large):.1f} times as long in the larger fleet."]


def _backups(stage: Stage) -> Timed:
    def timed() -> None:
        folder = tempfile.mkdtemp(dir=stage.folder)
        finish(start(stage.url, ["python", "-m", "benchmarks.backups", folder, *stage.tenants]))

    return timed


def _dumps(stage: Stage) -> Timed:
    program = stage.templates.server.program("pg_dump")

    def timed() -> None:
        file = str(stage.folder / "by_pg_dump")
        for tenant in stage.tenants:
            run(stage.url, [program, "-Fc", "-n", tenant, "-f", file, "-d", stage.url])

    return timed

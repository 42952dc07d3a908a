"""A fleet at head: what it costs to find that there is nothing to do."""

from __future__ import annotations

from benchmarks import contenders as by
from benchmarks.command import run
from benchmarks.fleet import Fleet, Templates
from benchmarks.history import HEAD
from benchmarks.operation import Aim, Operation, Options, linear, memory, reading

COMMANDS = ("upgrade", "status")


class Unchanged(Operation):
    """`tenantmig upgrade` with nothing to do, and `tenantmig status`."""

    title = "Nothing to do"
    about = (
        "All tenants are at head. No contender changes anything, so all use one copy of the fleet."
    )

    def __init__(self, options: Options) -> None:
        self.fleet = Fleet(options.unchanged, HEAD)
        self.upgrade, self.status = (
            reading(f"tenantmig {name}", by.tenantmig(name), self.fleet) for name in COMMANDS
        )
        self.one_by_one = reading("a connection for each tenant", by.one_by_one(), self.fleet)
        self.loop = reading("loop of alembic commands", by.commands(), self.fleet, options.sample)
        self.contenders = [self.upgrade, self.status, self.one_by_one, self.loop]
        self.statements: dict[str, int] = {}

    def run(self, templates: Templates, rounds: int) -> None:
        """Measure them, and count the statements in runs that are not timed."""
        super().run(templates, rounds)
        server = templates.server
        database = server.create(templates.of(self.fleet))
        server.log_statements(database)
        for command in COMMANDS:
            before = server.statements()
            run(server.url(database), ["tenantmig", command, "--json"])
            self.statements[command] = server.statements() - before

    def aims(self) -> list[Aim]:
        of = f"tenantmig upgrade of {self.fleet.size} tenants at head"
        seconds = self.upgrade.median() / self.one_by_one.median()
        return [
            Aim(
                f"{of}: its time divided by that of a connection for each",
                seconds,
                1 / 50,
                is_at_most=True,
            ),
            Aim(f"{of}: statements on the server", self.statements["upgrade"], 40, is_at_most=True),
        ]

    def remarks(self) -> list[str]:
        return [
            f"tenantmig status: {self.statements['status']} statements on the server.",
            "SET, BEGIN and COMMIT count as statements.",
            f"Memory of the driver: {self.upgrade.peak_mb:.0f} MB.",
        ]


class LargeStatus(Operation):
    """Whether `tenantmig status` of a fleet ten times as large takes ten times as long."""

    title = "Status of large fleets"
    about = "All tenants are three revisions behind."

    def __init__(self, options: Options) -> None:
        self.small, self.large = (
            reading("tenantmig status", by.tenantmig("status"), Fleet(size))
            for size in sorted(options.large_fleets)
        )
        self.contenders = [self.small, self.large]

    def aims(self) -> list[Aim]:
        return linear(self.small, self.large)

    def remarks(self) -> list[str]:
        return [memory(self.small, self.large)]

"""Short commands: what they take beside the import of Alembic alone."""

from __future__ import annotations

from benchmarks import contenders as by
from benchmarks.fleet import Fleet, tenant_names
from benchmarks.measurement import Contender
from benchmarks.operation import Aim, Operation, Options, reading

MOST = {"--help": 0.6, "status": 1.6, "upgrade -t one": 2.2}
"""The time of each command at most, as a part of the import's."""


class Starting(Operation):
    """`tenantmig --help`, `status` and `upgrade -t one`, each a process of its own."""

    title = "Starting"
    about = (
        "Whole commands, beside an interpreter that imports Alembic and ends. The commands that"
        " change nothing use one copy of the fleet."
    )

    def __init__(self, options: Options) -> None:
        fleet = Fleet(options.tenants)
        (one,) = tenant_names(1)
        self.imported = reading(
            "python -c 'import alembic.config'",
            by.program("python", "-c", "import alembic.config"),
            fleet,
            1,
        )
        self.commands = {
            "--help": reading("tenantmig --help", by.program("tenantmig", "--help"), fleet, 1),
            "status": reading("tenantmig status", by.tenantmig("status"), fleet),
            "upgrade -t one": Contender(
                "tenantmig upgrade -t one", by.tenantmig("upgrade", "-t", one), 1, fleet
            ),
        }
        self.contenders = [self.imported, *self.commands.values()]

    def aims(self) -> list[Aim]:
        of = "its time divided by that of importing alembic.config"
        return [
            Aim(
                f"tenantmig {name}: {of}",
                command.median() / self.imported.median(),
                MOST[name],
                is_at_most=True,
            )
            for name, command in self.commands.items()
        ]

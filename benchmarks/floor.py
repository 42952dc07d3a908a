"""The floor: the SQL of `alembic upgrade --sql` for each tenant and nothing else, sent fast.

No lock, no journal, no check: it is what the work itself costs, not a way to migrate. A tenant's
statements go to the server in as few messages as they can: several transactions in one, and only
what may not be in a transaction alone.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from tempfile import mkdtemp

from benchmarks.command import finish, run, start
from benchmarks.fleet import Fleet, Templates
from benchmarks.history import BEFORE, HEAD, NAMELESS, History
from benchmarks.measurement import Contender, Stage, Timed, Work, measure
from benchmarks.relay import Relay

CONNECTIONS = (1, 2, 4, 8)
FAR_CONNECTIONS = (4, 8, 16)
END = ";\n\n"  # of a statement, as Alembic writes it
ALONE = "CONCURRENTLY"
QUIET = {"PGOPTIONS": "-c client_min_messages=warning"}


@cache
def messages(history: History, url: str, *, is_born: bool) -> Sequence[Sequence[str]]:
    """The statements for the tenant `NAMELESS`, by the message they go in."""
    text = history.sql(url, f"{BEFORE}:{HEAD}" if is_born else HEAD)
    statements = [lines for part in text.split(END) if (lines := part.strip())]
    if not is_born:
        statements.insert(0, f"CREATE SCHEMA {NAMELESS}")
    found: list[list[str]] = [[]]
    for statement in statements:
        if ALONE in statement:
            found += [[statement], []]
        else:
            found[-1].append(statement)
    return [message for message in found if message]


def psql(connections: int) -> Work:
    """As many psql at once, each with its share of the tenants in a file."""

    def work(stage: Stage) -> Timed:
        folder = Path(mkdtemp(dir=stage.folder))
        text = "".join(f"{_one_message(message)};\n" for message in _messages(stage))
        commands = []
        for number in range(connections):
            file = folder / str(number)
            names = stage.tenants[number::connections]
            file.write_text("".join(text.replace(NAMELESS, name) for name in names))
            program = stage.templates.server.program("psql")
            options = ["-XqAt", "-v", "ON_ERROR_STOP=1", "-o", "/dev/null", "-f", str(file)]
            commands.append([program, "-d", stage.url, *options])

        def timed() -> None:
            for process in [start(stage.url, command, variables=QUIET) for command in commands]:
                finish(process)

        return timed

    return work


def pgbench(connections: int) -> Work:
    """One pgbench; in each transaction a client takes its next tenant."""

    def work(stage: Stage) -> Timed:
        script = Path(mkdtemp(dir=stage.folder), "script")
        prefix = stage.tenants[0].removesuffix("1")
        text = "".join(f"{_one_message(message)};\n" for message in _messages(stage))
        script.write_text(PGBENCH.format(text=text.replace(NAMELESS, f"{prefix}:number")))
        tenants = len(stage.tenants)
        turns = math.ceil(tenants / connections)
        program = stage.templates.server.program("pgbench")
        threads = min(connections, 2)
        variables = {"tenants": tenants, "clients": connections, "turn": 0}
        given = [word for name, value in variables.items() for word in ("-D", f"{name}={value}")]
        options = ["-n", "-f", str(script), "-c", str(connections), "-j", str(threads)]
        command = [program, *options, "-t", str(turns), *given, stage.url]
        return lambda: _quietly(stage.url, command)

    return work


def psycopg(connections: int) -> Work:
    """One Python process, a thread for each connection."""

    def work(stage: Stage) -> Timed:
        script = Path(mkdtemp(dir=stage.folder), "messages")
        script.write_text(json.dumps([";\n".join(message) for message in _messages(stage)]))
        program = ["python", "-m", "benchmarks.floor_sender", str(script), str(connections)]
        return lambda: _quietly(stage.url, [*program, *stage.tenants])

    return work


MEANS = {"psql": psql, "pgbench": pgbench, "psycopg": psycopg}


class Floor:
    """The means of the floor, each at the connection count that a calibration found best."""

    def __init__(
        self, templates: Templates, fleet: Fleet, sample: int, rounds: int, relay: Relay | None
    ) -> None:
        tried = {
            (name, count): Contender(f"floor: {name}, {count}", means(count), sample, fleet, relay)
            for name, means in MEANS.items()
            for count in (FAR_CONNECTIONS if relay else CONNECTIONS)
        }
        measure(templates, list(tried.values()), rounds)
        self.connections: Mapping[str, int] = {
            name: max((c.rate, count) for (other, count), c in tried.items() if other == name)[1]
            for name in MEANS
        }
        self.best = max(tried, key=lambda key: tried[key].rate)[0]
        self._relay = relay

    def contenders(self, sample: int, fleet: Fleet) -> list[Contender]:
        """All means, over that many tenants."""
        return [self._contender(name, sample, fleet) for name in MEANS]

    def contender(self, sample: int, fleet: Fleet) -> Contender:
        """The means that was best in the calibration."""
        return self._contender(self.best, sample, fleet)

    def _contender(self, name: str, sample: int, fleet: Fleet) -> Contender:
        count = self.connections[name]
        plural = "connection" if count == 1 else "connections"
        title = f"floor: {name}, {count} {plural}"
        return Contender(title, MEANS[name](count), sample, fleet, self._relay)


def _messages(stage: Stage) -> Sequence[Sequence[str]]:
    postgres = stage.templates.server.url("postgres")
    return messages(stage.fleet.history, postgres, is_born=stage.fleet.size > 0)


def _one_message(message: Sequence[str]) -> str:
    return "\\;\n".join(message)


def _quietly(url: str, command: Sequence[str]) -> None:
    run(url, command, variables=QUIET)


PGBENCH = """\\set number :client_id + 1 + :turn * :clients
\\set turn :turn + 1
\\if :number <= :tenants
{text}\\endif
"""

"""python -m benchmarks: upgrade and onboard fleets by several ways, and print what each took."""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache, partial
from pathlib import Path

from benchmarks.backup import Backup
from benchmarks.command import adopt_orphans
from benchmarks.drift import Drift
from benchmarks.fleet import RIVALS, Fleet, Templates
from benchmarks.floor import Floor
from benchmarks.history import generate, with_state
from benchmarks.machine import DURABLE, SETTINGS, BenchServer, round_trip_ms
from benchmarks.onboarding import Onboard
from benchmarks.operation import Operation
from benchmarks.page import write_page
from benchmarks.relay import Relay
from benchmarks.rolling import FarRoll, LargeRoll, LongHistory, Roll, StatefulRoll
from benchmarks.starting import Starting
from benchmarks.table import rows, text
from benchmarks.unchanged import LargeStatus, Unchanged
from tests.fixtures.server import Server

OPERATIONS = (
    "starting",
    "roll",
    "onboard",
    "unchanged",
    "drift",
    "backup",
    "far",
    "history",
    "stateful",
    "large-roll",
    "large-status",
)


def main() -> int:
    options = _options()
    settings = SETTINGS | (DURABLE if options.fsync else {})
    adopt_orphans()
    folder = Path(tempfile.mkdtemp(prefix="tenantmig-bench-"))
    try:
        with Server(18, settings) as server, Relay(server.port) as relay:
            templates = Templates(BenchServer(server), folder)
            operations = list(_measured(options, templates, relay))
            machine = _machine(options, templates)
    finally:
        shutil.rmtree(folder)
    print(machine)
    for operation in operations:
        print(f"\n{operation.title}. {operation.about}\n\n{text(rows(operation))}\n")
        print("\n".join([*map(str, operation.aims()), *operation.remarks()]))
    if options.write:
        write_page(machine, operations)
    return 0


def _measured(
    options: argparse.Namespace, templates: Templates, relay: Relay
) -> Iterator[Operation]:
    """Run the operations that were asked for, one after the other."""
    few, empty, far = Fleet(options.few), Fleet(0), Fleet(options.far)

    @cache
    def floor(fleet: Fleet, line: Relay | None = None) -> Floor:
        return Floor(templates, fleet, fleet.size or few.size, options.calibration, line)

    made: Mapping[str, Callable[[], Operation]] = {
        "starting": lambda: Starting(options),
        "roll": lambda: Roll(options, floor(few)),
        "onboard": lambda: Onboard(options, floor(empty)),
        "unchanged": lambda: Unchanged(options),
        "drift": lambda: Drift(options),
        "backup": lambda: Backup(options),
        "far": lambda: FarRoll(
            options,
            floor(far, relay),
            relay,
            round_trip_ms(relay.url(templates.server.url("postgres"))),
        ),
        "history": lambda: LongHistory(
            options, floor(few), generate(templates.folder / "history", options.history)
        ),
        "stateful": lambda: StatefulRoll(options, with_state(templates.folder / "stateful")),
        "large-roll": lambda: LargeRoll(options, floor(few)),
        "large-status": lambda: LargeStatus(options),
    }
    for name in options.only:
        operation = made[name]()
        operation.run(templates, options.large_rounds if _is_large(name) else options.rounds)
        yield operation


def _machine(options: argparse.Namespace, templates: Templates) -> str:
    return (
        f"PostgreSQL {templates.server.version()}, {len(os.sched_getaffinity(0))} cores shared by"
        f" server and client, fsync {'on' if options.fsync else 'off'}, medians of"
        f" {options.rounds} rounds{_large(options)}."
    )


def _large(options: argparse.Namespace) -> str:
    return (
        f" ({options.large_rounds} for large fleets)" if any(map(_is_large, options.only)) else ""
    )


def _is_large(operation: str) -> bool:
    return operation.startswith("large")


def _options(words: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    number = partial(parser.add_argument, type=int, metavar="N")
    number("--tenants", default=500, help="the fleet of the aims")
    number("--few", default=100, help="a smaller one, for marginal rates")
    number("--sample", default=8, help="tenants of the loops a round")
    number("--unchanged", default=5000, help="the fleet at head")
    number("--drift", default=2000, help="the fleet that is compared with its history")
    number("--backup", default=2000, help="the fleet in which tenants are backed up")
    number("--far", default=100, help="the fleet 2 ms away")
    number("--history", default=400, help="revisions of the long history")
    number("--rounds", default=3)
    number("--calibration", default=2, help="rounds to find the floor")
    number("--parallel", default=None, help="default: tenantmig's own")
    parser.add_argument("--large", action="store_true", help="also the large fleets")
    parser.add_argument("--large-fleets", nargs=2, type=int, default=[1000, 10000], metavar="N")
    number("--large-rounds", default=1)
    parser.add_argument("--only", nargs="+", choices=OPERATIONS, metavar="OPERATION")
    parser.add_argument("--no-fsync", dest="fsync", action="store_false")
    parser.add_argument("--write", action="store_true", help="write docs/why/performance.md")
    options = parser.parse_args(words)
    options.only = options.only or [o for o in OPERATIONS if options.large or not _is_large(o)]
    if not 0 < options.sample <= options.few < options.tenants or options.rounds < 1:
        parser.error("--sample, --few and --tenants must grow, and all numbers be positive")
    if not RIVALS.exists() and {"roll", "onboard"} & set(options.only):
        parser.error("django-tenants is not installed; `make bench` installs it in .venv-bench")
    return options


if __name__ == "__main__":
    sys.exit(main())

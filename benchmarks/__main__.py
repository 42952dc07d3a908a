"""python -m benchmarks: upgrade and onboard fleets by several ways, and print what each took."""

from __future__ import annotations

import argparse
import os
import shutil
import sys

from benchmarks import contenders as ways
from benchmarks.contenders import Contender
from benchmarks.machine import DURABLE, SETTINGS, BenchServer
from benchmarks.page import write_page
from benchmarks.table import rate, ratio, row, steady_rate, text
from tests.fixtures.server import Server

PROMISED = 25.0  # times the sequential loop


def main() -> int:
    options = _options()
    settings = SETTINGS | (DURABLE if options.fsync else {})
    upgrades, onboardings = _contenders(options)
    with Server(18, settings) as server:
        bench_server = BenchServer(server)
        ways.adopt_orphans()
        everyone = upgrades + onboardings
        bench = ways.prepare(bench_server, {contender.fleet for contender in everyone})
        try:
            for number in range(options.rounds):
                _round(bench, everyone, number)
        finally:
            shutil.rmtree(bench.folder)
        version = bench_server.version()
    rows = [row(contender, upgrades[0]) for contender in upgrades]
    rows += [row(contender, onboardings[0]) for contender in onboardings]
    machine = (
        f"PostgreSQL {version}, {len(os.sched_getaffinity(0))} cores shared by server and client,"
        f" fsync {'on' if options.fsync else 'off'}, medians of {options.rounds} rounds"
    )
    remarks = _remarks(upgrades, options)
    print(machine, text(rows), "\n".join(remarks), sep="\n\n")
    if options.write:
        write_page(machine, rows, remarks)
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--tenants", type=int, default=60, help="the smaller fleet")
    parser.add_argument("--fleet", type=int, default=400, help="the larger fleet")
    parser.add_argument("--sample", type=int, default=8, help="tenants of the loops a round")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--parallel", type=int, default=None, help="default: tenantmig's own")
    parser.add_argument("--no-fsync", dest="fsync", action="store_false")
    parser.add_argument("--write", action="store_true", help="write docs/performance.md")
    options = parser.parse_args()
    if options.tenants >= options.fleet or min(options.tenants, options.sample, options.rounds) < 1:
        parser.error("--fleet must be greater than --tenants, and all numbers positive")
    return options


def _contenders(options: argparse.Namespace) -> tuple[list[Contender], list[Contender]]:
    """The ways to upgrade and to onboard; the first of each is what ratios are taken to."""
    small, large, sample = options.tenants, options.fleet, min(options.sample, options.tenants)
    flags = ("--parallel", str(options.parallel)) if options.parallel else ()
    upgrades = [
        Contender("loop of alembic commands", ways.alembic_commands(), sample, small),
        Contender("same, 4 at once", ways.alembic_commands(at_once=4), sample, small),
        Contender(
            "loop, env.py of Alembic's cookbook",
            ways.alembic_commands(config=ways.COOKBOOK),
            sample,
            small,
        ),
        Contender("alembic.command in one process", ways.in_process, small, small),
        Contender(
            "tenantmig upgrade --engine alembic",
            ways.tenantmig_upgrade(*flags, "--engine", "alembic"),
            large,
            large,
        ),
        Contender("tenantmig upgrade", ways.tenantmig_upgrade(*flags), small, small),
        Contender("tenantmig upgrade", ways.tenantmig_upgrade(*flags), large, large),
        Contender("bare SQL, one connection", ways.raw_floor, small, small),
        Contender("bare SQL, one connection", ways.raw_floor, large, large),
    ]
    onboardings = [
        Contender("loop: CREATE SCHEMA, alembic", ways.onboard_by_commands, max(2, sample // 2), 0),
        Contender("tenantmig onboard", ways.tenantmig_onboard, large // 2, 0),
    ]
    return upgrades, onboardings


def _round(bench: ways.Bench, everyone: list[Contender], number: int) -> None:
    """Each contender once, in an order that turns from round to round."""
    shift = number % len(everyone)
    for contender in everyone[shift:] + everyone[:shift]:
        contender.run(bench)
        took = contender.measured.seconds[-1]
        print(
            f"round {number + 1}: {contender.name}: {contender.sample} tenants in {took:.2f} s,"
            f" {contender.sample / took:.1f}/s",
            file=sys.stderr,
        )


def _remarks(upgrades: list[Contender], options: argparse.Namespace) -> list[str]:
    loop = upgrades[0]
    small, large = (c for c in upgrades if c.name == "tenantmig upgrade")
    more = large.sample - small.sample
    parallel = options.parallel or 2 * len(os.sched_getaffinity(0))
    marginal = more / (large.measured.median() - small.measured.median())
    steady = steady_rate(large, parallel)
    told = [
        f"tenantmig upgrade of {c.sample} tenants: {ratio(c, loop):.1f} times the loop, start-up"
        f" included (the aim: {PROMISED:g})."
        for c in (small, large)
    ]
    told.append(
        f"Each further tenant: {marginal:.0f}/s ({marginal / rate(loop):.0f} times the loop), from"
        f" the difference of the two fleets; {steady:.0f}/s from the median duration in the report,"
        f" {parallel} at once."
    )
    told.append(
        f"The loops were run over {loop.sample} tenants a round and put as tenants/s: each command"
        " is a process of its own and takes about as long for the last tenant as for the first."
    )
    return told


if __name__ == "__main__":
    sys.exit(main())

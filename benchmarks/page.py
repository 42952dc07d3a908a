"""docs/why/performance.md and its plot, written from a run."""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks.command import REPOSITORY
from benchmarks.operation import Operation
from benchmarks.plot import svg
from benchmarks.table import markdown, rows

PAGE = REPOSITORY / "docs" / "why" / "performance.md"
PLOT = REPOSITORY / "docs" / "why" / "performance.svg"


def write_page(machine: str, operations: Sequence[Operation]) -> None:
    """Write what was measured."""
    aims = [f"- {aim}" for operation in operations for aim in operation.aims()]
    sections = [_section(operation) for operation in operations]
    judged = ["## Aims\n\n" + "\n".join(aims)] if aims else []
    PAGE.write_text("\n\n".join([HEAD.strip(), machine, *judged, *sections, FOOT]))
    PLOT.write_text(svg([operation for operation in operations if operation.floors]))


def _section(operation: Operation) -> str:
    remarks = "\n".join(f"- {remark}" for remark in operation.remarks())
    parts = [f"## {operation.title}", operation.about, markdown(rows(operation)), remarks]
    return "\n\n".join(part for part in parts if part)


HEAD = """
# Performance

Written by `python -m benchmarks --write` (`make bench` prints the same). The contenders of a table
run side by side on one server, in an order that turns from round to round, each on a fresh copy of
its fleet. What every contender left is verified by SQL of the benchmark's own: the revision, and
that the tenant schema holds what plain `alembic` makes.

![Tenants per second of every contender](performance.svg)
"""

FOOT = """## How to read it

- Whole commands are timed, with their start-up: *seconds* and *tenants/s* are medians over the
  rounds. *Marginal* figures are the difference of two fleet sizes, in which start-up cancels out.
- *of the floor* and *times the loop* are medians of the ratios within each round.
- The *floor* is the SQL of `alembic upgrade --sql` for each tenant and nothing else: no lock, no
  journal, no check. Each tenant's transactions go in one message, by psql, pgbench and threads of
  psycopg, each at the connection count that was best in a calibration beforehand; the fastest of
  them counts. Its files are written before the clock starts.
- The *loop* starts one `alembic -x tenant=NAME upgrade head` after the other. This repository's
  env.py takes a lock, reads the registry and loads tenantmig; that of Alembic's cookbook does not.
- The *pool* runs `alembic.command.upgrade` in long-lived processes that a forkserver with the
  libraries loaded starts.
- *django-tenants* has the same tables (compared by the same SQL), three migrations that do the
  same, and no output (`-v 0`). Onboarding saves tenant after tenant (standard), or makes the
  schemas bare and migrates them by one command (multiprocessing).
- *client CPU* is of all processes the contender started; *server CPU* of the PostgreSQL server, its
  background processes included. Server and clients share the cores.
- A fleet is made fast: one tenant is migrated in earnest, the others are what pg_dump writes of it
  under their own names, with rows in the registry; `tenantmig status` must see it as its own. The
  catalogs are vacuumed then, as autovacuum would have done, which is off, so that it does not fall
  on one contender or another.
- Tables are empty: what a migration does to rows comes on top, for every contender alike.
"""

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

How fast tenantmig is, compared with the loop of `alembic` commands, with process pools, with
django-tenants, and with the bare SQL (the *floor*). The terms are explained at the
[end of the page](#how-to-read-it).

`python -m benchmarks --write` writes this page; `make bench` prints the same. The contenders of a
table run side by side on one server. Their order changes from round to round, and each has a fresh
copy of its fleet. SQL of the benchmark's own checks what every contender left: the revision, and
that the tenant schema holds what plain `alembic` makes.

![Tenants per second of every contender](performance.svg)
"""

FOOT = """## How to read it

| word | means |
| --- | --- |
| *seconds*, *tenants/s* | of the whole command, with its start-up; medians over the rounds |
| *marginal* | the difference of two fleet sizes, in which the start-up cancels out |
| *of the floor*, *times the loop* | medians of the ratios within each round |
| *client CPU* | of all processes that the contender started |
| *server CPU* | of the PostgreSQL server with its background processes |

Server and clients share the cores.

The contenders:

- **The floor** is the SQL of `alembic upgrade --sql` for each tenant and nothing else: no lock, no
  journal, no check. psql, pgbench and threads of psycopg send it, each transaction of a tenant in
  one message. Each uses the number of connections that was best in a calibration before; the
  fastest of them counts. Its files are written before the clock starts.
- **The loop** starts one `alembic -x tenant=NAME upgrade head` after the other. This repository's
  env.py takes a lock, reads the registry and loads tenantmig. That of Alembic's cookbook does not.
- **The pool** runs `alembic.command.upgrade` in long-lived processes. A forkserver that has loaded
  the libraries starts them.
- **django-tenants** has the same tables (compared by the same SQL), three migrations that do the
  same, and no output (`-v 0`). Its onboarding saves one tenant after the other (standard), or
  makes empty schemas and migrates them with one command (multiprocessing).

The fleets:

- One tenant is migrated. The others are what pg_dump writes of it, under their own names and with
  rows in the registry. `tenantmig status` must accept them as its own.
- The catalogs are vacuumed after that, as autovacuum would do. Autovacuum is off, so that it does
  not slow down one contender and not another.
- Tables are empty. What a migration does to rows comes on top, for every contender alike.
"""

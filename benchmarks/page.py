"""docs/performance.md, written from a run."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from benchmarks.table import markdown

PAGE = Path(__file__).parents[1] / "docs" / "performance.md"


def write_page(machine: str, rows: Sequence[Sequence[str]], remarks: Sequence[str]) -> None:
    """Write what was measured."""
    said = "\n".join(f"- {remark}" for remark in remarks)
    PAGE.write_text(f"{HEAD}\n{machine}.\n\n{markdown(rows)}\n\n{said}\n\n{FOOT}")


HEAD = """# Performance

Written by `python -m benchmarks --write` (`make bench` prints the same). All contenders run in one
run, in turns, on one server, each on a fresh copy of a database whose tenants stand at revision
0012 of this repository's history; they bring them to 0015 (a view, a column with a default, a
check constraint). Whole processes are timed, with their start-up. What every contender left is
verified by SQL of the benchmark's own.
"""

FOOT = """How to read it:

- *times the loop* is the tenants/s of the same round divided by those of the loop of commands; the
  loop of its own kind (upgrade or onboard) stands first.
- *client CPU* is of all processes the contender started; *server CPU* of the PostgreSQL server, its
  background processes included. Server and clients share the cores: more cores help a run of
  tenantmig more than a loop, which uses one.
- The loop's `alembic` uses this repository's env.py, which takes a lock, reads the registry and
  loads tenantmig; the cookbook's env.py does none of that. Both are shown.
- "bare SQL" sends the statements of `alembic upgrade --sql` and nothing else: no lock, no journal,
  no check. It is the floor of one connection, not a way to migrate.
- Tables are empty: what a migration does to rows comes on top, for every contender alike.
- autovacuum is off, so that it does not fall on one contender or another.
"""

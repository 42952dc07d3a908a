"""The command line: turns arguments into calls of the fleet, and results into text or JSON."""

from __future__ import annotations

import sys

RUNS_SCRIPTS = frozenset({"upgrade", "downgrade", "rollback", "resume", "onboard"})


def main() -> None:
    """Run the `tenantmig` command. Imports late: worker processes import this module too."""
    from tenantmig.cli.app import app  # noqa: PLC0415
    from tenantmig.cli.exits import run  # noqa: PLC0415

    if RUNS_SCRIPTS & set(sys.argv[1:]) and not {"--help", "--dry-run"} & set(sys.argv):
        from tenantmig.forkserver import fork_early  # noqa: PLC0415

        fork_early()
    sys.exit(run(app, sys.argv[1:]))

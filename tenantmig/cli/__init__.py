"""The command line: turns arguments into calls of the fleet, and results into text or JSON."""

from __future__ import annotations

import sys


def main() -> None:
    """Run the `tenantmig` command. Imports late: worker processes import this module too."""
    from tenantmig.cli.app import app  # noqa: PLC0415
    from tenantmig.cli.exits import run  # noqa: PLC0415

    sys.exit(run(app, sys.argv[1:]))

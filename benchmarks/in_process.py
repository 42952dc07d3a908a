"""A for loop around `alembic.command.upgrade`, in one process: python -m benchmarks.in_process"""

from __future__ import annotations

import argparse
import sys

from alembic import command
from alembic.config import Config


def main(tenants: list[str]) -> None:
    for tenant in tenants:
        options = argparse.Namespace(x=[f"tenant={tenant}"])
        command.upgrade(Config("alembic.ini", cmd_opts=options), "head")


if __name__ == "__main__":
    main(sys.argv[1:])

"""The SQL of the upgrade and nothing else, over one connection: python -m benchmarks.raw_floor

The first argument is a file of `alembic upgrade --sql` for the tenant `NAMELESS`.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import psycopg

NAMELESS = "some_tenant"


def main(script: str, tenants: list[str]) -> None:
    text = Path(script).read_text()
    with psycopg.connect(os.environ["TENANTMIG_DATABASE_URL"], autocommit=True) as connection:
        for tenant in tenants:
            for statement in text.replace(NAMELESS, tenant).split(";\n\n"):
                if statement.strip():
                    connection.execute(statement.encode())


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])

"""Connect for each tenant and read its revision: python -m benchmarks.one_by_one REVISION NAME...

Refuses a tenant that is at another revision.
"""

from __future__ import annotations

import os
import sys

import psycopg
from psycopg import sql


def main(revision: str, tenants: list[str]) -> None:
    for tenant in tenants:
        table = sql.Identifier(tenant, "alembic_version")
        with psycopg.connect(os.environ["TENANTMIG_DATABASE_URL"]) as connection:
            rows = connection.execute(sql.SQL("SELECT version_num FROM {}").format(table))
            if rows.fetchall() != [(revision,)]:
                raise SystemExit(f"{tenant} is not at {revision}")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])

"""python -m benchmarks.backups FOLDER TENANT...: back up one tenant after the other."""

from __future__ import annotations

import os
import sys
from contextlib import closing
from pathlib import Path

from tenantmig.backups.backup import Backups
from tenantmig.backups.found_programs import find_programs
from tenantmig.domain.database_url import DatabaseUrl
from tenantmig.domain.tenant import Tenant
from tenantmig.postgres.connection import SessionOptions, connect


def main() -> int:
    folder, *names = sys.argv[1:]
    options = SessionOptions(DatabaseUrl.parse(os.environ["TENANTMIG_DATABASE_URL"]))
    with closing(connect(options)) as connection:
        programs = find_programs(None, connection.info.server_version)
    backups = Backups(Path(folder), programs, options)
    backups.check()
    slow: list[str] = []
    for name in names:
        backups.write(1, Tenant(name, name), slow.append)
    return 1 if slow else 0  # a figure of the other way is none of this one


if __name__ == "__main__":
    sys.exit(main())

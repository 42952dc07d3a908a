"""Send messages of SQL for each tenant: python -m benchmarks.floor_sender FILE CONNECTIONS NAME...

The file is a JSON list of texts for the tenant `NAMELESS`.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg

NAMELESS = "some_tenant"  # as in history.py, which would take longer to import than this


def main(script: str, connections: int, tenants: list[str]) -> None:
    texts = json.loads(Path(script).read_text())
    turns = iter(tenants)
    with ThreadPoolExecutor(connections) as threads:
        for done in [threads.submit(_send, texts, turns) for _ in range(connections)]:
            done.result()


def _send(texts: list[str], tenants: Iterator[str]) -> None:
    with psycopg.connect(os.environ["TENANTMIG_DATABASE_URL"], autocommit=True) as connection:
        for tenant in tenants:  # a list's iterator gives each thread another one
            for text in texts:
                connection.execute(text.replace(NAMELESS, tenant).encode())


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), sys.argv[3:])

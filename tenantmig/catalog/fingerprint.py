"""Fingerprints: one short text for the catalog of a tenant schema, read for many at once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import psycopg

from tenantmig.catalog.storage_parameters import PARAMETERS
from tenantmig.postgres.sql import query

CHUNK = 200
QUOTED = '"(""|[^"])*"'
NAMING = "|".join(
    [
        "'(''|[^'])*'",
        rf"({QUOTED}|\w+)(?=\s*\.)",
        r"search_path\s*(=|to)\s*[^;]*",
        QUOTED,
    ]
)
"""What is left out of a function's body: wherever a schema's name can stand in it. The tenant's own
name is not looked for: of a tenant called `id`, every column `id` would go too."""


class Outline(NamedTuple):
    """What a tenant schema looks like from afar. `rows` are those of its tables, about."""

    mark: str
    rows: float


def read_fingerprints(connection: psycopg.Connection, schemas: Sequence[str]) -> dict[str, str]:
    """Return the fingerprint of each schema that exists, in one statement.

    Equal for equal tables, columns, indexes, constraints, triggers, policies, enums and functions,
    in any order and with any history; what a view, a default or a check says is not part of it,
    and of a function's body not what can be the schema's name (`NAMING`).
    """
    facts = {"schemas": list(schemas), "naming": NAMING}
    rows = connection.execute(query("catalog/fingerprints"), facts | PARAMETERS)
    return {schema: f"{mark} {count}" for schema, mark, count in rows}


def read_outlines(connection: psycopg.Connection, schemas: Sequence[str]) -> dict[str, Outline]:
    """Return a cheaper fingerprint, of the relations of each schema alone, and its rows."""
    rows = connection.execute(query("catalog/outlines"), {"schemas": list(schemas)})
    return {schema: Outline(f"{mark} {count}", held or 0) for schema, mark, count, held in rows}

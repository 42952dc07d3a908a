"""What the contenders left, read by SQL of the benchmark's own: it knows nothing of tenantmig."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Literal

import psycopg
from psycopg import sql

Keeper = Literal["tenantmig", "django"]  # whose registry a database has

AT_ONCE = 200
VERSION_TABLES: Mapping[Keeper, tuple[str, str]] = {
    "tenantmig": ("alembic_version", "string_agg(version_num, ',')"),
    "django": ("django_migrations", "left(max(name), 4)"),
}
SHAPES = """
WITH relation AS (
    SELECT n.nspname, c.oid, c.relname, c.relkind
      FROM pg_namespace AS n JOIN pg_class AS c ON c.relnamespace = n.oid
     WHERE n.nspname = ANY(%(schemas)s)
       AND c.relname !~ '^(alembic_version|django_migrations)' AND c.relkind <> 't'
), line AS (
    SELECT nspname, concat_ws(' ', relkind, relname, indisunique, indisvalid) AS line
      FROM relation LEFT JOIN pg_index ON indexrelid = relation.oid
    UNION ALL
    SELECT nspname, concat_ws(' ', relname, attname, atttypmod, attnotnull, attidentity, atthasdef,
                              (SELECT typname FROM pg_type AS t WHERE t.oid = atttypid))
      FROM relation JOIN pg_attribute ON attrelid = relation.oid
     WHERE relkind IN ('r', 'v') AND attnum > 0 AND NOT attisdropped
    UNION ALL
    SELECT nspname, concat_ws(' ', relname, conname, contype, convalidated, confdeltype)
      FROM relation JOIN pg_constraint ON conrelid = relation.oid
     WHERE contype <> 'n'
    UNION ALL
    SELECT nspname, concat_ws(' ', relname, tgname)
      FROM relation JOIN pg_trigger ON tgrelid = relation.oid AND NOT tgisinternal
    UNION ALL
    SELECT nspname, concat_ws(' ', proname, pronargs)
      FROM pg_namespace AS n JOIN pg_proc ON pronamespace = n.oid
     WHERE nspname = ANY(%(schemas)s)
)
SELECT nspname, md5(string_agg(line, chr(10) ORDER BY line COLLATE "C")) FROM line GROUP BY nspname
"""


def shapes(url: str, schemas: Sequence[str]) -> dict[str, str]:
    """A digest of what each schema holds, equal for equal objects; version tables do not count."""
    found: dict[str, str] = {}
    with psycopg.connect(url, autocommit=True) as connection:
        for some in _chunks(schemas):
            found |= dict(connection.execute(SHAPES, {"schemas": some}).fetchall())
    return found


def versions(url: str, keeper: Keeper, schemas: Sequence[str]) -> dict[str, str]:
    """The revision in the version table of each schema that has one."""
    table, revision = VERSION_TABLES[keeper]
    one = sql.SQL("SELECT {name}, " + revision + " FROM {table}")
    found: dict[str, str] = {}
    with psycopg.connect(url, autocommit=True) as connection:
        rows = connection.execute(
            "SELECT nspname FROM pg_namespace AS n JOIN pg_class AS c ON relnamespace = n.oid"
            " WHERE relname = %s AND nspname = ANY(%s)",
            [table, list(schemas)],
        ).fetchall()
        for some in _chunks([name for (name,) in rows]):
            parts = [one.format(name=name, table=sql.Identifier(name, table)) for name in some]
            found |= dict(connection.execute(sql.SQL(" UNION ALL ").join(parts)).fetchall())
    return found


def wrong_tenants(
    url: str, keeper: Keeper, expected: Mapping[str, str], references: Mapping[str, str]
) -> list[str]:
    """Return the tenants that are not at the revision expected of them, or do not look like it.

    `references` are the shapes of the revisions, as plain Alembic made them.
    """
    names = list(expected)
    seen, looks = versions(url, keeper, names), shapes(url, names)
    return [
        name
        for name, revision in expected.items()
        if seen.get(name) != revision or looks.get(name) != references[revision]
    ]


def _chunks(names: Sequence[str]) -> Iterator[list[str]]:
    for start in range(0, len(names), AT_ONCE):
        yield list(names[start : start + AT_ONCE])

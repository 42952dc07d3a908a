"""Which schema Alembic writes into SQL when it has no connection."""

from __future__ import annotations

import io

import pytest
import sqlalchemy as sa
from alembic.migration import MigrationContext
from alembic.operations import Operations

import tenantmig.history.translation  # noqa: F401  what is tested

HOME = {"version_table_schema": "acme"}
MAP = {"schema_translate_map": {"tenant": "beta"}}
ODD = 'q"uo.te'


def _written(schema: str | None, **options: object) -> list[str]:
    buffer = io.StringIO()
    given = {"as_sql": True, "output_buffer": buffer, **options}
    context = MigrationContext.configure(dialect_name="postgresql", opts=given)
    op = Operations(context)
    op.add_column("users", sa.Column("size", sa.Integer), schema=schema)
    op.drop_index("ix_users", table_name="users", schema=schema)
    found = buffer.getvalue().replace(";", "").split()
    return [found[2].removesuffix("users"), found[9].removesuffix("ix_users")]


@pytest.mark.parametrize(
    ("schema", "options", "prefix"),
    [
        (None, HOME, "acme."),
        ("tenant", HOME, "acme."),
        ("public", HOME, "public."),
        ("tenant", {"version_table_schema": ODD}, '"q""uo.te".'),
        (None, {}, ""),
        ("tenant", {}, "tenant."),
        (None, HOME | MAP, ""),
        ("tenant", HOME | MAP, "beta."),
        ("tenant", HOME | {"schema_translate_map": {}}, "tenant."),
        (None, HOME | {"schema_translate_map": None}, ""),
    ],
)
def test_the_schema_that_is_written(
    schema: str | None, options: dict[str, object], prefix: str
) -> None:
    assert _written(schema, **options) == [prefix, prefix]

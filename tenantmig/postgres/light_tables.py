"""Tables that a script writes as `sa.table(...)`, put under the `schema_translate_map`."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.sql import visitors


def mark_light_tables(_: sa.Connection, statement: sa.ClauseElement, *__: object) -> None:
    """Put `sa.table(..., schema=...)` under the map as well, which SQLAlchemy keeps for `sa.Table`.

    Without a schema the search path leads to it, which may be to a temporary table. A mark, not
    another schema: a script's tables outlive the tenant.
    """
    if not hasattr(statement, "get_children"):  # a Sequence
        return
    for element in visitors.iterate(statement):
        table = element.table if isinstance(element, sa.ColumnClause) else element
        if not isinstance(table, sa.TableClause) or isinstance(table, sa.Table):
            continue
        if table.schema is not None:
            table._use_schema_map = True  # noqa: SLF001  no public way

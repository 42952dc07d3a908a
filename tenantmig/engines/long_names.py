"""Long names: what models call by more bytes than PostgreSQL keeps (63; `NAMEDATALEN`).

PostgreSQL cuts such a name with a notice, so that the history never has the one of the model. Names
that SQLAlchemy makes by a naming convention it shortens itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import suppress
from typing import Any

import sqlalchemy as sa
from sqlalchemy.sql.elements import _truncated_label  # what a naming convention makes

LONGEST = 63


def cut(name: str) -> str:
    """Cut a name as PostgreSQL does: to 63 bytes of UTF-8, at the end of a character."""
    return name.encode()[:LONGEST].decode(errors="ignore")


def cut_names(tables: Iterable[sa.Table]) -> tuple[tuple[str, str], ...]:
    """Cut the names in models, in place, and return those that were, with what they are now.

    Call it in a process that compares the models and does nothing else with them.
    """
    tables, found = list(tables), {}
    for key in (key for table in tables for key in table.foreign_keys):
        with suppress(sa.exc.SQLAlchemyError):
            _ = key.column  # it finds its table by the name that this still has
    for item in (one for table in tables for one in _named(table)):
        name = item.name
        if isinstance(name, str) and not isinstance(name, _truncated_label) and cut(name) != name:
            found[str(name)] = cut(name)
            shorter = sa.sql.elements.quoted_name(cut(name), getattr(name, "quote", None))
            if isinstance(item, sa.Table):
                _rename(item, shorter)
            else:
                item.name = shorter
    return tuple(found.items())


def _rename(table: sa.Table, name: sa.sql.elements.quoted_name) -> None:
    """Give a table another name, also where its MetaData lists it."""
    listed: Any = table.metadata.tables
    dict.pop(listed, table.key, None)
    table.name = name
    table.fullname = f"{table.schema}.{name}" if table.schema else str(name)
    dict.__setitem__(listed, table.key, table)


def _named(table: sa.Table) -> Iterator[Any]:
    yield table
    yield from table.columns
    yield from table.indexes
    yield from table.constraints

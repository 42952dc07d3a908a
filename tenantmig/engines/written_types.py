"""Written types: how a type of the models, or of a column that goes, stands in a script.

Enums and domains are named and not made. A type of another library comes with its import, and one
that SQLAlchemy does not know is written in PostgreSQL's words.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any, Literal

import sqlalchemy as sa
from alembic.autogenerate.api import AutogenContext
from alembic.autogenerate.render import _repr_type  # no other way to render a subtype
from sqlalchemy.dialects import postgresql
from sqlalchemy.types import TypeDecorator

from tenantmig.engines.named_types import named_type

SPECS = """
    SELECT attname::text, pg_catalog.format_type(atttypid, atttypmod)
      FROM pg_catalog.pg_attribute
     WHERE attnum > 0 AND NOT attisdropped AND attrelid = pg_catalog.to_regclass(
           pg_catalog.concat_ws('.', pg_catalog.quote_ident(pg_catalog.current_schema()),
                                pg_catalog.quote_ident(:table)))
"""


class Unreflected(sa.types.NullType):
    """The type of a reflected column that SQLAlchemy does not know, with PostgreSQL's words for it.

    It is compared as such a type is, with none; a script that makes the column again needs it.
    """

    spec = ""


def name_unreflected(connection: sa.Connection, table: sa.Table) -> None:
    """Keep what PostgreSQL says of the types of a reflected table that SQLAlchemy does not know."""
    unknown = [column for column in table.columns if type(column.type) is sa.types.NullType]
    if not unknown:
        return
    rows = connection.execute(sa.text(SPECS), {"table": table.name}).all()
    specs = {str(name): str(spec) for name, spec in rows}
    for column in unknown:
        if column.name in specs:
            column.type = Unreflected()
            column.type.spec = specs[column.name]


def _render_unreflected(item: Unreflected, context: AutogenContext) -> str:
    word = item.spec.upper()
    if isinstance(getattr(postgresql, word, None), type):
        context.imports.add("from sqlalchemy.dialects import postgresql")
        return f"postgresql.{word}()"
    body = f'{{"get_col_spec": lambda self, **_: {item.spec!r}, "cache_ok": True}}'
    prefix = context.opts["sqlalchemy_module_prefix"]
    return f'type("Unreflected", ({prefix}types.UserDefinedType,), {body})()'


def rendering(
    users: Callable[..., Any] | None, dialect: sa.Dialect
) -> Callable[[str, Any, AutogenContext], Any]:
    """Let scripts name an enum or a domain without making it; `users` is env.py's render_item."""

    def render(kind: str, item: Any, context: AutogenContext) -> Any:
        given = False if users is None else users(kind, item, context)
        if given is not False or kind != "type" or isinstance(item, sa.ARRAY):
            return given
        if isinstance(item, Unreflected):
            return _render_unreflected(item, context)
        named = named_type(item, dialect)
        if named is None or not named.name:
            return _foreign(item, dialect, context)
        context.imports.add("from sqlalchemy.dialects import postgresql")
        schema = f", schema={str(named.schema)!r}" if named.schema is not None else ""
        if isinstance(named, postgresql.ENUM):
            labels = "".join(f"{str(label)!r}, " for label in named.enums)
            name = str(named.name)
            return f"postgresql.ENUM({labels}name={name!r}{schema}, create_type=False)"
        inner = _repr_type(named.data_type, context)
        return f"postgresql.DOMAIN({str(named.name)!r}, {inner}{schema}, create_type=False)"

    return render


def _foreign(item: Any, dialect: sa.Dialect, context: AutogenContext) -> str | Literal[False]:
    """Import the module of a type that is not SQLAlchemy's, which Alembic names and leaves out.

    One that decorates another, and that its own words do not make again, is written as the other.
    """
    module = type(item).__module__
    if module.startswith("sqlalchemy.") or context.opts.get("user_module_prefix"):
        return False
    if isinstance(item, TypeDecorator) and not _is_made_again(item):
        found: Any = item.load_dialect_impl(dialect)
        is_public = not type(found).__name__.startswith("_")
        return _repr_type(found if is_public else item.impl_instance, context)
    if "." in module or module in sys.modules:
        context.imports.add(f"import {module}")
    return False


def _is_made_again(item: Any) -> bool:
    root = type(item).__module__.partition(".")[0]
    words = f"{type(item).__module__}.{item!r}"
    try:
        made = eval(words, {root: sys.modules[root]})  # noqa: S307  what the script would say
    except Exception:  # noqa: BLE001  a type may raise anything
        return False
    return type(made) is type(item)

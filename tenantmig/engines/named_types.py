"""Named types: the enums and domains of models, which exist beside the tables that use them.

Alembic makes a type with the table that is the first to use it, not with a column, and never drops
it. Here a script makes it before its first use and drops it after the last, in both directions,
and changes the labels of an enum. What a plugin of env.py says of enums is left out for that.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from copy import copy
from dataclasses import dataclass
from typing import Any, NamedTuple, cast

import sqlalchemy as sa
from alembic.autogenerate.api import AutogenContext
from alembic.autogenerate.render import renderers
from alembic.operations.ops import (
    DropColumnOp,
    DropTableOp,
    MigrateOperation,
    ModifyTableOps,
    OpContainer,
)
from psycopg import sql
from sqlalchemy.dialects import postgresql
from sqlalchemy.types import TypeDecorator, TypeEngine

PLAIN: Any = cast("Any", postgresql.dialect)()
PARAMETER = re.compile(r"(?<![:\w\\]):(?=\w)")
PLUGIN_OPERATIONS = "alembic_postgresql_enum.operations"
USERS = """
    SELECT c.relname::text, a.attname::text, a.atttypid = t.typarray,
           pg_catalog.pg_get_expr(d.adbin, d.adrelid)
      FROM pg_catalog.pg_type t
      JOIN pg_catalog.pg_attribute a ON a.atttypid IN (t.oid, t.typarray) AND NOT a.attisdropped
      JOIN pg_catalog.pg_class c ON c.oid = a.attrelid AND c.relkind IN ('r', 'p', 'v', 'm', 'f')
      LEFT JOIN pg_catalog.pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum
     WHERE t.typnamespace = pg_catalog.to_regnamespace(pg_catalog.quote_ident(:schema))
       AND t.typname = :name
     ORDER BY 1, 2
"""


class User(NamedTuple):
    """A column that has a named type, or an array of it."""

    table: str
    column: str
    is_array: bool
    default: str | None


@dataclass(frozen=True)
class NamedType:
    """A type as the history makes it, or models want it: its name and the statement."""

    name: str
    statement: str
    labels: tuple[str, ...] | None = None
    """Those of an enum; a domain has none."""

    @property
    def quoted(self) -> str:
        """Its name as SQL has it; the search path leads to the tenant's."""
        return quoted(self.name)

    @property
    def drop_statement(self) -> str:
        """How it is dropped."""
        return f"DROP {'DOMAIN' if self.labels is None else 'TYPE'} {self.quoted}"


class TypeOp(MigrateOperation):
    """Statements that make or drop named types, or change their labels, and those of the way back.

    `op.execute` sends them: the same for every tenant, without a schema.
    """

    def __init__(self, statements: Sequence[str], back: Sequence[str]) -> None:
        self.statements = tuple(statements)
        self.back = tuple(back)

    def reverse(self) -> TypeOp:
        """Lead back."""
        return TypeOp(self.back, self.statements)

    def to_diff_tuple(self) -> tuple[str, ...]:
        """Return what `alembic check` would list."""
        return ("named_type", *self.statements)


@renderers.dispatch_for(TypeOp)
def _render(context: AutogenContext, operation: TypeOp) -> list[str]:
    prefix = context.opts["alembic_module_prefix"]
    # op.execute() makes text() of it, for which `:word` is a parameter
    texts = (PARAMETER.sub(r"\\:", statement) for statement in operation.statements)
    return [f"{prefix}execute({text!r})" for text in texts]


def add_named_types(
    upgrade: OpContainer,
    connection: sa.Connection,
    scratch: str,
    tables: Iterable[sa.Table],
    own: Collection[str | None],
) -> None:
    """Put the types in front of and behind the operations of an upgrade."""
    _leave_out_plugin(upgrade)
    models = _of_models(tables, connection.dialect, own)
    present = _present(connection, scratch)
    made = [t for name, t in models.items() if name not in present]
    changed = [
        (present[name], wanted)
        for name, wanted in models.items()
        if name in present and present[name].labels != wanted.labels
    ]
    lost = _dropped(upgrade)
    gone = []
    for name, one in present.items():
        users = _users(connection, scratch, name) if name not in models else []
        if users and all({user.table, (user.table, user.column)} & lost for user in users):
            gone.append(one)
    upgrade.ops[:] = [
        *(TypeOp([one.statement], [one.drop_statement]) for one in made),
        *(_relabel(old, new, _users(connection, scratch, old.name)) for old, new in changed),
        *upgrade.ops,
        *(TypeOp([one.drop_statement], [one.statement]) for one in gone),
    ]


def _leave_out_plugin(container: OpContainer) -> None:
    for operation in container.ops:
        if isinstance(operation, OpContainer):
            _leave_out_plugin(operation)
    container.ops[:] = [
        operation
        for operation in container.ops
        if not type(operation).__module__.startswith(PLUGIN_OPERATIONS)
    ]


def _of_models(
    tables: Iterable[sa.Table], dialect: sa.Dialect, own: Collection[str | None]
) -> dict[str, NamedType]:
    found: dict[str, NamedType] = {}
    for table in tables:
        for column in table.columns:
            named = named_type(column.type, dialect)
            if named is not None and named.schema in own and named.name:
                found.setdefault(str(named.name), _described(named))
    return found


def named_type(
    given: TypeEngine[Any], dialect: sa.Dialect
) -> postgresql.ENUM | postgresql.DOMAIN | None:
    """Return the enum or domain that a type is to PostgreSQL, or an array's items are."""
    found: Any = given
    while True:
        found = found.dialect_impl(dialect)
        if isinstance(found, TypeDecorator):
            found = found.impl_instance
        elif isinstance(found, sa.ARRAY):
            found = found.item_type
        else:
            break
    return found if isinstance(found, postgresql.ENUM | postgresql.DOMAIN) else None


def _described(named: postgresql.ENUM | postgresql.DOMAIN) -> NamedType:
    bare: Any = copy(named)
    bare.schema = None
    if isinstance(named, postgresql.ENUM):
        labels = tuple(map(str, named.enums))
        return NamedType(str(named.name), _create_enum(str(named.name), labels), labels)
    statement = str(postgresql.CreateDomainType(bare).compile(dialect=PLAIN))
    return NamedType(str(named.name), " ".join(statement.split()))


def _create_enum(name: str, labels: Sequence[str]) -> str:
    listed = ", ".join(map(_literal, labels))
    return f"CREATE TYPE {quoted(name)} AS ENUM ({listed})"


def _present(connection: sa.Connection, scratch: str) -> dict[str, NamedType]:
    inspector: Any = sa.inspect(connection)
    found = {}
    for one in inspector.get_enums(schema=scratch):
        labels = tuple(one["labels"])
        found[one["name"]] = NamedType(one["name"], _create_enum(one["name"], labels), labels)
    for one in inspector.get_domains(schema=scratch):
        found[one["name"]] = NamedType(one["name"], _create_domain(one))
    return found


def _create_domain(one: Mapping[str, Any]) -> str:
    words = [f"CREATE DOMAIN {quoted(one['name'])} AS {one['type']}"]
    words += [f"DEFAULT {one['default']}"] if one["default"] is not None else []
    words += [] if one["nullable"] else ["NOT NULL"]
    checks = (c for c in one["constraints"] if c["check"])
    words += [f"CONSTRAINT {quoted(c['name'])} CHECK ({c['check']})" for c in checks]
    return " ".join(words)


def _users(connection: sa.Connection, scratch: str, name: str) -> list[User]:
    rows = connection.execute(sa.text(USERS), {"schema": scratch, "name": name}).all()
    return [User(*row) for row in rows]


def _dropped(container: OpContainer) -> set[object]:
    """Return the tables that an upgrade drops, and the columns as (table, column)."""
    found: set[object] = set()
    for operation in container.ops:
        if isinstance(operation, DropTableOp):
            found.add(operation.table_name)
        elif isinstance(operation, DropColumnOp):
            found.add((operation.table_name, operation.column_name))
        elif isinstance(operation, ModifyTableOps):
            found |= _dropped(operation)
    return found


def _relabel(old: NamedType, new: NamedType, users: Sequence[User]) -> TypeOp:
    """Change the labels of an enum, or what a domain is."""
    assert old.labels is not None
    assert new.labels is not None
    if [label for label in new.labels if label in old.labels] != list(old.labels):
        return TypeOp(list(_replace(new, users)), list(_replace(old, users)))
    return TypeOp(list(_added(old.labels, new)), list(_replace(old, users)))


def _added(present: Sequence[str], new: NamedType) -> Iterator[str]:
    assert new.labels is not None
    before: str | None = None
    for label in new.labels:
        if label not in present:
            first = f" BEFORE {_literal(present[0])}" if present else ""
            place = f" AFTER {_literal(before)}" if before is not None else first
            yield f"ALTER TYPE {new.quoted} ADD VALUE {_literal(label)}{place}"
        before = label


def _replace(wanted: NamedType, users: Sequence[User]) -> Iterator[str]:
    """PostgreSQL neither removes a label nor moves one: make the type anew, and move the columns.

    A row that holds a label which is no more makes it fail.
    """
    former = quoted(f"{wanted.name[:55]}__former")
    yield f"ALTER TYPE {wanted.quoted} RENAME TO {former}"
    yield wanted.statement
    for user in users:
        dims = "[]" if user.is_array else ""
        table, column = f"ALTER TABLE {quoted(user.table)}", f"ALTER COLUMN {quoted(user.column)}"
        if user.default is not None:
            yield f"{table} {column} DROP DEFAULT"
        cast = f"{quoted(user.column)}::text{dims}::{wanted.quoted}{dims}"
        yield f"{table} {column} TYPE {wanted.quoted}{dims} USING {cast}"
        if user.default is not None:
            yield f"{table} {column} SET DEFAULT {user.default}"
    yield f"DROP TYPE {former}"


def quoted(name: str) -> str:
    """Quote a name, if it needs that."""
    return str(PLAIN.identifier_preparer.quote(name))


def _literal(text: str) -> str:
    return sql.Literal(text).as_string().strip()

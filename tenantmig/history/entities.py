"""Entities: the views, functions, triggers and policies that alembic-utils keeps, for each tenant.

An entity whose schema is written "tenant" is each tenant's own. alembic-utils is never imported:
it need not be installed, and is there when a script or env.py has imported it. Knows no session.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from copy import copy
from functools import cache
from itertools import pairwise
from typing import Any

import sqlalchemy as sa
from alembic.autogenerate.api import AutogenContext
from alembic.operations import AbstractOperations, MigrateOperation
from alembic.operations.ops import UpgradeOps
from psycopg import sql

from tenantmig.domain.tenant import PLACEHOLDER
from tenantmig.history.comparators import compare_first, compare_last
from tenantmig.postgres.parsing import tokens

MARK = "tenantmig_tenant_schema"  # needs no quotes, so alembic-utils' SQL holds it as it is
BODY = "do $$"  # how alembic-utils begins the replacement of a view


class PlacedEntity:
    """An entity of the placeholder, whose SQL names a tenant schema.

    alembic-utils quotes a schema in one statement and not in the next; so it writes a plain mark,
    and the quoted name is put there. Inside a quoted body no name is put: the search path knows.
    """

    def __init__(self, entity: Any, schema: str) -> None:
        self._entity = moved(entity, MARK)
        self._name = sql.Identifier(schema).as_string().replace(":", r"\:")

    def to_sql_statement_create(self) -> sa.TextClause:
        """The statement that creates it."""
        return self._named(self._entity.to_sql_statement_create())

    def to_sql_statement_drop(self, cascade: bool = False) -> sa.TextClause:
        """The statement that drops it."""
        return self._named(self._entity.to_sql_statement_drop(cascade=cascade))

    def to_sql_statement_create_or_replace(self) -> Iterator[sa.TextClause]:
        """The statements that put it in the place of another."""
        for statement in self._entity.to_sql_statement_create_or_replace():
            yield self._named(statement)

    def _named(self, statement: sa.TextClause) -> sa.TextClause:
        if statement.text.lstrip().startswith(BODY):
            return sa.text(statement.text.replace(f'"{MARK}".', ""))
        return sa.text(statement.text.replace(f'"{MARK}"', self._name).replace(MARK, self._name))


def entity_of(operation: MigrateOperation) -> Any:
    """Return what an operation of alembic-utils creates, drops or replaces; None for any other."""
    target = getattr(operation, "target", None)
    is_entity = hasattr(target, "schema") and hasattr(target, "to_sql_statement_create_or_replace")
    return target if is_entity else None


def moved(entity: Any, schema: str) -> Any:
    """Return the same entity for another schema; a trigger and a policy go with their table.

    What its definition says is the user's own SQL and stays, as in `op.execute`.
    """
    other = copy(entity)
    other.schema = schema
    if hasattr(entity, "on_entity"):
        other.on_entity = f"{schema}.{entity.on_entity.partition('.')[2]}"
    return other


def placed(operation: MigrateOperation, schema: str | None) -> MigrateOperation:
    """Return the operation for the tenant schema if it is one on an entity of the placeholder."""
    entity = entity_of(operation)
    if schema is None or entity is None or entity.schema != PLACEHOLDER:
        return operation
    other = copy(operation)
    other.target = PlacedEntity(entity, schema)  # type: ignore[attr-defined]
    return other


@cache
def attach() -> None:
    """Let the operations and the comparison of this process know the placeholder."""
    invoke_plain = AbstractOperations.invoke

    def invoke(self: AbstractOperations, operation: MigrateOperation) -> Any:
        schema = self.migration_context.version_table_schema
        return invoke_plain(self, placed(operation, schema))

    AbstractOperations.invoke = invoke  # type: ignore[method-assign]
    compare_first("schema", _begin)
    compare_last("schema", _end)


# -- autogenerate ---------------------------------------------------------------------------------


class TenantEntities:
    """The registry of alembic-utils as one tenant is compared with it.

    Entities of other schemas are no tenant's and left out. Everything else is the registry's own.
    """

    def __init__(self, plain: Any, schema: str) -> None:
        self.plain = plain
        self._schema = schema

    def entities(self) -> list[Any]:
        """The placeholder's entities, in the tenant schema."""
        found = self.plain.entities()
        return [moved(one, self._schema) for one in found if one.schema == PLACEHOLDER]

    @property
    def schemas(self) -> set[str]:
        """The schemas in which entities that nobody registered are looked for."""
        return {self._schema} if PLACEHOLDER in self.plain.schemas else set()

    def __getattr__(self, name: str) -> Any:
        return getattr(self.plain, name)


def _begin(context: AutogenContext, _: UpgradeOps, __: object) -> None:
    """Let alembic-utils compare with the tenant's own schema."""
    utils = _utils()
    schema = _schema(context)
    if utils is not None and schema is not None:
        utils.registry = TenantEntities(_plain(utils.registry), schema)


def _end(context: AutogenContext, operations: UpgradeOps, _: object) -> None:
    """Write the placeholder where alembic-utils found the tenant's schema, and drop no other's.

    It asks for schemas by LIKE, to which the tenant a_b is also the tenant axb.
    """
    utils = _utils()
    schema = _schema(context)
    if utils is None or schema is None:
        return
    utils.registry = _plain(utils.registry)
    kept = []
    for operation in operations.ops:
        entity = entity_of(operation)
        if entity is None:
            kept.append(operation)
        elif entity.schema == schema:
            operation.target = _generalised(entity)  # type: ignore[attr-defined]
            kept.append(operation)
    operations.ops = kept


def _utils() -> Any:
    """The module of alembic-utils that compares, if anything has imported it."""
    return sys.modules.get("alembic_utils.replaceable_entity")


def _plain(registry: Any) -> Any:
    return registry.plain if isinstance(registry, TenantEntities) else registry


def _schema(context: AutogenContext) -> str | None:
    return None if context.connection is None else context.connection.info.get("tenantmig_schema")


def _generalised(entity: Any) -> Any:
    """Return what was found in a tenant's schema as the placeholder's."""
    other = moved(entity, PLACEHOLDER)
    if "definition" in vars(entity):
        other.definition = _unqualified(
            _unconfigured(entity.definition, entity.schema), entity.schema
        )
    replaced = getattr(entity, "_version_to_replace", None)
    if replaced is not None:
        other._version_to_replace = _generalised(replaced)  # noqa: SLF001  what a revert renders
    return other


def _unqualified(definition: str, schema: str) -> str:
    """Leave a schema out where it stands before a name, as in the ON of a trigger."""
    raw, kept, end = definition.encode(), b"", 0
    for token, dot in pairwise(tokens(definition)):
        word = raw[token.start : token.end].decode()
        is_schema = word in {schema, sql.Identifier(schema).as_string()}
        if token.start >= end and is_schema and raw[dot.start : dot.end] == b".":
            kept, end = kept + raw[end : token.start], dot.end
    return (kept + raw[end:]).decode()


def _unconfigured(definition: str, schema: str) -> str:
    """Let a function take the search path that it is made under, not one that a tenant has."""
    head, body, rest = definition.partition("\nAS ")
    lines = [
        " SET search_path FROM CURRENT"
        if line.startswith(f" SET search_path TO '{schema}'")
        else line
        for line in head.split("\n")
    ]
    return "\n".join(lines) + body + rest

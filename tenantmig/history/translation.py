"""Translation: what Alembic itself writes lands in the tenant schema too, online and in `--sql`.

`schema_translate_map` is SQLAlchemy's, and holds for its own constructs on a connection. Alembic's
ALTER constructs print the schema they were given (sqlalchemy/alembic issue 555), and offline there
is no connection to have a map. So importing this module gives Alembic its implementation for
PostgreSQL, which obeys the map in both cases and is the plain one where there is none. It knows no
tenant, only names of schemas.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from copy import copy
from typing import Any, Literal

import sqlalchemy as sa
from alembic.ddl.base import AlterTable
from alembic.ddl.postgresql import PostgresqlImpl
from alembic.operations import BatchOperations, Operations
from sqlalchemy.sql.elements import quoted_name

from tenantmig.postgres.connection import VERSION_LENGTH, version_length
from tenantmig.postgres.qualified import qualify
from tenantmig.postgres.session import translate_map

SchemaMap = Mapping[str | None, str | None]
OPTION = "schema_translate_map"
LENGTH = "tenantmig_version_length"


class TenantImpl(PostgresqlImpl):
    """Alembic's PostgreSQL, under the `schema_translate_map` of the connection.

    Offline the map is the option of that name of `context.configure()`, else that of the tenant
    whose schema has the version table.
    """

    __dialect__ = "postgresql"

    def __init__(
        self, dialect: sa.Dialect, connection: sa.Connection | None, as_sql: bool, *args: Any
    ) -> None:
        super().__init__(dialect, connection, as_sql, *args)
        self.schemas = self._map()
        # an online dialect is the engine's: what it compiles is kept and sent for other tenants
        self.naming = dialect if as_sql else _copied(dialect)
        if self.schemas:
            _translate(self.naming, self.schemas)

    def version_table_impl(self, **facts: Any) -> sa.Table:
        """Make Alembic's version table, its column as wide as the setting `version_length` says."""
        table = super().version_table_impl(**facts)
        length = self.context_opts.get(LENGTH)
        if isinstance(self.connection, sa.Connection):  # offline it is a mock of Alembic's
            length = version_length(self.connection.connection.driver_connection)
        table.c.version_num.type = sa.String(length or VERSION_LENGTH)
        return table

    def _map(self) -> SchemaMap:
        if not self.as_sql:
            options = self.connection.get_execution_options() if self.connection else {}
            return dict(options.get(OPTION) or {})
        home = self.context_opts.get("version_table_schema")
        found = self.context_opts.get(OPTION, translate_map(home) if home else {})
        return dict(found or {})

    def _exec(self, construct: Any, *args: Any, **options: Any) -> Any:
        if not (self.schemas and isinstance(construct, AlterTable)):
            return super()._exec(qualify(construct), *args, **options)
        moved = copy(construct)
        schema = self.schemas.get(moved.schema, moved.schema)
        moved.schema = None if schema is None else quoted_name(schema, None)  # keeps its dots
        if self.as_sql:
            return super()._exec(moved)
        assert self.connection is not None
        return self.connection.exec_driver_sql(str(moved.compile(dialect=self.naming)))


_batch_alter_table = Operations.batch_alter_table


@Operations.register_operation("batch_alter_table")
class TenantBatch:
    """A batch on a table under the map goes without a schema, which means the tenant's as well.

    Alembic points all foreign keys of a table that it copies at the schema it was given, those to
    shared tables too.
    """

    @classmethod
    def batch_alter_table(
        cls,
        operations: Operations,
        table_name: str,
        schema: str | None = None,
        recreate: Literal["auto", "always", "never"] = "auto",
        partial_reordering: list[tuple[str, ...]] | None = None,
        copy_from: sa.Table | None = None,
        **options: Any,
    ) -> AbstractContextManager[BatchOperations]:
        """See Alembic's own."""
        schemas: SchemaMap = getattr(operations.impl, "schemas", {})
        own = {name for name, meant in schemas.items() if meant == schemas.get(None)}
        if copy_from is not None and copy_from.schema in own:
            copy_from = copy_from.to_metadata(sa.MetaData(), schema=None)  # type: ignore[arg-type]
        schema = None if schema in own else schema
        return _batch_alter_table(
            operations, table_name, schema, recreate, partial_reordering, copy_from, **options
        )


def _copied(dialect: sa.Dialect) -> sa.Dialect:
    copied: Any = copy(dialect)
    copied.type_compiler_instance = copied.type_compiler = copied.type_compiler_cls(copied)
    return copied  # type: ignore[no-any-return]


def _translate(dialect: sa.Dialect, schemas: SchemaMap) -> None:
    """Let all that a dialect compiles name the schemas that a map gives."""
    plain = dialect.identifier_preparer
    preparer: Any = copy(plain)

    def schema_for_object(thing: Any) -> str | None:
        is_alias = isinstance(thing, sa.FromClause) and not isinstance(thing, sa.TableClause)
        schema: str | None = thing.schema
        return schema if is_alias else schemas.get(schema, schema)

    preparer.schema_for_object = schema_for_object
    preparer.quote_schema = lambda name: plain.quote_schema(schemas.get(name) or name)
    dialect.identifier_preparer = preparer


def derive(impl: object) -> str:
    """Say what env.py must do about an implementation that has taken the place of ours."""
    return f"derive {type(impl).__name__} from tenantmig.env.TenantImpl, which it replaces"

"""Model schemas: where models say that their tables are, while Alembic compares them in a scratch.

In the scratch schema every table is unqualified. Models may say nothing, or a placeholder; tables
of other schemas are not of this lineage, but foreign keys point at them.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any

import sqlalchemy as sa
from alembic.autogenerate.api import AutogenContext
from alembic.operations.ops import MigrateOperation, OpContainer
from alembic.runtime.migration import MigrationContext
from sqlalchemy.types import SchemaType, TypeEngine

from tenantmig.domain.tenant import PLACEHOLDER
from tenantmig.engines.written_types import name_unreflected, rendering
from tenantmig.history.comparators import compare_first

PLUGIN = "tenantmig.models"
OPTION = "tenantmig_models"  # where the comparators find the ModelSchemas


class ModelSchemas:
    """Where the tables of one lineage stand in the models.

    `own` are the schemas in which its models are, among them the `placeholder`; `found` the tables
    of the scratch schema; `path` the schemas that follow it on the search path, whose tables
    PostgreSQL names without their schema.
    """

    def __init__(
        self,
        tables: Collection[sa.Table],
        found: Collection[str],
        path: Collection[str] = (),
        own: Collection[str | None] = (None, PLACEHOLDER),
        placeholder: str = PLACEHOLDER,
    ) -> None:
        self.placeholder = placeholder
        self.is_scratch = None in own  # the shared schema is no scratch, whatever its name
        self._found = frozenset(found)
        self._own = frozenset(own)
        self._path = frozenset(path)
        self._models = {t.name: t.schema for t in tables if t.schema in self._own}
        self._beside = {t.name: t for t in tables if t.schema in self._path}
        placed = set(self._models.values())
        self.is_placed = placeholder in placed
        self._default = placeholder if placed == {placeholder} else None

    def of_model(self, table: str) -> str | None:
        """Return the schema of a table in the models; of one that is gone, that of the others."""
        return self._models.get(table, self._default)

    def of_reflected(self, table: str) -> str | None:
        """Return what models call the schema of a table that PostgreSQL left unqualified."""
        if table in self._found:
            return self.of_model(table)
        return self._beside[table].schema if table in self._beside else None

    @property
    def own(self) -> frozenset[str | None]:
        """The schemas in which models of this lineage are."""
        return self._own

    def is_own(self, table: sa.Table) -> bool:
        """True when a table of the models is one of this lineage."""
        return table.schema in self._own

    def holds(self, table: str) -> bool:
        """True when a table is in the scratch schema, and not merely on the search path."""
        return table in self._found

    def adopt_tables(self, reflected: sa.MetaData) -> None:
        """Let reflected tables, and those their foreign keys may mean, say where models are."""
        for name, model in self._beside.items():
            if name not in reflected.tables:  # else Alembic makes one without a schema
                sa.Table(name, reflected, *(sa.Column(c.name, c.type) for c in model.columns))
        for table in reflected.tables.values():
            if table.schema is None:
                table.schema = self.of_reflected(table.name)

    def adopt_type(self, reflected: TypeEngine[Any], model: TypeEngine[Any]) -> None:
        """Let an enum that PostgreSQL left unqualified say its schema as the model does."""
        here, there = getattr(reflected, "item_type", reflected), getattr(model, "item_type", model)
        # a Boolean is a SchemaType as well, and in some versions of SQLAlchemy has no schema
        if isinstance(here, SchemaType) and getattr(here, "schema", "") is None:
            schema = getattr(there, "schema", None)
            if schema == self.placeholder or schema in self._path:
                here.schema = schema

    def place(self, container: OpContainer) -> None:
        """Let each operation name the schema that the models name."""
        for operation in container.ops:
            self._place(operation)
            if isinstance(operation, OpContainer):
                self.place(operation)

    def _place(self, operation: MigrateOperation) -> None:
        table = getattr(operation, "table_name", None)
        if table is not None and getattr(operation, "schema", "") is None:
            operation.schema = self.of_model(table)  # type: ignore[attr-defined]


def compare_only(context: MigrationContext, schemas: ModelSchemas) -> None:
    """Let Alembic's comparison see this lineage's tables and the scratch schema, and no others.

    What env.py configured (include_name, include_object, plugins) holds within that.
    """
    options = context.opts
    options[OPTION] = schemas
    options["include_schemas"] = False
    plugins = options.get("autogenerate_plugins") or ["alembic.autogenerate.*"]
    options["autogenerate_plugins"] = [*plugins, PLUGIN]
    options["include_name"] = _names(schemas, context.version_table, options.get("include_name"))
    options["include_object"] = _objects(schemas, options.get("include_object"))
    assert context.connection is not None
    options["render_item"] = rendering(options.get("render_item"), context.connection.dialect)
    # reflection would spell the scratch schema out, and so would the script
    context.connection.execution_options(schema_translate_map=None)
    if schemas.is_placed:  # the schema in which Alembic takes a model for one without
        context.connection.dialect.default_schema_name = schemas.placeholder


def _names(
    schemas: ModelSchemas, version_table: str, users: Callable[..., bool] | None
) -> Callable[..., bool]:
    def include(name: str | None, kind: str, parents: Mapping[str, Any]) -> bool:
        if kind == "table" and (name == version_table or not schemas.holds(str(name))):
            return False
        return users is None or users(name, kind, parents)

    return include


def _objects(schemas: ModelSchemas, users: Callable[..., bool] | None) -> Callable[..., bool]:
    def include(item: Any, name: str, kind: str, is_reflected: bool, other: Any) -> bool:
        if kind == "table" and not is_reflected and not schemas.is_own(item):
            return False
        return users is None or users(item, name, kind, is_reflected, other)

    return include


def _adopt_tables(
    context: AutogenContext,
    _operations: object,
    _schema: object,
    _name: object,
    reflected: sa.Table | None,
    _model: object,
) -> None:
    """Before constraints are compared: reflected tables say their schema as the models do."""
    schemas: ModelSchemas | None = context.opts.get(OPTION)
    if schemas is not None and reflected is not None:
        assert context.connection is not None
        name_unreflected(context.connection, reflected)
        schemas.adopt_tables(reflected.metadata)


def _adopt_type(
    context: AutogenContext,
    _operation: object,
    _schema: object,
    _table: object,
    _name: object,
    reflected: sa.Column[Any],
    model: sa.Column[Any],
) -> None:
    schemas: ModelSchemas | None = context.opts.get(OPTION)
    if schemas is not None:
        schemas.adopt_type(reflected.type, model.type)


compare_first("table", _adopt_tables, PLUGIN)
compare_first("column", _adopt_type, PLUGIN)

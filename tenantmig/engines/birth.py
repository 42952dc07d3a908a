"""Birth by the application's own function (the setting `birth`), in place of the history.

For histories that begin with tables which `create_all` made. What such a tenant is equal to is
nothing but what the same function makes; it is stamped at head in the same transaction.
"""

from __future__ import annotations

from typing import Final

import sqlalchemy as sa

from tenantmig.domain.named_function import find_function
from tenantmig.errors import EnvironmentFileError
from tenantmig.postgres.session import TenantSession, translate_map

MADE: Final = sa.text(
    "SELECT FROM pg_catalog.pg_class AS made"
    " JOIN pg_catalog.pg_namespace AS place ON place.oid OPERATOR(pg_catalog.=) made.relnamespace"
    " WHERE place.nspname OPERATOR(pg_catalog.=) CAST(:schema AS pg_catalog.text) LIMIT 1"
)
"""A row if there is a relation in the schema."""


def make_schema(session: TenantSession, where: str, schema: str) -> None:
    """Call `module:function` with the SQLAlchemy connection, in the caller's transaction.

    Names without a schema, and those in the schema "tenant", mean the tenant's.

    Raises:
        EnvironmentFileError: there is no such function, it ended the transaction, or it made
            nothing there (as `create_all` does over an engine of its own).
    """
    make = find_function("birth", where, EnvironmentFileError)
    connection = session.sqlalchemy
    connection.execution_options(schema_translate_map=translate_map(schema))
    try:
        transaction = connection.get_transaction()
        make(connection)
        if transaction is None or connection.get_transaction() is not transaction:
            raise EnvironmentFileError(
                f"`birth` {where} ended its transaction; it must not commit."
            )
        if connection.execute(MADE, {"schema": schema}).rowcount != 1:
            raise EnvironmentFileError(
                f'`birth` {where} created nothing in the schema "{schema}"; it must use the '
                "connection that tenantmig passes to it."
            )
    finally:
        connection.execution_options(schema_translate_map={})

"""Birth by the application's own function (the setting `birth`), in place of the history.

For histories that begin with tables which `create_all` made. What such a tenant is equal to is
nothing but what the same function makes; it is stamped at head in the same transaction.
"""

from __future__ import annotations

import importlib

from tenantmig.errors import EnvironmentFileError
from tenantmig.session import TenantSession, translate_map


def make_schema(session: TenantSession, where: str, schema: str) -> None:
    """Call `module:function` with the SQLAlchemy connection, in the caller's transaction.

    Names without a schema, and those in the schema "tenant", mean the tenant's.

    Raises:
        EnvironmentFileError: there is no such function, or it ended the transaction.
    """
    module, _, function = where.partition(":")
    try:
        make = getattr(importlib.import_module(module), function)
    except Exception as error:
        raise EnvironmentFileError(
            f"`birth` is {where!r} and cannot be imported ({type(error).__name__}: {error});"
            " write module:function."
        ) from error
    connection = session.sqlalchemy
    connection.execution_options(schema_translate_map=translate_map(schema))
    try:
        transaction = connection.get_transaction()
        make(connection)
        if transaction is None or connection.get_transaction() is not transaction:
            raise EnvironmentFileError(
                f"`birth` {where} ended its transaction; it must not commit."
            )
    finally:
        connection.execution_options(schema_translate_map={})

"""The env.py of Alembic's cookbook ("Rudimentary Schema-Level Multi Tenancy for PostgreSQL
Databases"), for comparison: no lock, no timeout, no ledger, no check of anything.

Its version table lies in the tenant schema because that is first on the search path.
"""  # noqa: INP001  Alembic loads it by path

import os

from alembic import context
from sqlalchemy import create_engine, pool, text

tenant = context.get_x_argument(as_dictionary=True)["tenant"]
url = os.environ["TENANTMIG_DATABASE_URL"].replace("postgresql:", "postgresql+psycopg:")

with create_engine(url, poolclass=pool.NullPool).connect() as connection:
    connection.execute(text(f'set search_path to "{tenant}"'))
    connection.commit()
    connection.dialect.default_schema_name = tenant
    context.configure(connection=connection, transaction_per_migration=True)
    with context.begin_transaction():
        context.run_migrations()

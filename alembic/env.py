"""Alembic's environment, for one tenant schema at a time: `alembic -x tenant=NAME upgrade head`."""

from alembic import context

from examples.saas.models import Base
from tenantmig.env import TenantEnv, assert_in_tenant

target_metadata = Base.metadata

tenant = TenantEnv(
    context.config,
    context.get_x_argument(as_dictionary=True),
    is_offline=context.is_offline_mode(),
)


def run_migrations_online() -> None:
    """Run on a connection whose search_path and schema_translate_map are the tenant's."""
    with tenant.session() as connection:
        context.configure(
            connection=connection,
            target_metadata=target_metadata,
            version_table_schema=tenant.schema,
            include_schemas=False,
            include_name=tenant.include_name,
            transaction_per_migration=True,
            on_version_apply=assert_in_tenant,
        )
        with context.begin_transaction():
            context.run_migrations()


def run_migrations_offline() -> None:
    """Write the SQL for the tenant: `alembic -x tenant=NAME upgrade head --sql`."""
    context.configure(
        dialect_name="postgresql",
        dialect_opts={"paramstyle": "named"},  # else each % of a script is written twice
        target_metadata=target_metadata,
        literal_binds=True,
        version_table_schema=tenant.schema,
        transaction_per_migration=True,
    )
    with context.begin_transaction():
        context.execute(tenant.search_path_sql)
        context.run_migrations()


if context.is_offline_mode():
    run_migrations_offline()
else:
    run_migrations_online()

"""guard the rows, and keep a count of them for a while"""

from alembic import op
from alembic_utils.pg_materialized_view import PGMaterializedView
from alembic_utils.pg_policy import PGPolicy

revision = "e3"
down_revision = "e2"

own_rows = PGPolicy(
    schema="tenant",
    signature="own_rows",
    on_entity="users",
    definition="as PERMISSIVE for SELECT to public using (name = CURRENT_USER)",
)
counted = PGMaterializedView(
    schema="tenant", signature="counted", definition="select count(*) as n from active_users"
)


def upgrade():
    op.create_entity(own_rows)
    op.create_entity(counted)


def downgrade():
    op.drop_entity(counted)
    op.drop_entity(own_rows)

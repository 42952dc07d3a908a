"""count no longer"""

from alembic import op
from alembic_utils.pg_materialized_view import PGMaterializedView

revision = "e4"
down_revision = "e3"

counted = PGMaterializedView(
    schema="tenant", signature="counted", definition="select count(*) as n from active_users"
)


def upgrade():
    op.drop_entity(counted)


def downgrade():
    op.create_entity(counted)

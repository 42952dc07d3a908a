"""Make tasks.estimate a number of hours: the planning page adds estimates up."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # tenantmig: allow changing-column-type a tenant has thousands of tasks, not millions
    op.alter_column(
        "tasks",
        "estimate",
        existing_type=sa.String(20),
        type_=sa.Numeric(6, 2),
        postgresql_using="NULLIF(btrim(estimate), '')::numeric(6, 2)",
    )


def downgrade() -> None:
    # tenantmig: allow changing-column-type as above
    op.alter_column(
        "tasks",
        "estimate",
        existing_type=sa.Numeric(6, 2),
        type_=sa.String(20),
        postgresql_using="estimate::text",
    )

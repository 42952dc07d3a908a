"""Add users.time_zone: reminders went out at midnight for half of the users."""

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column(
        "users", sa.Column("time_zone", sa.String(63), server_default="UTC", nullable=False)
    )


def downgrade() -> None:
    op.drop_column("users", "time_zone")

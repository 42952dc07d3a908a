"""Rename users.full_name to display_name: people choose how they are shown, nicknames included."""

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # tenantmig: allow renaming-column the application reads both names until it is through
    op.alter_column("users", "full_name", new_column_name="display_name")


def downgrade() -> None:
    op.alter_column("users", "display_name", new_column_name="full_name")

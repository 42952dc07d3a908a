"""Create a3."""

from alembic import op

revision = "a3"
down_revision = "a2"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("CREATE TABLE a3 (id int PRIMARY KEY)")


def downgrade() -> None:
    op.execute("DROP TABLE a3")

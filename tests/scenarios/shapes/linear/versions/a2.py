"""Create a2."""

from alembic import op

revision = "a2"
down_revision = "a1"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("CREATE TABLE a2 (id int PRIMARY KEY)")


def downgrade() -> None:
    op.execute("DROP TABLE a2")

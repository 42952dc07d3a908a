"""Create a1."""

from alembic import op

revision = "a1"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("CREATE TABLE a1 (id int PRIMARY KEY)")


def downgrade() -> None:
    op.execute("DROP TABLE a1")

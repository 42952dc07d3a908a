"""Create d2."""

from alembic import op

revision = "d2"
down_revision = "d1"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("CREATE TABLE d2 (id int PRIMARY KEY)")


def downgrade() -> None:
    op.execute("DROP TABLE d2")

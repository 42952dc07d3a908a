"""Create b1."""

from alembic import op

revision = "b1"
down_revision = None
branch_labels = None
depends_on = "a1"


def upgrade() -> None:
    op.execute("CREATE TABLE b1 (id int PRIMARY KEY)")


def downgrade() -> None:
    op.execute("DROP TABLE b1")

"""Create b1."""

from alembic import op

revision = "b1"
down_revision = "a1"
branch_labels = ("billing",)
depends_on = None


def upgrade() -> None:
    op.execute("CREATE TABLE b1 (id int PRIMARY KEY)")


def downgrade() -> None:
    op.execute("DROP TABLE b1")

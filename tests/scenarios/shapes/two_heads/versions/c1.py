"""Create c1."""

from alembic import op

revision = "c1"
down_revision = "a1"
branch_labels = ("crm",)
depends_on = None


def upgrade() -> None:
    op.execute("CREATE TABLE c1 (id int PRIMARY KEY)")


def downgrade() -> None:
    op.execute("DROP TABLE c1")

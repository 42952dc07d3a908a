"""Create users."""

from alembic import op

revision = "aa01"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("CREATE TABLE users (id bigint PRIMARY KEY)")


def downgrade() -> None:
    op.execute("DROP TABLE users")

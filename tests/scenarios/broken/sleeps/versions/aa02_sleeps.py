"""Takes a minute."""

from alembic import op

revision = "aa02"
down_revision = "aa01"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("CREATE TABLE tasks (id bigint PRIMARY KEY)")
    op.execute("SELECT pg_sleep(60)")


def downgrade() -> None:
    op.execute("DROP TABLE tasks")

"""The other branch."""

from alembic import op

revision = "aa02b"
down_revision = "aa01"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("CREATE TABLE of_bob (id bigint PRIMARY KEY)")


def downgrade() -> None:
    op.execute("DROP TABLE of_bob")

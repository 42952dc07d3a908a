"""Two people took the next number."""

from alembic import op

revision = "aa02"
down_revision = "aa01"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("CREATE TABLE of_ada (id bigint PRIMARY KEY)")


def downgrade() -> None:
    pass

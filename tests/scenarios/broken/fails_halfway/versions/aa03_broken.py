"""Fails after its first statement."""

from alembic import op

revision = "aa03"
down_revision = "aa02"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("CREATE TABLE invoices (id bigint PRIMARY KEY)")
    op.execute("ALTER TABLE no_such_table ADD total bigint")


def downgrade() -> None:
    op.execute("DROP TABLE invoices")

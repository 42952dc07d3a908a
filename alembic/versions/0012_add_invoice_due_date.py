"""Add invoices.due_on: overdue invoices are chased, and 30 days always was the practice."""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("invoices", sa.Column("due_on", sa.Date()))
    op.execute("UPDATE invoices SET due_on = issued_on + 30")
    # tenantmig: allow adding-not-nullable-field a tenant has thousands of invoices, not millions
    op.alter_column(
        "invoices", "due_on", nullable=False, server_default=sa.text("CURRENT_DATE + 30")
    )


def downgrade() -> None:
    op.drop_column("invoices", "due_on")

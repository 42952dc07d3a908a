"""Forbid negative invoice totals: credits entered as invoices spoilt the revenue report."""

from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # tenantmig: allow constraint-missing-not-valid a tenant has few invoices to scan
    op.create_check_constraint(
        op.f("ck_invoices_total_not_negative"), "invoices", "total_cents >= 0"
    )


def downgrade() -> None:
    op.drop_constraint(op.f("ck_invoices_total_not_negative"), "invoices", type_="check")

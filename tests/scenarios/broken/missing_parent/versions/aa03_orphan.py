"""Its parent was never committed."""

revision = "aa03"
down_revision = "aa02_lost"
branch_labels = None
depends_on = None


def upgrade() -> None:
    pass


def downgrade() -> None:
    pass

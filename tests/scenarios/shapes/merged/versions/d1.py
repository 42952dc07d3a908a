"""Merge b1 and c2."""

revision = "d1"
down_revision = ("b1", "c2")
branch_labels = None
depends_on = None


def upgrade() -> None:
    pass


def downgrade() -> None:
    pass

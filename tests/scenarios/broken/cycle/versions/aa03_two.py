"""The other."""

revision = "aa03"
down_revision = "aa02"
branch_labels = None
depends_on = None


def upgrade() -> None:
    pass


def downgrade() -> None:
    pass

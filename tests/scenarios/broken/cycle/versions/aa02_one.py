"""One of two that wait for each other."""

revision = "aa02"
down_revision = "aa03"
branch_labels = None
depends_on = None


def upgrade() -> None:
    pass


def downgrade() -> None:
    pass

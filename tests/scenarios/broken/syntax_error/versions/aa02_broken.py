"""A colon is missing in line 9."""

revision = "aa02"
down_revision = "aa01"
branch_labels = None
depends_on = None


def upgrade()
    pass

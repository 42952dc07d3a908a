"""Imports, in line 3, what is not installed."""

import no_such_library

revision = "aa02"
down_revision = "aa01"
branch_labels = None
depends_on = None


def upgrade() -> None:
    no_such_library.run()

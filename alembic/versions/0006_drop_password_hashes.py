"""Drop users.password_hash: sign-in moved to single sign-on, and unused hashes are a liability."""

from alembic import op

from tenantmig import irreversible

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # tenantmig: allow ban-drop-column nothing reads it since sign-in moved
    op.drop_column("users", "password_hash")


def downgrade() -> None:
    irreversible("the password hashes were destroyed.")

"""Add the task status "blocked": waiting for somebody else was hidden among work in progress."""

from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # Alone in its revision: the value cannot be used in the transaction that adds it (55P04).
    op.execute("ALTER TYPE task_status ADD VALUE IF NOT EXISTS 'blocked' BEFORE 'done'")


def downgrade() -> None:
    # PostgreSQL cannot remove a value, so the type is built anew; blocked tasks were in progress.
    op.execute("ALTER TABLE tasks ALTER COLUMN status DROP DEFAULT")
    op.execute("ALTER TYPE task_status RENAME TO task_status_with_blocked")
    op.execute("CREATE TYPE task_status AS ENUM ('todo', 'in_progress', 'done')")
    # tenantmig: allow changing-column-type a tenant has thousands of tasks, not millions
    op.execute("""
        ALTER TABLE tasks ALTER COLUMN status TYPE task_status USING (
            CASE status WHEN 'blocked' THEN 'in_progress' ELSE status::text END
        )::task_status
    """)
    op.execute("ALTER TABLE tasks ALTER COLUMN status SET DEFAULT 'todo'")
    op.execute("DROP TYPE task_status_with_blocked")

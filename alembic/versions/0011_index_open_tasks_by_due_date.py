"""Index open tasks by due date: the reminder mail scanned every task, most of them long done."""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # A build that was cut off leaves an INVALID index, which IF NOT EXISTS would take for done:
    # so whatever is there goes first, and the revision can be run again at any point.
    with op.get_context().autocommit_block():
        op.drop_index(
            op.f("ix_tasks_due_on"), "tasks", if_exists=True, postgresql_concurrently=True
        )
        op.create_index(
            op.f("ix_tasks_due_on"),
            "tasks",
            ["due_on"],
            postgresql_where=sa.text("status <> 'done'"),
            postgresql_concurrently=True,
        )


def downgrade() -> None:
    with op.get_context().autocommit_block():
        op.drop_index(
            op.f("ix_tasks_due_on"), "tasks", if_exists=True, postgresql_concurrently=True
        )

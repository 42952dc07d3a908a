"""Log every change of a task's status: teams ask how long work waits before it is taken up."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

task_status = postgresql.ENUM(name="task_status", create_type=False)


def upgrade() -> None:
    op.create_table(
        "task_events",
        sa.Column("id", sa.BigInteger(), sa.Identity(), nullable=False),
        sa.Column("task_id", sa.BigInteger(), nullable=False),
        sa.Column("old_status", task_status, nullable=False),
        sa.Column("new_status", task_status, nullable=False),
        sa.Column(
            "changed_at", sa.DateTime(timezone=True), server_default=sa.func.now(), nullable=False
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_task_events")),
        sa.ForeignKeyConstraint(
            ["task_id"],
            ["tasks.id"],
            name=op.f("fk_task_events_task_id_tasks"),
            ondelete="CASCADE",
        ),
    )
    op.create_index(op.f("ix_task_events_task_id"), "task_events", ["task_id"])
    # FROM CURRENT ties the function to this tenant schema, whatever path its caller has.
    op.execute("""
        CREATE FUNCTION log_task_status() RETURNS trigger
        LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
        BEGIN
            INSERT INTO task_events (task_id, old_status, new_status)
            VALUES (NEW.id, OLD.status, NEW.status);
            RETURN NULL;
        END
        $$
    """)
    op.execute("""
        CREATE TRIGGER tasks_log_status AFTER UPDATE OF status ON tasks
        FOR EACH ROW WHEN (OLD.status IS DISTINCT FROM NEW.status)
        EXECUTE FUNCTION log_task_status()
    """)


def downgrade() -> None:
    op.execute("DROP TRIGGER tasks_log_status ON tasks")
    op.execute("DROP FUNCTION log_task_status()")
    op.drop_table("task_events")

"""Create the view project_progress: the dashboard and the reports counted tasks differently."""

from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("""
        CREATE VIEW project_progress AS
        SELECT projects.id AS project_id,
               projects.name,
               count(tasks.id) AS tasks,
               count(tasks.id) FILTER (WHERE tasks.status = 'done') AS done,
               count(tasks.id) FILTER (WHERE tasks.status = 'blocked') AS blocked,
               coalesce(sum(tasks.estimate) FILTER (WHERE tasks.status <> 'done'), 0) AS open_hours
        FROM projects LEFT JOIN tasks ON tasks.project_id = projects.id
        GROUP BY projects.id
    """)


def downgrade() -> None:
    op.execute("DROP VIEW project_progress")

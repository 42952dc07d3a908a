"""Index open tasks by due date."""

from django.db import migrations


class Migration(migrations.Migration):
    atomic = False  # CREATE INDEX CONCURRENTLY
    dependencies = [("saas", "0010_log_task_status")]
    operations = [
        migrations.RunSQL(
            [
                "DROP INDEX CONCURRENTLY IF EXISTS ix_tasks_due_on",
                (
                    "CREATE INDEX CONCURRENTLY ix_tasks_due_on ON tasks (due_on)"
                    " WHERE status <> 'done'"
                ),
            ],
        ),
    ]

"""Create the view project_progress."""

from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("saas", "0012_add_invoice_due_date")]
    operations = [
        migrations.RunSQL(
            [
                """
                CREATE VIEW project_progress AS
                SELECT projects.id AS project_id,
                       projects.name,
                       count(tasks.id) AS tasks,
                       count(tasks.id) FILTER (WHERE tasks.status = 'done') AS done,
                       count(tasks.id) FILTER (WHERE tasks.status = 'blocked') AS blocked,
                       coalesce(sum(tasks.estimate)
                           FILTER (WHERE tasks.status <> 'done'), 0) AS open_hours
                FROM projects LEFT JOIN tasks ON tasks.project_id = projects.id
                GROUP BY projects.id
                """,
            ],
        ),
    ]

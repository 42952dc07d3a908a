"""Make tasks.estimate a number of hours."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("saas", "0007_add_task_status_blocked")]
    operations = [
        migrations.RunSQL(
            [
                (
                    "ALTER TABLE tasks ALTER COLUMN estimate TYPE NUMERIC(6, 2)"
                    " USING NULLIF(btrim(estimate), '')::numeric(6, 2)"
                ),
            ],
            state_operations=[
                migrations.AlterField(
                    "Task",
                    "estimate",
                    models.DecimalField(max_digits=6, decimal_places=2, null=True),
                ),
            ],
        ),
    ]

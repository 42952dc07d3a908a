"""Add the task status "blocked"."""

from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("saas", "0006_drop_password_hashes")]
    operations = [
        migrations.RunSQL(
            [
                "ALTER TYPE task_status ADD VALUE IF NOT EXISTS 'blocked' BEFORE 'done'",
            ],
        ),
    ]

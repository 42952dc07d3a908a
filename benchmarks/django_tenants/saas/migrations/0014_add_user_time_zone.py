"""Add users.time_zone."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("saas", "0013_create_project_progress")]
    operations = [
        migrations.AddField("User", "time_zone", models.CharField(max_length=63, db_default="UTC")),
    ]

"""Rename users.full_name to display_name."""

from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("saas", "0003_create_tasks")]
    operations = [
        migrations.RenameField("User", "full_name", "display_name"),
    ]

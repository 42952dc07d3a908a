"""Drop users.password_hash."""

from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("saas", "0005_create_invoices")]
    operations = [
        migrations.RemoveField("User", "password_hash"),
    ]

"""Add invoices.due_on."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("saas", "0011_index_open_tasks_by_due_date")]
    operations = [
        migrations.RunSQL(
            [
                "ALTER TABLE invoices ADD COLUMN due_on DATE",
                "UPDATE invoices SET due_on = issued_on + 30",
                "ALTER TABLE invoices ALTER COLUMN due_on SET NOT NULL",
                "ALTER TABLE invoices ALTER COLUMN due_on SET DEFAULT CURRENT_DATE + 30",
            ],
            state_operations=[
                migrations.AddField("Invoice", "due_on", models.DateField()),
            ],
        ),
    ]

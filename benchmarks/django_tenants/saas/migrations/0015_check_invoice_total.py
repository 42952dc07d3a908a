"""Forbid negative invoice totals."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("saas", "0014_add_user_time_zone")]
    operations = [
        migrations.AddConstraint(
            "Invoice",
            models.CheckConstraint(
                condition=models.Q(total_cents__gte=0), name="ck_invoices_total_not_negative"
            ),
        ),
    ]

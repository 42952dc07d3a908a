"""What one tenant schema holds at head: the tables of examples/saas/models.py.

The view `project_progress` and the trigger that fills `task_events` exist in the migrations only.
"""

from django.db import models
from django.db.models.functions import Now


class Row(models.Model):
    id = models.BigAutoField(primary_key=True)

    class Meta:
        abstract = True


class User(Row):
    email = models.CharField(max_length=254, unique=True)
    display_name = models.CharField(max_length=120)
    created_at = models.DateTimeField(db_default=Now())
    time_zone = models.CharField(max_length=63, db_default="UTC")

    class Meta:
        db_table = "users"


class Project(Row):
    owner = models.ForeignKey(User, models.RESTRICT)
    name = models.CharField(max_length=200)
    archived_at = models.DateTimeField(null=True)

    class Meta:
        db_table = "projects"


class Label(Row):
    name = models.TextField(unique=True)

    class Meta:
        db_table = "labels"


class Task(Row):
    project = models.ForeignKey(Project, models.CASCADE)
    assignee = models.ForeignKey(User, models.SET_NULL, null=True)
    title = models.CharField(max_length=200)
    status = models.TextField(db_default="todo")
    priority = models.SmallIntegerField(db_default=3)
    estimate = models.DecimalField(max_digits=6, decimal_places=2, null=True)
    tags = models.TextField(db_default="")
    due_on = models.DateField(null=True)
    labels = models.ManyToManyField(Label, db_table="task_labels")

    class Meta:
        db_table = "tasks"


class TaskEvent(Row):
    task = models.ForeignKey(Task, models.CASCADE)
    old_status = models.TextField()
    new_status = models.TextField()
    changed_at = models.DateTimeField(db_default=Now())

    class Meta:
        db_table = "task_events"


class Invoice(Row):
    project = models.ForeignKey(Project, models.RESTRICT)
    number = models.CharField(max_length=20, unique=True)
    status = models.CharField(max_length=10, db_default="draft")
    issued_on = models.DateField()
    total_cents = models.BigIntegerField()
    due_on = models.DateField()

    class Meta:
        db_table = "invoices"
        constraints = [
            models.CheckConstraint(
                condition=models.Q(total_cents__gte=0), name="ck_invoices_total_not_negative"
            )
        ]

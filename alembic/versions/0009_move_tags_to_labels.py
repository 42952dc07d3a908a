"""Move tags to labels: renaming a tag meant editing the text of every task that carried it.

`tasks.tags` stays and is no longer read, so that application servers of both versions can run.
"""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

tasks = sa.table("tasks", sa.column("id"), sa.column("tags"))
labels = sa.table("labels", sa.column("id"), sa.column("name"))
task_labels = sa.table("task_labels", sa.column("task_id"), sa.column("label_id"))


def upgrade() -> None:
    op.create_table(
        "labels",
        sa.Column("id", sa.BigInteger(), sa.Identity(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_labels")),
        sa.UniqueConstraint("name", name=op.f("uq_labels_name")),
    )
    op.create_table(
        "task_labels",
        sa.Column("task_id", sa.BigInteger(), nullable=False),
        sa.Column("label_id", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("task_id", "label_id", name=op.f("pk_task_labels")),
        sa.ForeignKeyConstraint(
            ["task_id"],
            ["tasks.id"],
            name=op.f("fk_task_labels_task_id_tasks"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["label_id"],
            ["labels.id"],
            name=op.f("fk_task_labels_label_id_labels"),
            ondelete="CASCADE",
        ),
    )
    op.create_index(op.f("ix_task_labels_label_id"), "task_labels", ["label_id"])
    if op.get_context().as_sql:
        move_tags_in_sql()
    else:
        move_tags()


def move_tags() -> None:
    """Split each task's tags into labels, one label per distinct name."""
    bind = op.get_bind()
    label_ids: dict[str, int] = {}
    for task in bind.execute(sa.select(tasks).where(tasks.c.tags != "").order_by(tasks.c.id)).all():
        names = (tag.strip(" ") for tag in task.tags.split(","))
        for name in dict.fromkeys(name for name in names if name):
            if name not in label_ids:
                new_label = sa.insert(labels).values(name=name).returning(labels.c.id)
                label_ids[name] = bind.execute(new_label).scalar_one()
            bind.execute(sa.insert(task_labels).values(task_id=task.id, label_id=label_ids[name]))


def move_tags_in_sql() -> None:
    """Write what `move_tags` does as SQL, for `--sql`, where there are no rows to read."""
    op.execute("""
        INSERT INTO labels (name)
        SELECT btrim(tag)
        FROM tasks, unnest(string_to_array(tags, ',')) WITH ORDINALITY AS split (tag, position)
        WHERE btrim(tag) <> '' GROUP BY btrim(tag) ORDER BY min(ARRAY[tasks.id, position])
    """)
    op.execute("""
        INSERT INTO task_labels (task_id, label_id)
        SELECT DISTINCT tasks.id, labels.id
        FROM tasks, unnest(string_to_array(tags, ',')) AS tag
        JOIN labels ON labels.name = btrim(tag)
    """)


def downgrade() -> None:
    op.execute("""
        UPDATE tasks SET tags = coalesce((
            SELECT string_agg(labels.name, ', ' ORDER BY labels.id)
            FROM labels JOIN task_labels ON task_labels.label_id = labels.id
            WHERE task_labels.task_id = tasks.id
        ), '')
    """)
    op.drop_table("task_labels")
    op.drop_table("labels")

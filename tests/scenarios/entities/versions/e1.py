"""create users and what looks after them"""

import sqlalchemy as sa
from alembic import op
from alembic_utils.pg_function import PGFunction
from alembic_utils.pg_trigger import PGTrigger
from alembic_utils.pg_view import PGView

revision = "e1"
down_revision = None

touch = PGFunction(
    schema="tenant",
    signature="touch()",
    definition="""returns trigger language plpgsql set search_path from current as $$
    declare moment timestamptz := clock_timestamp();
    begin
        new.changed_at := moment::timestamptz;
        return new;
    end
    $$""",
)
greeting = PGFunction(
    schema="tenant",
    signature="greeting(name text, sign text default ': ')",
    definition="returns text language sql immutable as $$ select 'Hello' || sign || name::text $$",
)
active = PGView(
    schema="tenant",
    signature="active_users",
    definition="select id, name from users where active",
)
touched = PGTrigger(
    schema="tenant",
    signature="touched",
    on_entity="tenant.users",
    definition="before update of name on users for each row execute function touch()",
)


def upgrade():
    op.create_table(
        "users",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("active", sa.Boolean, nullable=False, server_default=sa.true()),
        sa.Column("changed_at", sa.DateTime(timezone=True)),
    )
    op.execute("INSERT INTO users VALUES (1, 'Ada'), (2, 'tenant')")
    op.create_entity(touch)
    op.create_entity(greeting)
    op.create_entity(active)
    op.create_entity(touched)


def downgrade():
    op.drop_entity(touched)
    op.drop_entity(active)
    op.drop_entity(greeting)
    op.drop_entity(touch)
    op.drop_table("users")

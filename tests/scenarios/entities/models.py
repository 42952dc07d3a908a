"""What the last revision leaves: one table, and the entities that alembic-utils keeps."""

import sqlalchemy as sa
from alembic_utils.pg_function import PGFunction
from alembic_utils.pg_policy import PGPolicy
from alembic_utils.pg_trigger import PGTrigger
from alembic_utils.pg_view import PGView

metadata = sa.MetaData()
sa.Table(
    "users",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("active", sa.Boolean, nullable=False, server_default=sa.true()),
    sa.Column("changed_at", sa.DateTime(timezone=True)),
)

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
    definition="returns text language sql immutable as $$ select 'Dear' || sign || name::text $$",
)
active = PGView(
    schema="tenant",
    signature="active_users",
    definition="select id, name, greeting(name) as greeting from users where active",
)
touched = PGTrigger(
    schema="tenant",
    signature="touched",
    on_entity="tenant.users",
    definition="before update on users for each row execute function touch()",
)
own_rows = PGPolicy(
    schema="tenant",
    signature="own_rows",
    on_entity="tenant.users",
    definition="as PERMISSIVE for SELECT to public using (name = CURRENT_USER)",
)
ENTITIES = [touch, greeting, active, touched, own_rows]
KINDS = [PGFunction, PGPolicy, PGTrigger, PGView]

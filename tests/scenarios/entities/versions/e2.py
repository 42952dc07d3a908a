"""replace each kind, a view also by one with other columns"""

from alembic import op
from alembic_utils.pg_function import PGFunction
from alembic_utils.pg_trigger import PGTrigger
from alembic_utils.pg_view import PGView

revision = "e2"
down_revision = "e1"


def greeting(word):
    body = f"select '{word}' || sign || name::text"
    return PGFunction(
        schema="tenant",
        signature="greeting(name text, sign text default ': ')",
        definition=f"returns text language sql immutable as $$ {body} $$",
    )


def active(columns):
    return PGView(
        schema="tenant",
        signature="active_users",
        definition=f"select {columns} from users where active",
    )


def touched(event):
    return PGTrigger(
        schema="tenant",
        signature="touched",
        on_entity="tenant.users",
        definition=f"before {event} on users for each row execute function touch()",
    )


def upgrade():
    op.replace_entity(greeting("Dear"))
    op.replace_entity(active("id, name, greeting(name) as greeting"))
    op.replace_entity(touched("update"))


def downgrade():
    op.replace_entity(touched("update of name"))
    op.replace_entity(active("id, name"))
    op.replace_entity(greeting("Hello"))

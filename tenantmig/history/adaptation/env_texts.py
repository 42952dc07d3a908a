"""The texts that an adapted env.py gets, and the arguments that it keeps or loses. Data."""

from __future__ import annotations

IMPORT = "from tenantmig.env import TenantEnv, assert_in_tenant\n"
TENANT = """\
{name} = TenantEnv(
    context.config,
    context.get_x_argument(as_dictionary=True),
    is_offline=context.is_offline_mode(),
)


"""
FLASK_IMPORT = """\
from flask import has_app_context
from flask.cli import ScriptInfo
"""
FLASK = """\
if not has_app_context():  # not begun by `flask db`; FLASK_APP names the application
    ScriptInfo(os.environ.get("FLASK_APP")).load_app().app_context().push()
"""
OURS = {
    "version_table_schema": "{}.schema",
    "include_schemas": "False",
    "include_name": "{}.include_name",
    "transaction_per_migration": "True",
    "on_version_apply": "assert_in_tenant",
}
OURS_OFFLINE = {
    "dialect_name": '"postgresql"',
    "dialect_opts": '{"paramstyle": "named"}',
    "literal_binds": "True",
    "version_table_schema": "{}.schema",
    "transaction_per_migration": "True",
}
DROPPED = frozenset(
    {"connection", "url", "output_buffer", "schema_translate_map", "version_table_schema",
     "transactional_ddl"}
)  # fmt: skip
KEPT_AS_GIVEN = frozenset({"include_name", "dialect_opts", "literal_binds"})

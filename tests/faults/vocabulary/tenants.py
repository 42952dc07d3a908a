"""Ways in which a script learns which tenant it runs for, and what it does with that."""

from __future__ import annotations

from tests.faults.vocabulary.kind import Kind, kind

TENANTS = {
    "Delta 5": "delta",
    "acme": "acme",
    "n" * 63: "n" * 63,
    "name": "name",
    'q"uo te': 'q"uo te',
}
"""Each tenant's schema."""
TELLERS: dict[str, tuple[str, str, str, str]] = {  # expression, head, helper, env
    "-x": ("context.get_x_argument(as_dictionary=True)['tenant']",
           "from alembic import context", "", ""),
    "cmd_opts": ("context.config.cmd_opts.x[0]", "from alembic import context", "", ""),
    "opts": ("op.get_context().opts['version_table_schema']", "", "", ""),
    "version_table_schema": ("op.get_context().version_table_schema", "", "", ""),
    "impl.context_opts": ("op.get_context().impl.context_opts['version_table_schema']", "", "", ""),
    "dialect": ("op.get_bind().dialect.default_schema_name", "", "", ""),
    "inspector": ("sa.inspect(op.get_bind()).default_schema_name", "", "", ""),
    "current_schema()": ("op.get_bind().execute(sa.text('SELECT current_schema()')).scalar()",
                         "", "", ""),
    "search_path": ("op.get_bind().execute(sa.text('SHOW search_path')).scalar()", "", "", ""),
    "exec_driver_sql": ("op.get_bind().exec_driver_sql('SELECT current_schema()').scalar()",
                        "", "", ""),
    "translate map": (
        "op.get_bind().get_execution_options()['schema_translate_map'][None]", "", "", ""),
    "os.environ": ("os.environ['ORACLE_TENANT']", "import os", "",
                   "import os\nos.environ['ORACLE_TENANT'] = tenant.name"),
    "os.getenv": ("os.getenv('ORACLE_TENANT')", "import os", "",
                  "import os\nos.environ['ORACLE_TENANT'] = tenant.name"),
    "ContextVar": ("CURRENT.get()", "from <<helper>> import CURRENT",
                   "from contextvars import ContextVar\nCURRENT = ContextVar('current')",
                   "import <<helper>>\n<<helper>>.CURRENT.set(tenant.name)"),
    "a module": ("<<helper>>.tenant", "import <<helper>>", "tenant = ''",
                 "import <<helper>>\n<<helper>>.tenant = tenant.schema"),
    "metadata.schema": ("metadata.schema", "from <<helper>> import metadata",
                        "import sqlalchemy as sa\nmetadata = sa.MetaData()",
                        "import <<helper>>\n<<helper>>.metadata.schema = tenant.schema"),
    "metadata.info": ("metadata.info['who']", "from <<helper>> import metadata",
                      "import sqlalchemy as sa\nmetadata = sa.MetaData()",
                      "import <<helper>>\n<<helper>>.metadata.info['who'] = tenant.schema"),
    "sys.argv": ("sys.argv[-1]", "import sys", "",
                 "import sys\nsys.argv = ['alembic', tenant.name]"),
    "config.attributes": ("op.get_context().config.attributes['who']", "", "",
                          "context.config.attributes['who'] = tenant.name"),
    "main option": ("context.config.get_main_option('who')", "from alembic import context", "",
                    "context.config.set_main_option('who', tenant.schema.replace('%', '%%'))"),
    "builtins": ("builtins.who", "import builtins", "",
                 "import builtins\nbuiltins.who = tenant.name"),
    "threading.local": ("LOCAL.who", "from <<helper>> import LOCAL",
                        "import threading\nLOCAL = threading.local()",
                        "import <<helper>>\n<<helper>>.LOCAL.who = tenant.name"),
    "a helper that asks": ("who()", "from <<helper>> import who",
                           "from alembic import op\n\ndef who():\n"
                           "    return op.get_context().version_table_schema", ""),
    "a lambda of a helper": ("<<helper>>.WHO()", "import <<helper>>",
                             "from alembic import context\n"
                             "WHO = lambda: context.get_x_argument()[0]", ""),
    "getattr": ("getattr(op.get_context(), 'version_' + 'table_schema')", "", "", ""),
    "vars": ("vars(op.get_context())['version_table_schema']", "", "", ""),
    "a proxy": ("op.get_context()._proxied.version_table_schema"
                " if hasattr(op.get_context(), '_proxied') else "
                "op.get_context().__dict__['version_table_schema']", "", "", ""),
}  # fmt: skip
SPECIAL = ["acme", "name", 'q"uo te', "delta", "Delta 5", "n" * 63]
BRANCHES = [
    "if told == {special!r}:",
    "if told in ({special!r}, 'nobody'):",
    "if {special!r} in told:",
    "if len(told) > 7:",
    "if len(told) % 2:",
    "if told[:1] == {special[0]!r}:",
    "if told.startswith({special[0]!r}):",
    "if zlib.crc32(told.encode()) % 3 == 1:",
    "if sum(map(ord, told)) % 2:",
    "if {{'acme': 1, 'name': 0}}.get(told):",
    "if {{{special!r}: True}}.get(told, False):",
    "if told > 'm':",
    "if told.isalpha():",
    "if re.match('[a-d]', told):",
    "if any(c == {special[0]!r} for c in told):",
    "if not told.isidentifier():",
    "if told != {special!r}:",
    "if {{told}} & {{{special!r}}}:",
    "if hash(told) == hash({special!r}):",
]
DOES = [
    "op.add_column('thing', sa.Column('<<t>>', sa.Integer))",
    "op.execute(\"INSERT INTO results VALUES ('<<t>>', 1, 'special')\")",
    "op.create_index('<<t>>', 'thing', ['name'])",
]
USES = [
    "op.execute(sa.text(\"INSERT INTO results VALUES ('<<t>>', 1, :who)\").bindparams(who=told))",
    "op.get_bind().execute(sa.text(\"INSERT INTO results VALUES ('<<t>>', 1, :w)\"), {'w': told})",
    "op.execute(\"INSERT INTO results VALUES ('<<t>>', 1, '%s')\" % told)",
    "op.execute(f\"INSERT INTO results VALUES ('<<t>>', {len(told)}, 'x')\")",
    "op.execute(f\"COMMENT ON TABLE thing IS 'of {told}'\")",
    "for n in range(len(told) % 5):\n"
    "    op.execute(f\"INSERT INTO results VALUES ('<<t>>', {n}, 'x')\")",
    "op.create_table('<<t>>', sa.Column('who', sa.Text, server_default=told))",
    "op.execute(f\"INSERT INTO results SELECT '<<t>>', 1, '{told.upper()[:3]}'\")",
    "op.execute(sa.insert(sa.table('results', sa.column('what'), sa.column('found')))"
    ".values(what='<<t>>', found=told))",
]
SCHEMA_TELLERS = [
    "op.get_context().version_table_schema",
    "op.get_context().opts['version_table_schema']",
    "op.get_bind().execute(sa.text('SELECT current_schema()')).scalar()",
    "op.get_bind().dialect.default_schema_name",
    "sa.inspect(op.get_bind()).default_schema_name",
]
QUALIFIED = [
    "op.execute(f'UPDATE {quoted}.thing SET qty = qty + 1')",
    "op.execute(f'CREATE TABLE {quoted}.<<t>> (id int)')",
    "op.add_column('thing', sa.Column('<<t>>', sa.Integer), schema=schema)",
    "op.create_table('<<t>>', sa.Column('id', sa.Integer), schema=schema)",
    "op.execute(f'INSERT INTO {quoted}.results SELECT $$<<t>>$$, id FROM {quoted}.thing')",
    "op.execute(f\"DO $do$ BEGIN EXECUTE 'CREATE TABLE <<t>> (id int)'; END $do$\")",
    "op.execute('CREATE FUNCTION ' + quoted + '.<<t>>() RETURNS int LANGUAGE sql"
    " AS $$ SELECT 1 $$')",
]
POOLS = {
    "does": DOES,
    "teller": [expression for expression, *needs in TELLERS.values() if not any(needs[1:])][:10],
    "use": USES,
    "branch": [b.format(special=s) for b in BRANCHES for s in SPECIAL],
    "schema_teller": SCHEMA_TELLERS,
    "qualified": QUALIFIED,
}


def _branching(name: str, expression: str, head: str, helper: str, env: str) -> Kind:
    up = f"told = {expression}\n<<branch>>\n    <<does>>"
    return kind(f"a branch on {name}", up, head=f"{head}\nimport re\nimport zlib", helper=helper,
                env=env)  # fmt: skip


MATCH = """
match <<teller>>:
    case 'acme' | 'name':
        <<does>>
    case _:
        pass
"""
KINDS = [
    kind("a match", MATCH, head="from alembic import context"),
    *(_branching(name, *parts) for name, parts in TELLERS.items()),
    *(
        kind(f"a use of {name}", f"told = {expression}\n<<use>>", head=head, helper=helper, env=env)
        for name, (expression, head, helper, env) in TELLERS.items()
    ),
    kind(
        "a qualified name",
        """
schema = <<schema_teller>>
quoted = '"' + schema.replace('"', '""') + '"'
<<qualified>>
""",
        weight=12,
    ),
    kind(
        "a qualified name by the preparer",
        """
quoted = op.get_bind().dialect.identifier_preparer.quote(op.get_context().version_table_schema)
<<qualified_only>>
""",
        weight=3,
    ),
]
POOLS["qualified_only"] = [q for q in QUALIFIED if "schema=" not in q]

"""What an env.py does for tenants by itself is taken out, or refused with its line."""

# ruff: noqa: E501  lines of env.py as people write them

from __future__ import annotations

import re

import pytest

from tenantmig.errors import EnvironmentFileError
from tenantmig.history.adaptation.adapt_env import adapt_env
from tenantmig.history.adaptation.own_sql import behind_the_tenant
from tenantmig.history.adaptation.url import named_source

HEAD = """\
import asyncio
import os
from alembic import context
from sqlalchemy import engine_from_config, event, pool, text
from sqlalchemy.ext.asyncio import async_engine_from_config
from sqlalchemy.schema import CreateSchema
from myapp import Base, settings, notify

config = context.config
target_metadata = Base.metadata
"""
OFFLINE = """

def run_migrations_offline():
    url = config.get_main_option("sqlalchemy.url")
    context.configure(url=url, target_metadata=target_metadata, literal_binds=True)
    with context.begin_transaction():
        context.run_migrations()
"""
SYNC = """

def run_migrations_online():
    {before}
    connectable = engine_from_config(config.get_section("alembic"), poolclass=pool.NullPool)
    with connectable.connect() as connection:
{lines}
        context.configure(connection=connection, compare_type=True, {arguments})
        with context.begin_transaction():
            context.run_migrations()
"""
ASYNC = """

def do_run_migrations(connection):
    {before}
{lines}
    context.configure(connection=connection, compare_type=True, {arguments})
    with context.begin_transaction():
        context.run_migrations()


async def run_async_migrations():
    connectable = async_engine_from_config(config.get_section("alembic"))
    async with connectable.connect() as connection:
        await connection.run_sync(do_run_migrations)
    await connectable.dispose()


def run_migrations_online():
    asyncio.run(run_async_migrations())
"""
END = """

if context.is_offline_mode():
    run_migrations_offline()
else:
    run_migrations_online()
"""
X = "context.get_x_argument(as_dictionary=True)"
ASKED = f'schema = {X}.get("schema")'
TENANT = f'tenant = {X}.get("tenant")\nif not tenant:\n    raise SystemExit("say which")'
SET = "connection.execute(text(f'SET search_path TO \"{tenant}\"'))"
CREATE = "connection.execute(text(f'CREATE SCHEMA IF NOT EXISTS \"{tenant}\"'))"
DEFAULT = "connection.dialect.default_schema_name = tenant"
VERSION = "version_table_schema=tenant"

# what the module does first; what stands in the function; what before configure(); its arguments
FORMS = {
    "all of it": (TENANT, "", f"{CREATE}\n{SET}\nconnection.commit()\n{DEFAULT}", VERSION),
    "read in the function": ("", TENANT.splitlines()[0], f"{SET}\n{DEFAULT}", VERSION),
    "cookbook": (
        "",
        f'current_tenant = {X}.get("tenant")',
        ("connection.execute(text('set search_path to \"%s\"' % current_tenant))\n"
        "connection.commit()\nconnection.dialect.default_schema_name = current_tenant"),
        "",
    ),
    "called schema": (
        f'{ASKED} or os.environ.get("SCHEMA", "public")\nif schema is None:\n    schema = "x"',
        "",
        'connection.exec_driver_sql(f"SET search_path TO {schema}, public")',
        "version_table_schema=schema, include_schemas=True",
    ),
    "of the environment": (
        'SCHEMA = os.environ["SCHEMA"]',
        "",
        ("with connection.begin():\n    connection.execute(CreateSchema(SCHEMA, if_not_exists=True))\n"
        "connection.execute(text(\"SELECT set_config('search_path', :s, false)\"), {'s': SCHEMA})\n"
        "connection.commit()"),
        "version_table_schema=SCHEMA",
    ),
    "made of the name": (
        (f'args = {X}\nname = args["tenant"]\nschema = f"tenant_{{name}}"\nprint(f"to {{schema}}")\n'
        "notify(name, schema)"),
        "",
        ('sql = "CREATE SCHEMA IF NOT EXISTS {}".format(schema)\nconnection.execute(text(sql))\n'
        'connection.execute(text("SET search_path TO " + schema))\n'
        'connection.execute(text("COMMIT"))'),
        "",
    ),
    "in a function of its own": (
        (f"def get_schema():\n    found = {X}.get('schema')\n    if not found:\n"
        "        raise ValueError('none')\n    return found\n\n\n"
        "def prepare(connection, schema):\n"
        '    connection.execute(text(f"CREATE SCHEMA IF NOT EXISTS {schema}"))\n'
        '    connection.execute(text(f"SET search_path TO {schema}"))\n    connection.commit()\n\n\n'
        "def include_object(one, name, kind, reflected, other):\n"
        "    return one.schema == get_schema()"),
        "",
        "prepare(connection, get_schema())",
        "version_table_schema=get_schema(), include_object=include_object",
    ),
    "in a lambda": (
        f'get_schema = lambda: {X}["schema"]\nnotify(get_schema())',
        "",
        ('connection.execute(text(f"SET search_path TO {get_schema()}"))\n'
        'setattr(connection.dialect, "default_schema_name", get_schema())'),
        "version_table_schema=get_schema()",
    ),
    "in two statements of one text": (
        TENANT,
        "inspector = notify()",
        ("if tenant not in inspector.get_schema_names():\n"
        '    connection.execute(text(f"""\n        CREATE SCHEMA {tenant};\n'
        '        SET search_path TO {tenant};\n    """))\n'
        "with connection.connection.cursor() as cursor:\n"
        '    cursor.execute(f"SET search_path TO {tenant}")'),
        VERSION,
    ),
    "as a map": (
        TENANT,
        "",
        ("connection = connection.execution_options(schema_translate_map={None: tenant})\n"
        f"if tenant:\n    {CREATE}\n    connection.commit()\nelse:\n    raise SystemExit"),
        VERSION,
    ),
    "where it may fail": (
        TENANT,
        "",
        (f"try:\n    {CREATE}\n    connection.commit()\nexcept Exception:\n    connection.rollback()"
        f"\n{SET}"),
        VERSION,
    ),
    "at each transaction": (
        TENANT,
        "",
        ('@event.listens_for(connection, "begin")\ndef set_path(opened):\n'
        '    opened.exec_driver_sql(f"SET search_path TO {tenant}")'),
        VERSION,
    ),
    "without a name": (
        "",
        "",
        f"connection.execute(text(f\"SET search_path TO {{{X}['tenant']}}\"))".replace("as_dictionary=", ""),
        f'version_table_schema={X}["tenant"]',
    ),
}  # fmt: skip
LEFT = re.compile(
    r"create schema|set search_path|set_config|default_schema_name|CreateSchema|commit|schema_transl"
    r"|TENANT_|environ|\.get\(|get_x_argument\(as_dictionary=True\)\[",
    re.IGNORECASE,
)


def _lines(text: str, depth: int) -> str:
    return "\n".join(" " * depth + line for line in text.splitlines())


def _body(text: str) -> str:
    """The text behind the imports, of which the tests have more than they use."""
    return text.partition("config = context.config")[2]


def _source(template: str, first: str, function: str, lines: str, arguments: str) -> str:
    depth = 8 if template is SYNC else 4
    online = template.format(
        before=function or "notify()", lines=_lines(lines, depth), arguments=arguments
    )
    return HEAD + first + "\n" + OFFLINE + online + END


@pytest.mark.parametrize("template", [SYNC, ASYNC], ids=["sync", "async"])
@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
def test_it_is_taken_out(template: str, form: tuple[str, str, str, str]) -> None:
    adapted = adapt_env(_source(template, *form), "env.py")
    compile(adapted, "env.py", "exec")
    assert LEFT.search(_body(adapted)) is None, adapted
    assert "version_table_schema=tenant.schema" in adapted
    assert "compare_type=True" in adapted
    assert "notify()" in adapted or form[1]
    assert adapted.count("tenant.session()") == 1
    assert adapted.count(" = TenantEnv(") == 1
    assert adapt_env(adapted, "env.py") == adapted


def test_what_else_read_the_tenant_asks_for_it() -> None:
    adapted = adapt_env(_source(SYNC, *FORMS["made of the name"]), "env.py")
    assert 'print(f"to {tenant.schema}")' in adapted
    assert "notify(tenant.name, tenant.schema)" in adapted
    assert adapted.index(" = TenantEnv(") < adapted.index("notify(tenant.name")
    adapted = adapt_env(_source(ASYNC, *FORMS["in a function of its own"]), "env.py")
    assert "return one.schema == tenant.schema" in adapted
    assert behind_the_tenant(_source(SYNC, *FORMS["called schema"])) == ["public"]
    assert behind_the_tenant(_source(SYNC, *FORMS["all of it"])) == []


def test_other_statements_and_other_arguments_stay() -> None:
    lines = (
        'connection.execute(text("CREATE EXTENSION IF NOT EXISTS vector"))\n'
        f'if {X}.get("seed"):\n    notify("seeds")\n{SET}\nconnection.commit()'
    )
    adapted = adapt_env(_source(SYNC, TENANT, "", lines, VERSION), "env.py")
    assert "CREATE EXTENSION" in adapted
    assert f'if {X}.get("seed"):' in adapted
    assert "connection.commit()" in adapted  # what is left needs it
    assert "search_path TO" not in adapted


def test_only_the_commit_behind_an_own_line_goes() -> None:
    lines = (
        f"audit.add(1)\naudit.commit()\n{SET}\nconnection.commit()\n"
        f'{CREATE}\nother.commit()\nconnection.execute(text("COMMIT"))'
    )
    source = _source(SYNC, TENANT, "", lines, VERSION)
    end = "            context.run_migrations()\n\n\nif"
    source = source.replace(
        end,
        end.replace("\n\n\n", "\n        notify(connection)\n        connection.commit()\n\n\n"),
    )
    adapted = adapt_env(source, "env.py")
    for kept in ("audit.commit()", "other.commit()", 'text("COMMIT")', "notify(connection)\n"):
        assert kept in adapted
    assert adapted.count("connection.commit()") == 1
    assert adapted.index("notify(connection)") < adapted.index("connection.commit()")


GUARDS = {
    "if tenant in settings.FROZEN:\n    raise SystemExit": "if tenant.name in settings.FROZEN:",
    "assert settings.allowed(tenant)": "assert settings.allowed(tenant.name)",
    'if os.environ["ENV"] == "prod" and args.get("confirm") != "yes":\n    raise SystemExit': (
        'if os.environ["ENV"] == "prod" and args.get("confirm") != "yes":\n    raise'
    ),
    'if tenant == "public":\n    raise SystemExit': 'if tenant.name == "public":',
}


@pytest.mark.parametrize(("guard", "kept"), GUARDS.items())
def test_a_guard_of_another_meaning_stays(guard: str, kept: str) -> None:
    first = f'args = {X}\ntenant = args.get("tenant")\n{guard}'
    adapted = adapt_env(_source(SYNC, first, "", "notify()", ""), "env.py")
    assert kept in adapted
    assert adapted.index(" = TenantEnv(") < adapted.index(kept) or "args" in kept


@pytest.mark.parametrize(
    "guard",
    [
        "if not tenant:\n    raise SystemExit",
        'if tenant is None or tenant == "":\n    print("none")\n    raise SystemExit',
        'if "tenant" not in args:\n    raise SystemExit',
        'assert tenant, "say which"',
    ],
)
def test_a_guard_that_asks_for_the_tenant_goes(guard: str) -> None:
    first = f'args = {X}\ntenant = args.get("tenant")\n{guard}'
    adapted = adapt_env(_source(SYNC, first, "", SET, VERSION), "env.py")
    assert "raise" not in adapted
    assert "assert " not in adapted


def test_a_name_that_is_taken_is_not_taken_again() -> None:
    first = f"from myapp import tenant\n{ASKED}\ntenant.log(schema)"
    form = (first, "", SET.replace("tenant", "schema"), "version_table_schema=schema")
    adapted = adapt_env(_source(SYNC, *form), "env.py")
    assert "tenant_env = TenantEnv(" in adapted
    assert "with tenant_env.session() as connection" in adapted
    assert "tenant.log(tenant_env.schema)" in adapted
    assert adapt_env(adapted, "env.py") == adapted


def test_what_was_adapted_before_and_kept_its_lines_is_mended() -> None:
    good = adapt_env(_source(SYNC, *FORMS["all of it"]), "env.py")
    at = "    with tenant.session() as connection:\n"
    kept = f"{CREATE}\n{SET}\nconnection.commit()\n{DEFAULT}"
    bad = good.replace(at, at + _lines(kept, 8) + "\n")
    bad = bad.replace("target_metadata = Base", f"{TENANT}\ntarget_metadata = Base")
    mended = adapt_env(bad, "env.py")
    assert LEFT.search(_body(mended)) is None
    assert mended.replace("\n", "") == good.replace("\n", "")


REFUSED = {
    "shared": ('connection.execute(text("CREATE SCHEMA IF NOT EXISTS shared"))', "CREATE SCHEMA"),
    "drops": ('connection.execute(text(f"DROP SCHEMA {tenant}"))', "DROP SCHEMA"),
    "login": ('connection.execute(text("SET SESSION AUTHORIZATION x"))', "SET SESSION AUTHORIZ"),
    "both": (
        'connection.execute(text(f"SET search_path TO {tenant}; CREATE EXTENSION vector"))',
        "search_path",
    ),
    "answer": ('found = connection.execute(text(f"SET search_path TO {tenant}"))', "search_path"),
    "options": (
        "connection = connection.execution_options(schema_translate_map={}, stream_results=True)",
        "schema_translate_map",
    ),
    "imported": ("myapp.set_search_path(connection, tenant)", "calls myapp.set_search_path()"),
    "asks": (f'notify({X}.get("tenant").upper())', "reads the tenant from -x"),
}

MORE = {
    "two settings": (
        'connection.execute(text("SELECT set_config(\'search_path\', :s, false),'
        " set_config('app.tenant', :s, false)\"), {'s': tenant})"
    ),
    "owner": 'connection.execute(text(f"CREATE SCHEMA {tenant} AUTHORIZATION joe"))',
    "in a with": f"with settings.maintenance_mode(tenant):\n    {SET}",
    "in a try": f"try:\n    {SET}\nfinally:\n    notify()",
    "in an if": f"if tenant and prepare(connection):\n    {SET}",
    "role": (
        '@event.listens_for(connection, "begin")\ndef set_path(opened):\n'
        '    opened.exec_driver_sql(f"SET search_path TO {tenant}")\n'
        '    opened.exec_driver_sql("SET ROLE app")'
    ),
    "timeout": (
        '@event.listens_for(connection, "begin")\ndef set_path(opened):\n'
        '    opened.exec_driver_sql(f"SET search_path TO {tenant}")\n'
        '    opened.exec_driver_sql("SET lock_timeout = 1")'
    ),
    "info": (
        '@event.listens_for(connection, "begin")\ndef set_path(opened):\n'
        '    opened.exec_driver_sql(f"SET search_path TO {tenant}")\n'
        '    opened.info["tenant"] = tenant'
    ),
}  # fmt: skip


@pytest.mark.parametrize("lines", MORE.values(), ids=MORE)
def test_what_is_more_than_an_own_line_is_refused_whole(lines: str) -> None:
    source = _source(SYNC, TENANT, "", lines, VERSION)
    with pytest.raises(EnvironmentFileError) as caught:
        adapt_env(source, "env.py")
    of = re.compile("search_path|set_config|create schema", re.IGNORECASE)
    line = next(i for i, one in enumerate(source.splitlines(), 1) if of.search(one))
    assert f"env.py, line {line}: env.py sends" in str(caught.value)


SHARED = 'SHARED = os.environ["SHARED_SCHEMA"]'
OTHERS = {
    "shared is made": (
        SHARED,
        f"connection.execute(text(f'CREATE SCHEMA IF NOT EXISTS {{SHARED}}'))\n{SET}",
        "CREATE SCHEMA IF NOT EXISTS {SHARED}",
    ),
    "shared behind": (
        SHARED,
        'connection.execute(text(f"SET search_path TO {tenant}, {SHARED}"))',
        "{tenant}, {SHARED}",
    ),
    "shared in a path": (
        f'{SHARED}\npath = f"{{tenant}}, {{SHARED}}"',
        'connection.execute(text(f"SET search_path TO {path}"))',
        "TO {path}",
    ),
    "joined": (
        'path = ", ".join([tenant, "shared"])',
        'connection.execute(text("SET search_path TO " + path))',
        'TO " + path',
    ),
    "joined there": (
        "",
        'connection.execute(text("SET search_path TO " + ", ".join([tenant, "shared"])))',
        '", ".join(',
    ),
    "joined as a parameter": (
        "",
        (
            "connection.execute(text(\"SELECT set_config('search_path', :p, false)\"),"
            ' {"p": ", ".join([tenant, "shared"])})'
        ),
        "set_config",
    ),
    "mapped": (
        SHARED,
        "connection = connection.execution_options(schema_translate_map={None: tenant, 's': SHARED})",
        "schema_translate_map",
    ),
    "default": (SHARED, "connection.dialect.default_schema_name = SHARED", "default_schema_name"),
    "in a function": (
        (
            f"{SHARED}\n\n\ndef make(connection, schema):\n"
            '    connection.execute(text(f"CREATE SCHEMA {schema}"))\n\n\n'
        ),
        "make(connection, tenant)\nmake(connection, SHARED)",
        'text(f"CREATE SCHEMA {schema}")',
    ),
    "of a loop": (
        "",
        (
            'for schema in ("audit", "shared"):\n'
            '    connection.execute(text(f"CREATE SCHEMA IF NOT EXISTS {schema}"))'
        ),
        "EXISTS {schema}",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("first", "lines", "at"), OTHERS.values(), ids=OTHERS)
def test_another_schema_than_the_tenants_is_refused(first: str, lines: str, at: str) -> None:
    source = _source(SYNC, f"{TENANT}\n{first}", "", lines, VERSION)
    with pytest.raises(EnvironmentFileError) as caught:
        adapt_env(source, "env.py")
    line = next(i for i, one in enumerate(source.splitlines(), 1) if at in one)
    assert f"env.py, line {line}: env.py " in str(caught.value)


def test_what_reads_a_function_that_is_gone_goes_or_is_refused() -> None:
    first = f"{TENANT}\n\n\ndef place(connection):\n    {SET}\n\n\n"
    lines = 'event.listen(connection, "begin", place)'
    adapted = adapt_env(_source(SYNC, first, "", lines, VERSION), "env.py")
    assert "place" not in _body(adapted)
    source = _source(SYNC, first, "", "notify(place)", VERSION)
    line = source.splitlines().index("        notify(place)") + 1
    with pytest.raises(EnvironmentFileError, match=f"env.py, line {line}: env.py reads place"):
        adapt_env(source, "env.py")


def test_of_two_variables_of_the_environment_none_is_the_tenant() -> None:
    first = f'SCHEMA = os.environ["SCHEMA"]\n{SHARED}'
    lines = "".join(f"connection.execute(CreateSchema({name}))\n" for name in ("SCHEMA", "SHARED"))
    with pytest.raises(EnvironmentFileError, match="sends CreateSchema"):
        adapt_env(_source(SYNC, first, "", lines, ""), "env.py")


def test_a_variable_of_the_environment_beside_the_tenant_stays() -> None:
    lines = f"{SET}\nnotify(SHARED)"
    adapted = adapt_env(_source(SYNC, f"{TENANT}\n{SHARED}", "", lines, VERSION), "env.py")
    assert SHARED in adapted
    assert "notify(SHARED)" in adapted


TWICE = {
    "another function": "def other():\n    tenant = settings.first\n    return tenant",
    "a loop": "for tenant in settings.all:\n    notify(tenant)",
    "the module": 'if settings.DEBUG:\n    tenant = "dev"',
    "an import": "def other():\n    from myapp import tenant\n    return tenant",
    "a with": "with settings.one() as tenant:\n    notify(tenant)",
    "a pair": "tenant, other = settings.pair",
}


@pytest.mark.parametrize("first", TWICE.values(), ids=TWICE)
def test_a_name_of_two_meanings_is_refused(first: str) -> None:
    source = _source(SYNC, f"{TENANT}\n{first}", "", SET, VERSION)
    at = re.compile(
        r"^ *(from myapp import tenant$|for tenant|with .* as tenant|tenant(, other)? = [s\"])"
    )
    line = next(i for i, one in enumerate(source.splitlines(), 1) if at.match(one))
    with pytest.raises(EnvironmentFileError, match=f"env.py, line {line}: env.py sets tenant"):
        adapt_env(source, "env.py")


@pytest.mark.parametrize(
    "first",
    [
        "def other(tenant):\n    return tenant.id",
        "names = [tenant.id for tenant in settings.all]",
        "other = lambda tenant: tenant.id",
    ],
)
def test_a_name_of_its_own_stays(first: str) -> None:
    adapted = adapt_env(_source(SYNC, f"{TENANT}\n{first}", "", SET, VERSION), "env.py")
    assert first in adapted


MADE_OF_IT = {
    "def get_region():\n    t = {X}.get('tenant')\n    return t.split('-')[0]\n\n\nregion = get_region()": "get('tenant')",
    "region = {X}.get('tenant').split('-')[0]": "region =",
    "def get_tenant():\n    t = {X}.get('tenant')\n    return settings.id_of(t)\n\n\nnotify(get_tenant())": "get('tenant')",
}


@pytest.mark.parametrize(("first", "at"), MADE_OF_IT.items())
def test_what_is_made_of_the_tenant_is_not_its_schema(first: str, at: str) -> None:
    source = _source(SYNC, first.replace("{X}", X), "", "notify()", "")
    try:
        adapted = adapt_env(source, "env.py")
    except EnvironmentFileError as error:
        line = next(i for i, one in enumerate(source.splitlines(), 1) if at in one)
        assert f"line {line}: env.py reads the tenant from -x" in str(error)  # noqa: PT017
        return
    assert "tenant.schema" not in adapted.partition(" = TenantEnv(")[0]
    assert "tenant.name.split" in adapted or "settings.id_of(tenant.name)" in adapted


def test_a_listener_with_a_cursor_goes() -> None:
    first = (
        f"{TENANT}\n\n\n"
        '@event.listens_for(Engine, "connect")\ndef set_path(opened, record):\n'
        "    existing = opened.autocommit\n    opened.autocommit = True\n"
        '    cursor = opened.cursor()\n    cursor.execute(f"SET search_path TO {tenant}")\n'
        "    cursor.close()\n    opened.autocommit = existing"
    )
    adapted = adapt_env(_source(SYNC, first, "", "notify()", VERSION), "env.py")
    assert "listens_for" not in adapted
    assert "autocommit" not in adapted


@pytest.mark.parametrize(("lines", "said"), REFUSED.values(), ids=REFUSED)
def test_what_it_cannot_take_out_it_refuses_with_the_line(lines: str, said: str) -> None:
    source = _source(SYNC, TENANT, "", lines, VERSION)
    with pytest.raises(EnvironmentFileError) as caught:
        adapt_env(source, "env.py")
    line = next(i for i, one in enumerate(source.splitlines(), 1) if lines in one)
    assert f"env.py, line {line}: env.py" in str(caught.value)
    assert said in str(caught.value)
    assert "Change it by hand" in str(caught.value)


ONE_CALL = "\n\nasyncio.run(run_async_migrations())\n"
EXITS = f"""

if context.is_offline_mode():
    raise SystemExit("not supported")
{ONE_CALL.strip()}
"""
STUB = """

def run_migrations_offline():
    raise SystemExit("not supported")
"""
ENDINGS = {
    "one call": ("", ONE_CALL),
    "offline ends it": ("", EXITS),
    "offline is refused": (STUB, END),
    "no choice": ("", "\n\nrun_migrations_online()\n"),
    "the other way round": (
        "",
        (
            "\n\nif not context.is_offline_mode():\n    run_migrations_online()\nelse:\n"
            '    print("no")\n'
        ),
    ),
}


@pytest.mark.parametrize(("offline", "end"), ENDINGS.values(), ids=ENDINGS)
def test_an_ending_without_the_offline_mode_gets_it(offline: str, end: str) -> None:
    lines = _lines(f"{CREATE}\n{SET}", 4)
    template = ASYNC if "run_migrations_online" in end else ASYNC.partition("\n\ndef run_mi")[0]
    online = template.format(
        before="notify()", lines=lines, arguments="target_metadata=target_metadata"
    )
    adapted = adapt_env(HEAD + TENANT + "\n" + offline + online + end, "env.py")
    compile(adapted, "env.py", "exec")
    assert "asyncio" not in _body(adapted)
    assert "def run_migrations_offline()" in adapted
    assert "    context.execute(tenant.search_path_sql)\n" in adapted
    assert adapted.count("target_metadata=target_metadata,") == 2
    assert adapted.count("if context.is_offline_mode():") == 1
    assert adapt_env(adapted, "env.py") == adapted


OBSTACLES = {
    "no function": (
        "context.configure()\ncontext.run_migrations()\n",
        "line 11, cannot be adapted automatically: module-level code runs",
    ),
    "two functions": (
        OFFLINE + OFFLINE.replace("offline", "other") + "\nrun_migrations_offline()\nrun_migrations_other()\n",
        "it calls run_migrations_offline() and run_migrations_other() for one mode",
    ),
    "never called": (OFFLINE, "its online mode calls no function that runs the migrations"),
    "more than a call": (
        OFFLINE + "\nfor each in (1, 2):\n    run_migrations_offline()\n",
        "its last lines do more than call one function for each mode",
    ),
    "never runs": ("import os\n", "it does not call context.run_migrations()"),
}  # fmt: skip


@pytest.mark.parametrize(("text", "said"), OBSTACLES.values(), ids=OBSTACLES)
def test_each_obstacle_has_a_sentence_of_its_own(text: str, said: str) -> None:
    with pytest.raises(EnvironmentFileError) as caught:
        adapt_env(HEAD + text, "env.py")
    assert said in str(caught.value)
    assert "docs/guides/coming-from/home-made-loops.md contains two complete" in str(caught.value)
    assert "`tenantmig init` in an empty folder writes the first" in str(caught.value)


URLS = {
    "settings.database_url": "myapp:settings.database_url",
    "str(settings.url)": "myapp:settings.url",
    "settings().url.unicode_string().replace('%', '%%')": "myapp:settings.url",
    "os.environ['DATABASE_URL']": None,
    "settings(1).url": None,
    "f'postgresql://{settings.user}'": None,
}


@pytest.mark.parametrize(("given", "named"), URLS.items())
def test_the_url_is_taken_out_and_named_as_a_setting_takes_it(
    given: str, named: str | None
) -> None:
    for first in (
        f'config.set_main_option("sqlalchemy.url", {given})',
        f'def get_url():\n    return {given}\n\n\nconfig.set_main_option("sqlalchemy.url", get_url())',
    ):
        source = _source(SYNC, first, "", "notify()", "")
        assert named_source(source) == named
        adapted = adapt_env(source, "env.py")
        assert "sqlalchemy.url" not in adapted
        assert "settings" not in _body(adapted)
    section = 'section = config.get_section("alembic")\n    section["sqlalchemy.url"] = ' + given
    source = _source(SYNC, "", section, "notify()", "")
    assert named_source(source) == named
    assert "section" not in _body(adapt_env(source, "env.py"))


def test_a_url_that_env_py_reads_itself_stays() -> None:
    first = 'config.set_main_option("sqlalchemy.url", settings.url)'
    source = _source(SYNC, first, "", 'notify(config.get_main_option("sqlalchemy.url"))', "")
    assert first in adapt_env(source, "env.py")


GIVE = 'config.set_main_option("sqlalchemy.url", '
UNCERTAIN = {
    "added to": f'url = settings.url\nurl += "?sslmode=require"\n{GIVE}url)',
    "of two": f"url = settings.url\nif settings.CI:\n    url = settings.other\n{GIVE}url)",
    "given twice": f"{GIVE}settings.url)\nif settings.CI:\n    {GIVE}settings.other)",
    "another host": f'{GIVE}settings.url.replace("@pgbouncer", "@pg-direct"))',
    "another host before": f'url = settings.url.replace("6432", "5432")\n{GIVE}url)',
    "of a function": (
        f'def url():\n    return settings.url.replace("@pgbouncer", "@pg")\n\n\n{GIVE}url())'
    ),
}  # fmt: skip


@pytest.mark.parametrize("first", UNCERTAIN.values(), ids=UNCERTAIN)
def test_a_url_that_is_not_certain_is_not_named_and_stays(first: str) -> None:
    source = _source(SYNC, first, "", "notify()", "")
    assert named_source(source) is None
    assert first in adapt_env(source, "env.py")


@pytest.mark.parametrize(
    "given",
    [
        'settings.url.replace("postgres://", "postgresql://", 1)',
        'settings.url.replace("+asyncpg", "+psycopg")',
        'str(settings.url).replace("postgresql+asyncpg", "postgresql").replace("%", "%%")',
    ],
)
def test_a_driver_that_is_replaced_means_the_same_database(given: str) -> None:
    source = _source(SYNC, f"{GIVE}{given})", "", "notify()", "")
    assert named_source(source) == "myapp:settings.url"
    assert "sqlalchemy.url" not in adapt_env(source, "env.py")

"""An env.py of any known shape becomes one for tenants, keeps what is its own, and is then left."""

from __future__ import annotations

import ast
from pathlib import Path

import alembic
import pytest

from tenantmig.errors import EnvironmentFileError
from tenantmig.history.adaptation.adapt_env import adapt_env

TEMPLATES = Path(alembic.__file__).parent / "templates"
END = """
if context.is_offline_mode():
    run_migrations_offline()
else:
    run_migrations_online()
"""
INVERTED = """
if not context.is_offline_mode():
    run_migrations_online()
else:
    run_migrations_offline()
"""
HEAD = """
from alembic import context
from sqlalchemy import create_engine, engine_from_config, pool
from myapp import Base, include_object, naming
config = context.config
target_metadata = Base.metadata
def run_migrations_offline():
    url = config.get_main_option("sqlalchemy.url")
    context.configure(url=url, target_metadata=target_metadata, compare_type=True)
    with context.begin_transaction():
        context.run_migrations()
"""
BEGIN = """
def run_migrations_online():
    engine = create_engine("postgresql://")
    with engine.begin() as conn:
        context.configure(
            connection=conn,  # ours
            target_metadata=target_metadata,
            include_object=include_object,
            include_schemas=True,
            version_table_schema="public",
        )
        with context.begin_transaction():
            context.run_migrations()
"""
GIVEN = """
def do_run(connection):
    context.configure(connection=connection, target_metadata=target_metadata,
                      on_version_apply=naming, render_as_batch=True)
    with context.begin_transaction():
        context.run_migrations()

async def run_async():
    connectable = engine_from_config({})
    async with connectable.connect() as connection:
        await connection.run_sync(do_run)

def run_migrations_online():
    connectable = config.attributes.get("connection", None)
    if connectable is None:
        asyncio.run(run_async())
    else:
        do_run(connectable)
"""
OLD_ASYNC = GIVEN.split("def run_migrations_online", maxsplit=1)[0].replace(
    "run_async", "run_migrations_online"
)
OLD = """
def run_migrations_online():
    engine = engine_from_config(config.get_section(config.config_ini_section))
    connection = engine.connect()
    context.configure(connection=connection, target_metadata=target_metadata, compare_type=True)
    try:
        with context.begin_transaction():
            context.run_migrations()
    finally:
        connection.close()
"""
LOOP = """
def run_migrations_online():
    engine = create_engine("postgresql://")
    with engine.connect() as connection:
        for schema in naming():
            connection.execute(f'CREATE SCHEMA IF NOT EXISTS "{schema}"')
            context.configure(connection=connection, target_metadata=target_metadata,
                              version_table_schema=schema, compare_type=True)
            with context.begin_transaction():
                context.run_migrations()
"""


def _online(source: str) -> dict[str, str]:
    """Return the arguments of the call of configure() that has a connection."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "context.configure":
            found = {str(k.arg): ast.unparse(k.value) for k in node.keywords}
            if "connection" in found:
                return found
    raise AssertionError(source)


@pytest.mark.parametrize("name", ["generic", "async", "multidb", "pyproject", "pyproject_async"])
def test_alembics_own_templates(name: str) -> None:
    adapted = adapt_env((TEMPLATES / name / "env.py").read_text(), "env.py")
    compile(adapted, "env.py", "exec")
    assert "engine_from_config" not in adapted
    assert "tenant.session()" in adapted
    assert "context.execute(tenant.search_path_sql)" in adapted
    assert _online(adapted)["version_table_schema"] == "tenant.schema"
    assert _online(adapted)["transaction_per_migration"] == "True"
    assert adapt_env(adapted, "env.py") == adapted


@pytest.mark.parametrize(
    ("online", "end", "kept"),
    [
        (BEGIN, END, {"include_object": "include_object", "connection": "conn"}),
        ("import asyncio\n" + GIVEN, END, {"render_as_batch": "True"}),
        (
            "import asyncio\n" + OLD_ASYNC,
            END.replace("run_migrations_online()", "asyncio.run(run_migrations_online())"),
            {"render_as_batch": "True"},
        ),
        (OLD, END, {"compare_type": "True"}),
        (LOOP, END, {"compare_type": "True"}),
        (
            OLD,
            INVERTED,
            {"compare_type": "True"},
        ),
    ],
    ids=["begin", "attributes", "old-async", "no-with", "loop", "other-way-round"],
)
def test_shapes_that_people_write(online: str, end: str, kept: dict[str, str]) -> None:
    adapted = adapt_env(HEAD + online + end, "env.py")
    compile(adapted, "env.py", "exec")
    given = _online(adapted)
    assert kept.items() <= given.items()
    assert given["version_table_schema"] == "tenant.schema"
    assert given["include_schemas"] == "False"
    assert "assert_in_tenant" in given["on_version_apply"]
    assert ("naming" in given["on_version_apply"]) is ("on_version_apply=naming" in online)
    assert "engine.connect" not in adapted
    assert "CREATE SCHEMA" not in adapted
    assert "asyncio" not in adapted
    assert adapted.count("tenant.session()") == 1
    assert adapt_env(adapted, "env.py") == adapted


def test_what_has_no_known_shape_is_refused_with_what_to_do() -> None:
    for source, words in (
        (
            "from alembic import context\ncontext.configure()\ncontext.run_migrations()\n",
            "automatically",
        ),
        ("import os\n", "context.run_migrations"),
        ("def f(:\n", "env.py, line 1: a syntax error"),
    ):
        with pytest.raises(EnvironmentFileError, match=words):
            adapt_env(source, "env.py")

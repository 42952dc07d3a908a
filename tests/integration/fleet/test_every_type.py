"""Autogenerate and every type of SQLAlchemy: a column that is new, is there, changes, is gone."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

from tenantmig import Fleet
from tenantmig.domain.draft import Draft, RevisionReport
from tenantmig.errors import HistoryError
from tests.fixtures.command import Project
from tests.fixtures.database import Database
from tests.fixtures.models import with_models, write_models

IMPORTS = """
import enum
import sqlalchemy_utils as su
from sqlalchemy import types
class Mood(enum.Enum):
    glad = 1
    sad = 2
class Wrapped(types.TypeDecorator):
    impl = sa.Enum("on", "off", name="switch")
    cache_ok = True
"""
TYPES = {  # what stands in the models; the key names a type of SQLAlchemy, if it is in capitals
    "ARRAY": "sa.ARRAY(sa.Integer)",
    "BIGINT": "sa.BIGINT",
    "BINARY": None,  # PostgreSQL has none of these
    "BLOB": None,
    "CLOB": None,
    "DATETIME": None,
    "DOUBLE": None,
    "NCHAR": None,
    "NVARCHAR": None,
    "VARBINARY": None,
    "BOOLEAN": "sa.BOOLEAN",
    "CHAR": "sa.CHAR(3)",
    "DATE": "sa.DATE",
    "DECIMAL": "sa.DECIMAL(9, 2)",
    "DOUBLE_PRECISION": "sa.DOUBLE_PRECISION",
    "FLOAT": "sa.FLOAT",
    "INT": "sa.INT",
    "INTEGER": "sa.INTEGER",
    "JSON": "sa.JSON",
    "NUMERIC": "sa.NUMERIC(7, 3)",
    "REAL": "sa.REAL",
    "SMALLINT": "sa.SMALLINT",
    "TEXT": "sa.TEXT",
    "TIME": "sa.TIME",
    "TIMESTAMP": "sa.TIMESTAMP(timezone=True)",
    "UUID": "sa.UUID",
    "VARCHAR": "sa.VARCHAR(20)",
    "BIT": "postgresql.BIT(4)",
    "BYTEA": "postgresql.BYTEA",
    "CIDR": "postgresql.CIDR",
    "CITEXT": None,  # of extensions that the embedded server lacks
    "HSTORE": None,
    "DATEMULTIRANGE": "postgresql.DATEMULTIRANGE",
    "DATERANGE": "postgresql.DATERANGE",
    "DOMAIN": "postgresql.DOMAIN('positive', sa.Integer, check=sa.text('VALUE > 0'))",
    "ENUM": "postgresql.ENUM('red', \"it's :x 100%\", name='color')",
    "INET": "postgresql.INET",
    "INT4MULTIRANGE": "postgresql.INT4MULTIRANGE",
    "INT4RANGE": "postgresql.INT4RANGE",
    "INT8MULTIRANGE": "postgresql.INT8MULTIRANGE",
    "INT8RANGE": "postgresql.INT8RANGE",
    "INTERVAL": "postgresql.INTERVAL(precision=3)",
    "JSONB": "postgresql.JSONB",
    "JSONPATH": "postgresql.JSONPATH",
    "MACADDR": "postgresql.MACADDR",
    "MACADDR8": "postgresql.MACADDR8",
    "MONEY": "postgresql.MONEY",
    "NUMMULTIRANGE": "postgresql.NUMMULTIRANGE",
    "NUMRANGE": "postgresql.NUMRANGE",
    "OID": "postgresql.OID",
    "REGCLASS": "postgresql.REGCLASS",
    "REGCONFIG": "postgresql.REGCONFIG",
    "TSMULTIRANGE": "postgresql.TSMULTIRANGE",
    "TSQUERY": "postgresql.TSQUERY",
    "TSRANGE": "postgresql.TSRANGE",
    "TSTZMULTIRANGE": "postgresql.TSTZMULTIRANGE",
    "TSTZRANGE": "postgresql.TSTZRANGE",
    "TSVECTOR": "postgresql.TSVECTOR",
    # generic ones, which have other names, and those of others
    "big": "sa.BigInteger",
    "boolean": "sa.Boolean",
    "boolean_checked": "sa.Boolean(create_constraint=True, name='flag')",
    "date": "sa.Date",
    "datetime": "sa.DateTime(timezone=True)",
    "double": "sa.Double",
    "float": "sa.Float(30)",
    "interval": "sa.Interval",
    "binary": "sa.LargeBinary",
    "match": "sa.Numeric",
    "pickle": "sa.PickleType",
    "small": "sa.SmallInteger",
    "string": "sa.String(9)",
    "text": "sa.Text",
    "time": "sa.Time",
    "unicode": "sa.Unicode(5)",
    "unicode_text": "sa.UnicodeText",
    "uuid": "sa.Uuid",
    "uuid_text": "sa.Uuid(native_uuid=False)",
    "json": "sa.JSON(none_as_null=True)",
    "variant": "sa.JSON().with_variant(postgresql.JSONB(), 'postgresql')",
    "enum": "sa.Enum(Mood)",
    "enum_again": "sa.Enum(Mood)",
    "enum_array": "postgresql.ARRAY(sa.Enum('a', 'b', name='letter'))",
    "enum_quoted": "sa.Enum('x', name='Odd Name')",
    "enum_text": "sa.Enum('s', 't', name='texts', native_enum=False)",
    "enum_checked": "sa.Enum('c', name='ticked', native_enum=False, create_constraint=True)",
    "wrapped": "Wrapped",
    "arrays": "postgresql.ARRAY(sa.Text, dimensions=2)",
    "su_email": "su.EmailType",
    "su_choice": "su.ChoiceType([('a', 'A')])",
    "su_url": "su.URLType",
    "su_uuid": "su.UUIDType",
    "su_json": "su.JSONType",
    "su_ip": "su.IPAddressType",
    "su_country": "su.ScalarListType",
}
COLUMNS = {
    f"t_{name.lower()}" if name.isupper() else name: text for name, text in TYPES.items() if text
}
ABSTRACT = {
    "BIT_VARYING", "TypeDecorator", "TypeEngine", "UserDefinedType", "ExternalType", "SchemaType",
    "Indexable", "Concatenable", "Emulated", "NativeForEmulated", "NullType", "ARRAY",
}  # fmt: skip
STYLES = pytest.mark.parametrize("style", [None, "tenant"])


def models(columns: dict[str, str], style: str | None, table: str = "every") -> str:
    given = "".join(f"    sa.Column({name!r}, {text}),\n" for name, text in columns.items())
    start = f"sa.Table({table!r}, metadata, sa.Column('id', sa.Integer, primary_key=True),\n"
    place = ", schema='tenant'" if style else ""
    text = f"{IMPORTS}\n{start}{given}    schema={style!r})\n"
    for named in ("name='", "('positive', sa.Integer", "sa.Enum(Mood"):
        for whole in (m for m in columns.values() if named in m and "native_enum" not in m):
            if "Boolean" not in whole:
                text = text.replace(whole, _placed(whole, place))
    return text.replace("name='switch'", "name='switch'")


def _placed(text: str, place: str) -> str:
    """Say the schema in the innermost call."""
    at = text.rindex(")") if "ARRAY" not in text else text.rindex(")", 0, text.rindex(")"))
    return text[:at] + place + text[at:] if place and place not in text else text


def test_the_table_has_every_type_there_is() -> None:
    there = {
        name
        for module in (sa.types, postgresql)
        for name, kind in inspect.getmembers(module, inspect.isclass)
        if issubclass(kind, sa.types.TypeEngine) and name.isupper()
    }
    assert there - set(TYPES) - {"VARYING"} <= {"STRINGTYPE", "NULLTYPE"} | ABSTRACT


def draft(project: Project, text: str, **more: Any) -> RevisionReport:
    write_models(project, text, convention="")
    with Fleet.open(project.ini, database_url=project.url, parallel=1) as fleet:
        return fleet.revision(Draft("next", is_autogenerated=True, **more))


@pytest.mark.slow
@STYLES
def test_a_column_of_every_type_is_made_is_no_noise_changes_and_goes(
    tmp_path: Path, database: Database, style: str | None
) -> None:
    project = with_models(
        tmp_path,
        database,
        ("r1", "op.create_table('few', sa.Column('id', sa.Integer, primary_key=True))",
         "op.drop_table('few')"),
    )  # fmt: skip
    few = "\nsa.Table('few', metadata, sa.Column('id', sa.Integer, primary_key=True), {}"
    few += f"schema={style!r})"
    added = {
        "mood": _placed("sa.Enum(Mood)", ", schema='tenant'" if style else ""),
        "size": _placed("sa.Enum('s', 'm', name='size')", ", schema='tenant'" if style else ""),
        "flag": "sa.Boolean",
    }
    more = "".join(f"sa.Column({name!r}, {text}), " for name, text in added.items())
    whole = models(COLUMNS, style) + few.format(more)
    # new, with its table and as a column of a table that is there
    (script,) = draft(project, whole, rev_id="r2").scripts
    assert "scratch" not in script.text
    compile(script.text, "r2", "exec")
    project.run("onboard", "acme", "beta")
    # the columns that are there are no change, and the way back drops the types
    told = project.run("check", "--json", expect=None).json
    assert told["changes"] == []
    assert {one["downgrade"] for one in told["revisions"]} == {"sound"}, told["revisions"]
    # changed: each has the type of its neighbour
    names, texts = list(COLUMNS), list(COLUMNS.values())
    changed = dict(zip(names, [*texts[1:], texts[0]], strict=True))
    report = draft(project, models(changed, style) + few.format(more), is_dry_run=True)
    assert "tenantmig_scratch" not in report.scripts[0].text
    assert len(report.changes) > 30
    # gone, and a label more and one less
    gone = few.format(more.replace("'s', 'm'", "'s', 'l'"))
    (script,) = draft(project, IMPORTS + gone, rev_id="r3").scripts
    for name in ("color", "letter", '"Odd Name"', "switch", "positive"):
        assert f" {name}" in script.text.partition("def downgrade")[0], name
    assert "mood" not in script.text.partition("def downgrade")[0].replace("'mood'", "")
    told = project.run("check", "--json", expect=None).json
    assert told["changes"] == []
    assert {one["downgrade"] for one in told["revisions"]} == {"sound"}, told["revisions"]
    project.run("upgrade")
    labels = "SELECT enum_range(NULL::acme.size)::text"
    assert database.fetch(labels) == [("{s,l}",)]
    project.run("downgrade", "r1", "--all", "--yes")
    left = "SELECT count(*) FROM pg_type t JOIN pg_namespace n ON n.oid = typnamespace"
    assert database.fetch(f"{left} WHERE nspname = 'acme' AND typtype IN ('e', 'd')") == [(0,)]


@pytest.mark.slow
@STYLES
def test_with_alembic_postgresql_enum_in_env_py_the_script_is_every_tenants(
    tmp_path: Path, database: Database, style: str | None
) -> None:
    project = with_models(tmp_path, database)
    env = project.script_location / "env.py"
    env.write_text("import alembic_postgresql_enum\n" + env.read_text())
    place = f", schema={style!r}" if style else ""
    text = f"sa.Table('t', metadata, sa.Column('e', sa.Enum('a', 'b', name='e'{place})){place})"
    (first,) = draft(project, text, rev_id="r1").scripts
    more = text.replace("'b'", "'b', 'c'")
    (second,) = draft(project, more, rev_id="r2").scripts
    for script in (first, second):
        assert "scratch" not in script.text
    assert "ADD VALUE 'c' AFTER 'b'" in second.text
    assert draft(project, more).scripts == ()
    project.run("onboard", "acme", "beta")
    project.run("downgrade", "r1", "-t", "acme", "--yes")
    assert database.fetch("SELECT enum_range(NULL::acme.e)::text") == [("{a,b}",)]
    assert database.fetch("SELECT enum_range(NULL::beta.e)::text") == [("{a,b,c}",)]
    told = project.run("check", "--json").json
    assert {one["downgrade"] for one in told["revisions"]} == {"sound"}


@pytest.mark.slow
def test_a_script_that_names_the_scratch_schema_is_refused(
    tmp_path: Path, database: Database
) -> None:
    hook = """process_revision_directives=lambda context, _, found: found[0].upgrade_ops.ops.append(
        __import__("alembic").operations.ops.ExecuteSQLOp(
            "COMMENT ON SCHEMA " + context.connection.exec_driver_sql(
                "SELECT current_schema()").scalar() + " IS 'x'")),"""
    project = with_models(tmp_path, database, options=hook)
    text = "sa.Table('t', metadata, sa.Column('a', sa.Integer))"
    with pytest.raises(HistoryError, match="would name the scratch schema, which no tenant"):
        draft(project, text)
    assert list((project.script_location / "versions").glob("*.py")) == []


@pytest.mark.slow
def test_types_of_extensions_are_rendered_with_their_import(
    tmp_path: Path, database: Database
) -> None:
    """pgvector and geoalchemy2: the embedded server lacks the extensions, so nothing runs."""
    text = """
from pgvector.sqlalchemy import HALFVEC, Vector
from geoalchemy2 import Geometry
sa.Table("t", metadata, sa.Column("v", Vector(3)), sa.Column("h", HALFVEC(2)),
         sa.Column("g", Geometry("POINT", srid=4326, spatial_index=False)),
         sa.Column("c", postgresql.CITEXT), sa.Column("k", postgresql.HSTORE))
"""
    project = with_models(tmp_path, database)
    (script,) = draft(project, text, is_dry_run=True).scripts
    for wanted in ("VECTOR(dim=3)", "HALFVEC(dim=2)", "Geometry(", "CITEXT()", "HSTORE("):
        assert wanted in script.text, script.text
    compile(script.text, "t", "exec")

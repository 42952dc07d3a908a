"""The allow-lists of the proof: names of libraries that keep no state and do nothing outside.

What does not stand here is not known, and what uses it is not proved. A project may add modules of
its own with the setting `pure_modules`. Facts are from the libraries' own code (SQLAlchemy 2.1,
Alembic 1.20, psycopg 3.3).
"""

from __future__ import annotations

from fnmatch import fnmatchcase
from functools import lru_cache

BUILTINS = frozenset(
    """
    abs all any ascii bin bool bytearray bytes chr complex dict divmod enumerate filter float format
    frozenset int isinstance issubclass iter len list map max min next object oct ord pow print
    property staticmethod classmethod
    range repr reversed round set slice sorted str sum tuple zip True False None NotImplemented
    Exception ValueError RuntimeError KeyError TypeError LookupError IndexError AttributeError
    NotImplementedError AssertionError ArithmeticError StopIteration ImportError OSError
    ModuleNotFoundError DeprecationWarning UserWarning RuntimeWarning UnicodeError
    UnicodeDecodeError OverflowError ZeroDivisionError PermissionError FileNotFoundError
    """.split()  # noqa: SIM905  eighty quotes less
)

PATTERNS = (
    # Alembic: every directive, but for those that add directives or run something else
    "alembic", "alembic.op", "alembic.context", "alembic.context.*",
    "alembic.util.CommandError", "alembic.util", "alembic.util.exc.*",
    "alembic.operations.Operations", "alembic.operations.BatchOperations",
    # SQLAlchemy: what makes statements, tables and types
    "sqlalchemy", "sqlalchemy.*",
    # types and entities of other libraries
    "sqlmodel", "sqlmodel.AutoString", "sqlmodel.sql.sqltypes.*", "sqlmodel.sql.sqltypes",
    "sqlmodel.sql", "pgvector.sqlalchemy", "pgvector.sqlalchemy.*", "geoalchemy2",
    "geoalchemy2.types.*", "geoalchemy2.types", "geoalchemy2.Geometry", "geoalchemy2.Geography",
    "geoalchemy2.Raster", "sqlalchemy_utils", "sqlalchemy_utils.types", "sqlalchemy_utils.types.*",
    "sqlalchemy_utils.*Type", "alembic_utils", "alembic_utils.*", "citext", "citext.CIText",
    "fastapi_users_db_sqlalchemy.generics.*", "fastapi_users_db_sqlalchemy.generics",
    "advanced_alchemy.types", "advanced_alchemy.types.*",
    # the standard library
    "typing", "typing.*", "typing_extensions", "typing_extensions.*", "collections.abc",
    "collections.abc.*", "collections", "collections.*", "abc.*", "types", "types.*", "__future__",
    "__future__.*", "textwrap", "textwrap.*", "itertools", "itertools.*", "functools",
    "functools.partial", "functools.reduce", "functools.wraps", "operator", "operator.*", "string",
    "string.*", "json", "json.dumps", "json.loads", "json.JSONDecodeError", "re", "re.*",
    "decimal", "decimal.*", "fractions", "fractions.*", "datetime", "datetime.*", "time",
    "time.*", "uuid", "uuid.*", "random", "random.*", "secrets", "secrets.*", "hashlib",
    "hashlib.*", "base64", "base64.*", "binascii", "binascii.*", "zlib.crc32", "zlib", "math",
    "math.*", "statistics", "statistics.*", "enum", "enum.*", "dataclasses", "dataclasses.*",
    "contextlib", "contextlib.contextmanager", "contextlib.nullcontext", "contextlib.suppress",
    "contextlib.closing", "logging", "logging.getLogger", "logging.INFO", "logging.DEBUG",
    "logging.WARNING", "logging.ERROR", "warnings", "warnings.warn", "pathlib", "pathlib.Path",
    "pathlib.PurePath", "os", "os.path", "os.path.join", "os.path.dirname", "os.path.abspath",
    "os.path.realpath", "os.path.basename", "os.path.normpath",
    "os.path.exists", "os.path.isfile", "os.path.isdir", "urllib.parse",
    "urllib.parse.urlsplit", "urllib.parse.urlparse", "urllib.parse.quote", "inspect.cleandoc",
    "copy", "copy.copy", "copy.deepcopy", "packaging.version", "packaging.version.*",
    "importlib", "importlib.resources", "importlib.resources.files",
    "tenantmig", "tenantmig.irreversible", "abc", "os.sep", "os.linesep", "sqlalchemy.__version__",
    "alembic.__version__", "warnings.catch_warnings",
)  # fmt: skip
DIRECTIVES = frozenset(
    """
    add_column alter_column batch_alter_table bulk_insert create_check_constraint
    create_exclude_constraint create_foreign_key create_index create_primary_key create_table
    create_table_comment create_unique_constraint drop_column drop_constraint drop_index drop_table
    drop_table_comment execute f get_bind get_context inline_literal rename_table
    create_entity replace_entity drop_entity
    """.split()  # noqa: SIM905  thirty quotes less
)
"""Alembic's own directives and those of alembic-utils; a project may register others."""
REFUSED = (
    # what opens connections, hears of everything, or changes the library itself
    "alembic.context.configure", "alembic.context._*", "alembic.context.config.*",
    "sqlalchemy.create_engine", "sqlalchemy.create_mock_engine", "sqlalchemy.engine_from_config",
    "sqlalchemy.create_pool_from_url", "sqlalchemy.event", "sqlalchemy.event.*",
    "sqlalchemy.ext.*", "sqlalchemy.engine.create*", "sqlalchemy.pool.*", "sqlalchemy.util.*",
    "sqlalchemy.log.*", "sqlalchemy.inspection.*", "sqlalchemy.orm.clear_mappers",
    "sqlalchemy.orm.configure_mappers", "sqlalchemy.orm.scoped_session",
    "sqlalchemy.orm.events.*", "sqlalchemy.dialects.registry*", "sqlalchemy.future.create*",
    "sqlalchemy.testing.*", "sqlalchemy.sql.compiler.*", "sqlalchemy.orm.collections.*",
    "collections.abc.*.register", "time.sleep.*", "random.seed", "random.setstate",
    "random.shuffle", "decimal.setcontext",
    "decimal.getcontext", "decimal.localcontext", "re.purge", "typing.overload",
    "enum.*.register", "sqlalchemy.exc.*.register", "uuid.getnode", "types.ModuleType",
    "types.FunctionType", "types.CodeType", "types.MethodType", "operator.attrgetter",
    "operator.methodcaller", "operator.setitem", "operator.delitem", "operator.i*",
    "collections.abc.*.*", "sqlalchemy.orm.registry",
    "sqlalchemy.sql.functions.register*", "sqlalchemy.sql.functions.GenericFunction",
)  # fmt: skip
KEPT = frozenset(
    {"sqlalchemy.ext.declarative.declarative_base", "sqlalchemy.event", "operator.itemgetter"}
)
"""What is allowed though a pattern of `REFUSED` has it."""

ENVIRONMENT = frozenset(
    {"tenantmig.env", "tenantmig.env.TenantEnv", "tenantmig.env.SharedEnv",
     "tenantmig.env.assert_in_tenant", "alembic.context.configure", "logging.config",
     "logging.config.fileConfig", "logging.config.dictConfig", "logging.basicConfig"}
)  # fmt: skip
"""What env.py may use beside."""

MOMENTS = (
    "datetime.datetime.now", "datetime.datetime.utcnow", "datetime.datetime.today",
    "datetime.date.today", "time.*", "uuid.uuid1", "uuid.uuid4", "uuid.uuid6", "uuid.uuid7",
    "uuid.uuid8", "random.*", "secrets.*",
)  # fmt: skip
"""What gives another answer each time it is asked."""
WITHOUT_MOMENT = ("time.sleep", "time.struct_time")

OF_MODULES = (
    "sqlalchemy.table", "sqlalchemy.column", "sqlalchemy.text", "sqlalchemy.literal",
    "sqlalchemy.literal_column", "sqlalchemy.func.*", "sqlalchemy.null", "sqlalchemy.true",
    "sqlalchemy.false", "sqlalchemy.select", "sqlalchemy.insert", "sqlalchemy.update",
    "sqlalchemy.delete", "sqlalchemy.sql.*", "sqlalchemy.bindparam", "sqlalchemy.and_",
    "sqlalchemy.or_", "sqlalchemy.not_", "sqlalchemy.cast", "sqlalchemy.case",
    "sqlalchemy.dialects.postgresql.insert", "sqlalchemy.quoted_name",
    "alembic_utils.*", "logging.getLogger", "re.compile", "typing.*", "collections.namedtuple",
    "functools.partial", "operator.*", "decimal.*", "datetime.*", "uuid.UUID", "fractions.*",
    "types.MappingProxyType", "types.SimpleNamespace", "packaging.version.*",
)  # fmt: skip
"""What a module may hold: using it leaves it as it was. So it is with types (see `is_type`)."""

CONNECTION = frozenset({"execute", "scalar", "scalars", "exec_driver_sql", "begin_nested",
                        "in_transaction", "closed", "default_isolation_level",
                        "in_nested_transaction"})  # fmt: skip
COMMITS = frozenset({"commit", "rollback", "begin"})
CONTEXT = frozenset({"autocommit_block", "as_sql", "execute", "get_current_revision",
                     "get_current_heads", "version_table", "begin_transaction",
                     "static"})  # fmt: skip
DIALECT = frozenset({"quote", "quote_identifier", "format_table", "quote_schema", "name", "driver",
                     "server_version_info", "dialect_description", "paramstyle", "has_table",
                     "identifier_preparer", "type_compiler", "max_identifier_length",
                     "type_descriptor", "supports_*", "implicit_returning"})  # fmt: skip
INSPECTOR = frozenset({"get_*", "has_*", "clear_cache", "sort_tables_on_foreign_key_dependency",
                       "reflect_table"})  # fmt: skip
FILE = frozenset({"parent", "parents", "name", "stem", "suffix", "with_suffix", "with_name",
                  "joinpath", "resolve", "absolute", "read_text", "read_bytes", "exists", "is_file",
                  "is_dir", "glob", "iterdir", "as_posix", "read", "readlines", "readline",
                  "relative_to", "open", "close", "encoding"})  # fmt: skip
TABLE = frozenset({"c", "columns", "insert", "update", "delete", "select", "join", "outerjoin",
                   "alias", "name", "key", "fullname", "primary_key", "create", "drop",
                   "exists"})  # fmt: skip
METADATA = frozenset({"create_all", "drop_all", "tables", "sorted_tables"})
CHANGING = frozenset(
    """
    append extend insert remove pop clear sort reverse update setdefault add discard popitem
    appendleft extendleft popleft rotate intersection_update difference_update move_to_end subtract
    symmetric_difference_update __setitem__ __delitem__ write writelines append_column
    append_constraint add_is_dependent_on to_metadata tometadata _set_parent reflect
    append_ddl_listener append_foreign_key
    """.split()  # noqa: SIM905  thirty quotes less
)
"""Methods that change what they belong to."""
TELLING = frozenset({"bind", "engine", "connection", "context", "cursor", "info", "dialect",
                     "dispatch", "metadata", "session", "get_bind"})  # fmt: skip
"""Attributes by which data and constructs could lead to the connection."""


def matches(path: str, patterns: tuple[str, ...] | frozenset[str]) -> bool:
    """True when a dotted name is one of these patterns."""
    if path in patterns:
        return True
    wild, starts = _wild(patterns)
    return path.startswith(starts) and any(fnmatchcase(path, pattern) for pattern in wild)


@lru_cache
def _wild(patterns: tuple[str, ...] | frozenset[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the patterns with a star, and what stands before it in each."""
    wild = tuple(pattern for pattern in patterns if "*" in pattern)
    return wild, tuple(pattern.partition("*")[0] for pattern in wild)


def is_allowed(path: str, more: tuple[str, ...] = ()) -> bool:
    """True when a name of a library may be used; the project vouches for the modules `more`."""
    if any(path == name or path.startswith(name + ".") for name in more):
        return True
    if matches(path, REFUSED) and path not in KEPT:
        return False
    if path.startswith("alembic.op."):
        return path.removeprefix("alembic.op.") in DIRECTIVES
    return matches(path, PATTERNS)


def is_type(path: str) -> bool:
    """True when a class of a library is that of a column type without state of its own.

    A type that is also an object of the schema (`Enum`) may take the schema of the table that it
    is used in (SQLAlchemy 2.1, `SchemaType.inherit_schema`).
    """
    found = resolve(path)
    return isinstance(found, type) and _is_type_class(found) and not is_schema_type(path)


def is_schema_type(path: str) -> bool:
    """True when a class of a library is that of a type which is created in a schema."""
    from sqlalchemy.sql.sqltypes import SchemaType  # noqa: PLC0415  a reader needs none of it

    found = resolve(path)
    is_boolean = isinstance(found, type) and found.__name__.lower() == "boolean"
    return isinstance(found, type) and issubclass(found, SchemaType) and not is_boolean


def _is_type_class(found: type) -> bool:
    from sqlalchemy.types import TypeEngine  # noqa: PLC0415  the same

    return issubclass(found, TypeEngine)


def resolve(path: str) -> object | None:
    """Return what a dotted name of an allowed library means, if that library is loaded."""
    import sys  # noqa: PLC0415  the same

    parts = path.split(".")
    for end in range(len(parts), 0, -1):
        found: object | None = sys.modules.get(".".join(parts[:end]))
        if found is None:
            continue
        for name in parts[end:]:
            found = getattr(found, name, None)
        return found
    return None

"""The rules of tenancy: each looks at one revision and says what would break in it. Pure.

`RULES` are all of them; what squawk looks for (locks, rewrites, clients that break) is not here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from tenantmig.domain.tenant import PLACEHOLDER
from tenantmig.lint import Told
from tenantmig.lint.names import CREATES, Name, Role, names_in
from tenantmig.lint.revision import Revision
from tenantmig.lint.rules_of_concurrency import autocommit_not_idempotent, concurrent_index_mixed
from tenantmig.lint.statements import Statement, enum_name, nodes, option, strings

LOCKING = frozenset(
    """
    alter_table_stmt index_stmt drop_stmt truncate_stmt rename_stmt create_trig_stmt rule_stmt
    create_policy_stmt alter_policy_stmt lock_stmt cluster_stmt vacuum_stmt reindex_stmt
    alter_object_schema_stmt alter_owner_stmt refresh_mat_view_stmt
    """.split()  # noqa: SIM905  thirty quotes less
)
"""Statements that lock a relation which is there already against those who write it."""
COMPILED = frozenset({"c", "internal"})
"""Languages whose functions look no name up."""


def hard_coded_schema(revision: Revision) -> Iterator[Told]:
    """A schema stands in the script: every tenant would write, or read, the same one."""
    instead = "leave out the schema: the search path of each tenant leads to its own"
    for statement in revision.with_inner:
        for name in _names_by_schema(statement):
            is_written = name.role is Role.WRITES and not revision.is_own(name.schema)
            is_read = name.role is Role.READS and not revision.is_readable(name.schema)
            if (is_written and not _locks_shared(statement, name, revision)) or is_read:
                why = f"every tenant {'writes' if is_written else 'reads'} the same {name.full}"
                shared = (
                    "; change what all tenants share once, outside their history"
                    if name.schema in revision.shared_schemas
                    else ""
                )
                yield Told(statement.line, "hard-coded-schema", why, instead + shared)
        for schema in _named_schemas(statement):
            if not revision.is_own(schema):
                why = f"the schema {schema} is the same for every tenant"
                yield Told(statement.line, "hard-coded-schema", why, instead)


def _names_by_schema(statement: Statement) -> Iterator[Name]:
    return iter({(n.schema, n.role): n for n in names_in(statement) if n.schema}.values())


def _locks_shared(statement: Statement, name: Name, revision: Revision) -> bool:
    is_shared = name.schema in revision.shared_schemas
    return is_shared and statement.kind in LOCKING and name.what == "relation"


def _named_schemas(statement: Statement) -> Iterator[str]:
    """Return schemas that a statement names by themselves."""
    node, kind = statement.node, statement.kind
    if kind == "variable_set_stmt" and node.name == "search_path":
        for value in node.args:
            yield value.a_const.sval.sval
    elif kind == "create_schema_stmt":
        yield node.schemaname
    elif kind == "alter_object_schema_stmt":
        yield node.newschema
    elif kind in {"drop_stmt", "grant_stmt"}:
        field = "remove_type" if kind == "drop_stmt" else "objtype"
        is_schema = enum_name(node, field) == "OBJECT_SCHEMA"
        is_all_in = kind == "grant_stmt" and enum_name(node, "targtype").endswith("ALL_IN_SCHEMA")
        if is_schema or is_all_in:
            yield from strings(node.objects)


def extension_in_tenant(revision: Revision) -> Iterator[Told]:
    """CREATE EXTENSION, which belongs to the database and not to a tenant."""
    for statement in revision.with_inner:
        node, kind = statement.node, statement.kind
        if kind == "create_extension_stmt":
            yield Told(
                statement.line,
                "extension-in-tenant",
                f"{node.extname} would be in the schema of the first tenant; offboarding "
                "that tenant would drop the columns of all others that use it",
                "create it once, in a schema of its own, and add that schema to extension_schemas",
            )
        elif kind == "drop_stmt" and enum_name(node, "remove_type") == "OBJECT_EXTENSION":
            yield Told(
                statement.line,
                "extension-in-tenant",
                f"the extension {', '.join(strings(node.objects))} serves all tenants",
                "drop it once, outside the tenants' history, when no tenant uses it any more",
            )


def only_in_public(revision: Revision) -> Iterator[Told]:
    """A name without a schema that no revision creates: `public` is on no tenant's search path."""
    is_told = revision.is_whole and not revision.known.is_blind
    for statement in revision.statements if is_told else ():
        is_optional = getattr(statement.node, "missing_ok", False)
        if is_optional or statement.kind == "rule_stmt" or _is_about_index(statement):
            continue
        missing = {n.name: n for n in names_in(statement) if _is_missing(n, statement, revision)}
        for name in missing.values():
            also = " or set extension_schemas" if name.what != "relation" else ""
            yield told_only_in_public(statement.line, name.what, name.name, also)


def told_only_in_public(line: int, what: str, name: str, also: str = "") -> Told:
    """Tell of a name that no revision creates."""
    return Told(
        line,
        "only-in-public",
        f"no revision creates the {what} {name}, and public is not on the search path of a tenant",
        f"write public.{name} if you mean that one{also}, or create it in an earlier revision",
    )


def _is_missing(name: Name, statement: Statement, revision: Revision) -> bool:
    is_written_out = name.schema not in {"", PLACEHOLDER}  # directives write the tenant's
    if is_written_out or (name.role is Role.WRITES and statement.kind in CREATES):
        return False
    if name.what != "relation" and (revision.known.is_open or revision.extension_schemas):
        return False  # an extension may bring it
    return not revision.known.has(name)


def _is_about_index(statement: Statement) -> bool:
    """True for ALTER INDEX and its like: names of indexes may be the server's own."""
    fields = {"alter_table_stmt": "objtype", "rename_stmt": "rename_type", "reindex_stmt": "kind"}
    field = fields.get(statement.kind)
    return field is not None and enum_name(statement.node, field).endswith("_INDEX")


def foreign_key_to_tenant(revision: Revision) -> Iterator[Told]:
    """A foreign key into a schema that is neither the tenant's own nor shared."""
    for statement in revision.with_inner:
        for name in names_in(statement):
            if name.role is Role.REFERENCES and not revision.is_readable(name.schema):
                yield Told(
                    statement.line,
                    "foreign-key-to-tenant",
                    f"a row of every tenant would depend on {name.full}, and the tenant "
                    "that owns it could not be offboarded",
                    "reference a table of the tenant itself, without a schema, or a shared one",
                )


def shared_table_lock(revision: Revision) -> Iterator[Told]:
    """A lock on a table that all tenants share, taken once for each tenant."""
    for statement in revision.with_inner:
        names = {n.full: n for n in names_in(statement) if n.what == "relation"}
        for name in names.values():
            is_locked = (
                _locks_shared(statement, name, revision)
                if name.role is Role.WRITES
                else name.schema in revision.shared_schemas and _locks_rows(statement)
            )
            if is_locked:
                yield Told(
                    statement.line,
                    "shared-table-lock",
                    f"{name.full} is locked once for each tenant, and the lock blocks all "
                    "other tenants and the application",
                    "change it once, outside the tenants' history; read it without a lock",
                )


def _locks_rows(statement: Statement) -> bool:
    return any(True for _ in nodes(statement.node, "LockingClause"))


def function_search_path(revision: Revision) -> Iterator[Told]:
    """A function that looks names up on the search path of whoever calls it."""
    for statement in revision.with_inner:
        node = statement.node
        if statement.kind != "create_function_stmt" or node.HasField("sql_body"):
            continue  # names in a body of SQL (BEGIN ATOMIC) are looked up once, here
        language = option(node.options, "language")
        if language is not None and language.sval.lower() in COMPILED:
            continue
        if not any(_sets_search_path(each.def_elem) for each in node.options):
            yield Told(
                statement.line,
                "function-search-path",
                f"{strings(node.funcname)[-1]}() looks up names on the caller's search "
                "path, which may be another tenant's",
                "add SET search_path FROM CURRENT to the function",
            )


def _sets_search_path(element: Any) -> bool:
    return bool(
        element.defname == "set" and element.arg.variable_set_stmt.name.lower() == "search_path"
    )


RULES: tuple[Callable[[Revision], Iterator[Told]], ...] = (
    hard_coded_schema,
    extension_in_tenant,
    only_in_public,
    foreign_key_to_tenant,
    shared_table_lock,
    function_search_path,
    autocommit_not_idempotent,
    concurrent_index_mixed,
)

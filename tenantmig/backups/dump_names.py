"""The names in a statement of a backup: only those of the tenant schema and of a few others. Pure.

A backup names everything with its schema, and is restored with a search path of pg_catalog alone;
so a name without a schema is one of pg_catalog, and needs no look.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from tenantmig.postgres.parsing import UnreadableError, parse

SYSTEM = ("", "pg_catalog", "information_schema")
FREE_TEXTS = frozenset(
    {
        ("A_Indirection", "indirection"), ("AccessPriv", "cols"), ("Alias", "colnames"),
        ("AlterTSConfigurationStmt", "tokentype"), ("ColumnRef", "fields"),
        ("CommonTableExpr", "aliascolnames"), ("Constraint", "fk_attrs"),
        ("Constraint", "fk_del_set_cols"), ("Constraint", "including"), ("Constraint", "keys"),
        ("Constraint", "pk_attrs"), ("CopyStmt", "attlist"), ("CreateEnumStmt", "vals"),
        ("CreateStatsStmt", "stat_types"), ("CreateTrigStmt", "args"),
        ("CreateTrigStmt", "columns"), ("IntoClause", "col_names"), ("JoinExpr", "using_clause"),
        ("ResTarget", "indirection"), ("ViewStmt", "aliases"),
    }
)  # fmt: skip
"""Where a tree has several texts that are no schema and name."""
SECRETS = re.compile(
    r"pg_(authid|shadow|user_mapping|statistic|statistic_ext_data|largeobject\w*|subscription"
    r"|hba_file_rules|ident_file_mappings|file_settings|config|shmem_\w+|aios|backend_memory\w+"
    r"|replication_origin_status|stats\w*|stat_ssl|stat_gssapi|stat_activity|user_mappings"
    r"|stat_replication|stat_wal_receiver|stat_subscription\w*|replication_slots)"
)
"""What not every role may read, or shows other tenants."""
DANGEROUS = re.compile(
    r"(lo_\w+|loread|lowrite|pg_read_\w+|pg_ls_\w+|pg_stat_file|pg_file_\w+|pg_current_logfile"
    r"|pg_(terminate|cancel)_backend|pg_reload_conf|pg_rotate_logfile|pg_promote|pg_switch_wal"
    r"|pg_create_\w+|pg_drop_\w+|pg_copy_\w+|pg_backup_\w+|pg_logical_\w+|pg_replication_\w+"
    r"|pg_(try_)?advisory_\w+|pg_export_snapshot|pg_notify|pg_stat_reset\w*|pg_stat_get_\w+"
    r"|pg_wal_\w+|pg_log_\w+|pg_import_\w+|pg_extension_config_dump|pg_config|pg_hba_file_rules"
    r"|pg_show_\w+|pg_get_(shmem|backend|aios|wal)\w*|pg_ident_\w+|pg_nextoid|pg_restore_\w+"
    r"|pg_set_\w+|pg_clear_\w+|binary_upgrade_\w+|brin_(de)?summarize_\w+|gin_clean_pending_list"
    r"|set_config|setval|table_to_xml\w*|schema_to_xml\w*|database_to_xml\w*|cursor_to_xml\w*"
    r"|dblink\w*|connectby|xpath_table|plpgsql_\w+_handler|postgres_fdw\w*)"
)
"""Functions that act on the server or on the session."""
RUNS_TEXTS = re.compile(r"ts_stat|query_to_xml\w*|query_to_\w*xmlschema|crosstab\w*")
"""Functions that run SQL given as a text."""
ACCESS_METHODS = frozenset({"btree", "hash", "gist", "gin", "brin", "spgist"})
BY_NAME = frozenset({"nextval", "currval", "lastval", "pg_sequence_last_value"})
MAKES = frozenset({"sequence_name", "multirange_type_name", "commutator", "negator"})
REG_TYPE = re.compile(r"reg(class|proc|procedure|oper|operator|type|namespace|config|dictionary)")
QUALIFIED = re.compile(r'\s*("(?:[^"]|"")+"|[^".(\s]+)\s*\.')


class ForeignNameError(Exception):
    """The reason why a statement is refused."""


def texts(nodes: Iterable[Any]) -> tuple[str, ...]:
    """Return the texts of nodes that are all texts, or nothing."""
    found = list(nodes)
    if any(node.WhichOneof("node") != "string" for node in found):
        return ()
    return tuple(node.string.sval for node in found)


def walk(message: Any) -> Iterator[Any]:
    """Yield a message and all those in it, however deep."""
    waiting = [message]
    while waiting:
        one = waiting.pop()
        yield one
        for field, value in one.ListFields():
            if field.message_type is not None:
                is_one = hasattr(value, "ListFields")
                waiting.extend([value] if is_one else value)


@dataclass(frozen=True, slots=True)
class Names:
    """The schemas that a backup may name: its own, and those `outside` that it may use."""

    schema: str
    outside: frozenset[str]

    def check(self, node: Any) -> None:
        """Look at every name in a statement's tree.

        Raises:
            ForeignNameError: one lies in a schema that the backup has no business with.
        """
        for message in walk(node):
            kind = message.DESCRIPTOR.name
            if kind == "RangeVar":
                self._check_relation(message)
            elif kind == "FuncCall":
                self._check_call(message)
            elif kind == "TypeCast":
                self._check_cast(message)
            elif kind == "DefElem" and message.defname in MAKES:
                self._check_made(message)
            for field, value in message.ListFields():
                if hasattr(value, "ListFields") or field.message_type is None:
                    continue
                if field.message_type.name == "Node" and (kind, field.name) not in FREE_TEXTS:
                    self._check_name(texts(value))

    def _check_schema(self, schema: str, name: str) -> None:
        if schema not in (*SYSTEM, self.schema) and schema not in self.outside:
            raise ForeignNameError(f'it names "{name}" in the schema "{schema}"')

    def _check_name(self, name: tuple[str, ...]) -> None:
        if len(name) > 1:
            is_of_method = len(name) > 2 and name[0] in ACCESS_METHODS
            self._check_schema(name[1] if is_of_method else name[0], name[-1])

    def _check_relation(self, relation: Any) -> None:
        if relation.catalogname or relation.relpersistence == "t":
            raise ForeignNameError(f'it names "{relation.relname}", which is in another schema')
        self._check_schema(relation.schemaname, relation.relname)
        if relation.schemaname in SYSTEM and SECRETS.fullmatch(relation.relname):
            raise ForeignNameError(f"it reads {relation.relname}")

    def _check_made(self, option: Any) -> None:
        """Look at an option whose name is made if it is not there."""
        form = option.arg.WhichOneof("node")
        items = option.arg.type_name.names if form == "type_name" else option.arg.list.items
        name = texts(items)
        if len(name) > 1 and name[0] not in (self.schema, "pg_catalog"):
            raise ForeignNameError(f'it creates "{name[-1]}" in the schema "{name[0]}"')

    def _check_call(self, call: Any) -> None:
        name = texts(call.funcname)
        if name and DANGEROUS.fullmatch(name[-1]):
            raise ForeignNameError(f"it calls {name[-1]}()")
        if name and name[-1] in BY_NAME and call.args:
            self._check_literal(call.args[0])
        if name and RUNS_TEXTS.fullmatch(name[-1]):
            self._check_texts(name[-1], call.args)

    def _check_texts(self, name: str, arguments: Iterable[Any]) -> None:
        for argument in arguments:
            node = argument
            while node.WhichOneof("node") == "type_cast":
                node = node.type_cast.arg
            if node.WhichOneof("node") != "a_const":
                raise ForeignNameError(f"it calls {name}() with a text that cannot be read")
            try:
                for one in parse(node.a_const.sval.sval, is_deep=True).stmts:
                    self.check(one.stmt)
            except UnreadableError:
                continue  # to the server neither: a limit, a list of weights

    def _check_cast(self, cast: Any) -> None:
        name = texts(cast.type_name.names)
        if name and REG_TYPE.fullmatch(name[-1]):
            self._check_literal(cast.arg)

    def _check_literal(self, node: Any) -> None:
        """Check what a text names as an object, such as `nextval('acme.ids')`."""
        while node.WhichOneof("node") == "type_cast":
            node = node.type_cast.arg
        if node.WhichOneof("node") != "a_const":
            return
        if node.a_const.WhichOneof("val") != "sval":
            raise ForeignNameError("it names an object by its OID")
        named = node.a_const.sval.sval
        if named.strip().isdigit():
            raise ForeignNameError("it names an object by its OID")
        if found := QUALIFIED.match(named):
            self._check_schema(unquoted(found[1]), named)


def unquoted(identifier: str) -> str:
    """Return the name that an identifier stands for."""
    if identifier.startswith('"') and identifier.endswith('"'):
        return identifier[1:-1].replace('""', '"')
    return identifier.lower()


def relation_named(text: str) -> tuple[str, str]:
    """Return the schema and the name of a relation that a text names; empty if it names none."""
    try:
        tree = parse(f"ALTER TABLE {text} RESET (x)")
    except UnreadableError:
        return "", ""
    if len(tree.stmts) != 1 or tree.stmts[0].stmt.WhichOneof("node") != "alter_table_stmt":
        return "", ""
    relation = tree.stmts[0].stmt.alter_table_stmt.relation
    return relation.schemaname, relation.relname

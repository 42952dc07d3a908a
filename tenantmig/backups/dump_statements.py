"""The statements of a backup that make something: what each may say. Pure."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tenantmig.backups.dump_kinds import CHANGES, CODE, DEFINED, LANGUAGES, ROLES, Turn
from tenantmig.backups.dump_names import ForeignNameError, texts
from tenantmig.backups.dump_targets import Name, Targets
from tenantmig.postgres.parsing import enum_name


def _schema(on: Targets, node: Any) -> Turn:
    if node.schemaname != on.schema or node.schema_elts or node.HasField("authrole"):
        raise ForeignNameError(f'it creates another schema than "{on.schema}"')
    return Turn.SKIP


def _table(on: Targets, node: Any) -> Turn:
    for parent in node.inh_relations:
        on.own_relation(parent.range_var)
    return Turn.MAKE


def _index(on: Targets, node: Any) -> Turn:
    on.own_relation(node.relation)
    if node.concurrent:
        raise ForeignNameError("it builds an index concurrently")
    return Turn.MAKE


def _sequence(on: Targets, node: Any) -> Turn:
    for option in node.options:
        one = option.def_elem
        owner = texts(one.arg.list.items) if one.defname == "owned_by" else ("none",)
        if owner != ("none",):
            on.own(owner[:2])
    return Turn.MAKE


def _matview(on: Targets, node: Any) -> Turn:
    if enum_name(node, "objtype") != "OBJECT_MATVIEW" or not node.into.skip_data:
        raise ForeignNameError("it runs a query")
    on.own_relation(node.into.rel)
    return Turn.MAKE


def _function(on: Targets, node: Any) -> Turn:
    name = texts(node.funcname)
    on.own(name)
    for option in node.options:
        one = option.def_elem
        if one.defname == "language" and one.arg.string.sval not in LANGUAGES:
            raise ForeignNameError(f"it uses the language {one.arg.string.sval}")
        if one.defname in {"support", "transform"}:
            raise ForeignNameError(f"it has a {one.defname}")
        if one.defname == "set" and one.arg.variable_set_stmt.name in ROLES:
            raise ForeignNameError("it changes its role")
        if one.defname == "security" and one.arg.boolean.boolval:
            on.facts.definers.add(name)
    on.facts.has_code = True
    return Turn.MAKE


def _definition(on: Targets, node: Any) -> Turn:
    if enum_name(node, "kind") not in DEFINED:
        raise ForeignNameError("tenants do not create objects of this kind")
    if enum_name(node, "kind") == "OBJECT_TYPE" and node.definition:
        raise ForeignNameError("it creates a base type")
    on.own(texts(node.defnames))
    return Turn.MAKE


def _trigger(on: Targets, node: Any) -> Turn:
    on.own_relation(node.relation)
    if node.HasField("constrrel"):
        on.own_relation(node.constrrel)
    return Turn.DEFER if node.isconstraint else Turn.MAKE


def _rule(on: Targets, node: Any) -> Turn:
    for action in node.actions:
        kind = action.WhichOneof("node")
        inner = getattr(action, kind)
        if kind in {"insert_stmt", "update_stmt", "delete_stmt"}:
            on.own_relation(inner.relation)
        elif kind not in {"select_stmt", "notify_stmt"}:
            raise ForeignNameError("its action is not allowed in a rule")
    return Turn.MAKE


def _copy(on: Targets, node: Any) -> Turn:
    if not node.is_from or node.is_program or node.filename or node.HasField("query"):
        raise ForeignNameError("it copies from or to a file or a program")
    if node.options or node.HasField("where_clause"):
        raise ForeignNameError("it uses COPY with options")
    on.own_relation(node.relation)
    return Turn.FILL


def _alter_table(on: Targets, node: Any) -> Turn:
    on.own_relation(node.relation)
    turn = Turn.MAKE
    for one in node.cmds:
        command = one.alter_table_cmd
        what = enum_name(command, "subtype")
        if what not in CHANGES:
            raise ForeignNameError(f"it changes a table with {what.removeprefix('AT_')}")
        definition = getattr(command, "def")
        if what == "AT_ChangeOwner":
            role = on.give(command.newowner)
            if enum_name(node, "objtype") in CODE:
                name = (node.relation.schemaname, node.relation.relname)
                on.facts.code_owners.setdefault(name, set()).add(role)
            turn = Turn.OWN
        elif what == "AT_AttachPartition":
            on.own_relation(definition.partition_cmd.name)
        elif what == "AT_AddConstraint" and _reaches_out(definition.constraint, on.schema):
            turn = Turn.BIND
    if turn is not Turn.MAKE and len(node.cmds) > 1:
        raise ForeignNameError("it makes several changes at once")
    return turn


def _reaches_out(constraint: Any, schema: str) -> bool:
    return bool(constraint.HasField("pktable")) and constraint.pktable.schemaname != schema


def _alter_domain(on: Targets, node: Any) -> Turn:
    on.own(texts(node.type_name))
    if node.subtype not in {"C", "T", "O", "N", "V"}:
        raise ForeignNameError("it changes a domain")
    return Turn.MAKE


def _owner(on: Targets, node: Any) -> Turn:
    kind = enum_name(node, "object_type")
    name = on.own_object(kind, node.object)
    role = on.give(node.newowner)
    if kind == "OBJECT_SCHEMA":
        on.facts.schema_owner = role
    elif kind in CODE:
        on.facts.code_owners.setdefault(name, set()).add(role)
    return Turn.OWN


def _comment(on: Targets, node: Any) -> Turn:
    on.own_object(enum_name(node, "objtype"), node.object)
    return Turn.MAKE


def _grant(on: Targets, node: Any) -> Turn:
    if enum_name(node, "targtype") != "ACL_TARGET_OBJECT" or node.HasField("grantor"):
        raise ForeignNameError("it grants more than privileges on an object")
    for one in node.objects:
        on.own_object(enum_name(node, "objtype"), one)
    return Turn.GRANT


def _default_privileges(on: Targets, node: Any) -> Turn:
    schemas: Name = ()
    for option in node.options:
        items = option.def_elem.arg.list.items
        if option.def_elem.defname == "schemas":
            schemas = texts(items)
        else:
            for one in items:
                on.give(one.role_spec)
    if schemas != (on.schema,):
        raise ForeignNameError("it sets privileges outside this schema")
    return Turn.GRANT


def _refresh(on: Targets, node: Any) -> Turn:
    on.own_relation(node.relation)
    if node.concurrent:
        raise ForeignNameError("it refreshes a view concurrently")
    return Turn.REFRESH


HANDLERS: dict[str, Callable[[Targets, Any], Turn]] = {
    "alter_default_privileges_stmt": _default_privileges,
    "alter_domain_stmt": _alter_domain,
    "alter_owner_stmt": _owner,
    "alter_seq_stmt": _sequence,
    "alter_table_stmt": _alter_table,
    "comment_stmt": _comment,
    "copy_stmt": _copy,
    "create_function_stmt": _function,
    "create_schema_stmt": _schema,
    "create_seq_stmt": _sequence,
    "create_stmt": _table,
    "create_table_as_stmt": _matview,
    "create_trig_stmt": _trigger,
    "define_stmt": _definition,
    "grant_stmt": _grant,
    "index_stmt": _index,
    "refresh_mat_view_stmt": _refresh,
    "rule_stmt": _rule,
}

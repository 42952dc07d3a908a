"""Reach: what a statement would do that no rollback takes back. Pure, by PostgreSQL's own parser.

A text is parsed only if one of a few words is in it: a history holds thousands of statements.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from tenantmig.postgres.parsing import UnreadableError, enum_name, parse_sent

WORDS = re.compile(
    r"(^|;|\*/|\n)\s*(begin|end|start)\b"
    r"|\b(commit|rollback|abort|prepare|copy|vacuum|analy[sz]e|setval|lo_export"
    r"|dblink\w*|pg_terminate_backend|pg_cancel_backend|pg_reload_conf|pg_rotate_logfile"
    r"|pg_promote|pg_switch_wal|pg_\w+_slot|pg_file_\w+|pg_stat_reset\w*)\b",
    re.IGNORECASE,
)
AT_ONCE = re.compile(
    r"\b(lo_export|dblink\w*|pg_terminate_backend|pg_cancel_backend|pg_reload_conf"
    r"|pg_rotate_logfile|pg_promote|pg_switch_wal|pg_\w+_slot|pg_file_\w+|pg_stat_reset\w*)\s*\(",
    re.IGNORECASE,
)
"""Functions that act at once, whatever becomes of the transaction."""
SETVAL = re.compile(r"\bsetval\s*\(", re.IGNORECASE)
CATALOG = re.compile(
    r"\b(UPDATE|INSERT\s+INTO|DELETE\s+FROM|MERGE\s+INTO)\s+(ONLY\s+)?"
    r'("?pg_catalog"?\s*\.\s*)?"?(pg_(?!temp\b)\w+)',
    re.IGNORECASE,
)
GRANTING = re.compile(r"\b(grant|revoke|owned|do|call)\b", re.IGNORECASE)
CONTROL = re.compile(
    r"(^|;)\s*(commit|end|rollback|abort|begin|start\s+transaction|prepare\s+transaction)"
    r"(\s+(work|transaction|prepared))?\s*(;|$)",
    re.IGNORECASE,
)
"""How a transaction is ended in a text that the parser cannot read."""
SAVEPOINTS = frozenset({"TRANS_STMT_SAVEPOINT", "TRANS_STMT_RELEASE", "TRANS_STMT_ROLLBACK_TO"})
DEFINITIONS = frozenset({"create_function_stmt", "view_stmt", "rule_stmt", "comment_stmt"})
Name = tuple[str, str]
"""A schema, which may be empty, and a name."""


@dataclass(frozen=True, slots=True)
class Reach:
    """What a statement does that a rollback would not take back.

    `fault` says so in words. `sequences` are those that it sets; `alone` the relations of one
    that cannot be run inside a transaction; they must be looked up.
    """

    fault: str | None = None
    sequences: tuple[tuple[str, ...], ...] = ()
    alone: tuple[Name, ...] = ()


INSIDE = Reach()


def may_grant(text: str) -> bool:
    """True when a statement may change the privileges of a table, of which no lock tells."""
    return GRANTING.search(text) is not None


@lru_cache(maxsize=512)  # reflection sends the same again and again
def reach(text: str, *, is_autocommit: bool) -> Reach:
    """Say what a statement, as psycopg is given it, would do beyond its transaction."""
    if found := CATALOG.search(text):
        return Reach(f"writes to the system catalog {found[4].lower()}")
    if not is_autocommit and not WORDS.search(text):
        return INSIDE
    try:
        parsed = parse_sent(text)
    except UnreadableError:
        return Reach(_fault_unread(text))
    nodes = [_node(one.stmt) for one in parsed.stmts]
    fault = next(filter(None, (_fault(kind, node) for kind, node in nodes)), None)
    if fault or all(kind in DEFINITIONS for kind, _ in nodes):
        return Reach(fault)
    if found := AT_ONCE.search(text):
        return Reach(f"calls {found[1].lower()}(), which takes effect immediately")
    sequences = tuple(_set_sequences(text, parsed))
    if () in sequences:
        return Reach("calls setval() without naming the sequence")
    alone = _alone(*nodes[0]) if len(nodes) == 1 else ()
    return Reach(sequences=sequences, alone=alone)


def _fault_unread(text: str) -> str | None:
    if CONTROL.search(text):
        return "sends a text that ends its transaction"
    if found := AT_ONCE.search(text) or SETVAL.search(text):
        return f"calls {found[0].rstrip('( ').lower()}(), which takes effect immediately"
    return None


def _node(statement: Any) -> tuple[str, Any]:
    kind = str(statement.WhichOneof("node"))
    return kind, getattr(statement, kind)


def _fault(kind: str, node: Any) -> str | None:
    if kind == "transaction_stmt":
        what = enum_name(node, "kind")
        said = what.removeprefix("TRANS_STMT_").replace("_", " ")
        return None if what in SAVEPOINTS else f"sends {said} as text"
    if kind == "copy_stmt" and (node.is_program or (node.filename and not node.is_from)):
        return "lets COPY write a file or run a program on the server"
    if kind == "vacuum_stmt" and not node.rels:
        return "runs VACUUM or ANALYZE on the whole database"
    return None


def _set_sequences(text: str, tree: Any) -> Iterator[tuple[str, ...]]:
    """Yield for each setval() its sequence, or a table and its column; () for one of a variable."""
    found = list(_calls(tree, "setval"))
    if len(found) < len(SETVAL.findall(text)):
        yield ()  # in a body of text
    for call in found:
        first = call.args[0] if call.args else None
        while first is not None and first.WhichOneof("node") == "type_cast":
            first = first.type_cast.arg
        if first is None or first.WhichOneof("node") != "func_call":
            yield _strings([first] if first is not None else [])
        elif first.func_call.funcname[-1].string.sval == "pg_get_serial_sequence":
            yield _strings(first.func_call.args)
        else:
            yield ()


def _strings(arguments: Any) -> tuple[str, ...]:
    """The texts of arguments that are all literals, or nothing."""
    if any(one.WhichOneof("node") != "a_const" for one in arguments):
        return ()
    return tuple(one.a_const.sval.sval for one in arguments)


def _calls(message: Any, name: str) -> Iterator[Any]:
    """Yield every call of a function in a tree."""
    for _, value in message.ListFields():
        is_one = isinstance(value, str | bytes | int | float) or hasattr(value, "ListFields")
        for one in [value] if is_one else value:
            if not hasattr(one, "ListFields"):
                continue
            if one.DESCRIPTOR.name == "FuncCall" and one.funcname[-1].string.sval == name:
                yield one
            yield from _calls(one, name)


def _alone(kind: str, node: Any) -> tuple[Name, ...]:
    """The relations of a statement that PostgreSQL refuses to run inside a transaction."""
    if kind == "index_stmt" and node.concurrent:
        return (_name(node.relation),)
    if kind == "drop_stmt" and node.concurrent:
        parts = [[part.string.sval for part in one.list.items] for one in node.objects]
        return tuple((one[-2] if len(one) > 1 else "", one[-1]) for one in parts)
    if kind == "reindex_stmt" and node.HasField("relation"):
        is_apart = any(one.def_elem.defname == "concurrently" for one in node.params)
        return (_name(node.relation),) if is_apart else ()
    if kind == "vacuum_stmt" and node.is_vacuumcmd:
        return tuple(_name(one.vacuum_relation.relation) for one in node.rels)
    if kind == "alter_table_stmt":
        commands = [getattr(one.alter_table_cmd, "def") for one in node.cmds]
        apart = [one.partition_cmd for one in commands if one.WhichOneof("node") == "partition_cmd"]
        if any(one.concurrent for one in apart):
            return (_name(node.relation), *(_name(one.name) for one in apart))
    return ()


def _name(relation: Any) -> Name:
    return relation.schemaname, relation.relname

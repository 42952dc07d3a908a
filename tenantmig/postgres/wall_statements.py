"""Which statements get through the owner's wall, and how each does. Parses; sends nothing."""

from __future__ import annotations

from enum import StrEnum
from functools import lru_cache
from typing import Any

from tenantmig.postgres.parsing import UnreadableError, parse

CHANGES = frozenset({"insert_stmt", "update_stmt", "delete_stmt", "merge_stmt"})
ALONE = frozenset({"vacuum_stmt", "cluster_stmt", "reindex_stmt"})
ASKS = frozenset({"explain_stmt", "variable_show_stmt"})


class Kind(StrEnum):
    """How a statement gets through the wall."""

    RUN = "run"
    ROWS = "rows"
    """It returns rows, and can be prepared."""
    ASK = "ask"
    """It returns rows, and cannot be prepared."""
    ALONE = "alone"
    """It runs in no function."""
    SAVEPOINT = "savepoint"


@lru_cache(maxsize=64)
def kind_of(statement: str) -> Kind:
    """Tell how a text gets through the wall; one of several statements returns no rows."""
    try:
        parsed = parse(statement, is_deep=True).stmts
    except UnreadableError:
        return Kind.RUN
    if len(parsed) != 1:
        return Kind.RUN
    name = parsed[0].stmt.WhichOneof("node")
    node = getattr(parsed[0].stmt, name)
    if name == "transaction_stmt":
        return Kind.SAVEPOINT
    if name == "select_stmt":
        return Kind.RUN if node.HasField("into_clause") else Kind.ROWS
    if name in CHANGES:
        return Kind.ROWS if _returns(node) else Kind.RUN
    if name in ASKS:
        return Kind.ASK
    return Kind.ALONE if name in ALONE or _is_concurrent(name, node) else Kind.RUN


def _returns(node: Any) -> bool:
    """True for RETURNING, which stands in another field from PostgreSQL 18's parser on."""
    if "returning_clause" in node.DESCRIPTOR.fields_by_name:
        return bool(node.HasField("returning_clause"))
    return bool(node.returning_list)


def _is_concurrent(name: str, node: Any) -> bool:
    if name == "alter_table_stmt":
        commands = [getattr(command.alter_table_cmd, "def") for command in node.cmds]
        return any(command.partition_cmd.concurrent for command in commands)
    return name in {"index_stmt", "drop_stmt"} and bool(node.concurrent)

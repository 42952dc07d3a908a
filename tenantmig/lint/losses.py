"""The rule about data that a way back does not bring back. Pure.

To undo a revision takes away what it created, with what was written into it since; nobody expects
otherwise. Lost is what was there before: a column that the upgrade drops, a table that the
downgrade drops and the upgrade did not create.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from tenantmig.lint import Told
from tenantmig.lint.names import Role, created, names_in
from tenantmig.lint.revision import Revision
from tenantmig.lint.statements import Statement, enum_name, strings

RULE = "lossy-downgrade"
MOVES_ROWS = frozenset(
    {"insert_stmt", "update_stmt", "merge_stmt", "create_table_as_stmt", "copy_stmt", "do_stmt"}
)


class Loss(NamedTuple):
    """What a statement takes away: a table, or a column of it, with the data."""

    table: str
    column: str = ""

    @property
    def words(self) -> str:
        """How it is told."""
        return f"column {self.table}.{self.column}" if self.column else f"table {self.table}"


def lossy_downgrade(revision: Revision) -> Iterator[Told]:
    """Data that is lost, in a revision that is not marked irreversible."""
    if revision.irreversible or not revision.is_whole:
        return
    up, down = revision.upgrade.all, revision.downgrade.all
    brought_back = _filled(down)
    for statement, loss in _losses(up):
        if not brought_back & {loss.table, "*"}:
            yield Told(
                statement.line,
                RULE,
                f"the upgrade {_said(statement, loss)}, and downgrade() does not restore its data",
                'call tenantmig.irreversible("...") in downgrade(), or fill it again there',
            )
    born = {made for statement in up for made in _born(statement)}
    for statement, loss in _losses(down):
        is_moved = _filled(down[: down.index(statement)]) - {loss.table}
        if not born & {loss, Loss(loss.table)} and not is_moved:
            yield Told(
                statement.line,
                RULE,
                f"the downgrade {_said(statement, loss)}, which the upgrade did not create",
                "leave it out, move its data first, or call tenantmig.irreversible",
            )


def _said(statement: Statement, loss: Loss) -> str:
    """Say what a statement does: it drops something, or only its rows."""
    is_drop = statement.kind in {"drop_stmt", "alter_table_stmt"}
    return f"{'drops' if is_drop else 'deletes the rows of'} the {loss.words}"


def _losses(statements: Sequence[Statement]) -> Iterator[tuple[Statement, Loss]]:
    """Return what statements take away that they have not made themselves before."""
    own: set[Loss] = set()
    for statement in statements:
        for loss in _taken(statement):
            if not own & {loss, Loss(loss.table)}:
                yield statement, loss
        own.update(_born(statement))


def _taken(statement: Statement) -> Iterator[Loss]:
    node, kind = statement.node, statement.kind
    if kind == "drop_stmt" and enum_name(node, "remove_type") == "OBJECT_TABLE":
        for each in node.objects:
            yield Loss(strings(each.list.items)[-1])
    elif kind == "alter_table_stmt":
        for command in _commands(node, "AT_DropColumn"):
            yield Loss(node.relation.relname, command.name)
    elif kind == "truncate_stmt":
        for relation in node.relations:
            yield Loss(relation.range_var.relname)
    elif kind == "delete_stmt" and not node.HasField("where_clause"):
        yield Loss(node.relation.relname)


def _born(statement: Statement) -> Iterator[Loss]:
    for what, name in created(statement):
        if what == "relation" and statement.kind != "rename_stmt":
            yield Loss(name)
    if statement.kind == "alter_table_stmt":
        for command in _commands(statement.node, "AT_AddColumn"):
            yield Loss(statement.node.relation.relname, getattr(command, "def").column_def.colname)


def _commands(node: Any, subtype: str) -> Iterator[Any]:
    for each in node.cmds:
        if enum_name(each.alter_table_cmd, "subtype") == subtype:
            yield each.alter_table_cmd


def _filled(statements: Sequence[Statement]) -> set[str]:
    """Return the tables that statements write rows into, by the names they have in the end.

    "*" stands for those that a DO block may write.
    """
    filled: set[str] = set()
    for statement in statements:
        if statement.kind == "do_stmt":
            filled.add("*")
        elif statement.kind in MOVES_ROWS:
            filled |= {n.name for n in names_in(statement) if n.role is Role.WRITES}
        elif statement.kind == "rename_stmt" and statement.node.relation.relname in filled:
            filled |= {name for what, name in created(statement) if what == "relation"}
    return filled

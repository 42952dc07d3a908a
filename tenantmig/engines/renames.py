"""Renames: columns that Alembic finds gone and new, and that may be one column with a new name.

Alembic offers DROP COLUMN and ADD COLUMN, which loses the data.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product

from alembic.autogenerate.api import AutogenContext
from alembic.autogenerate.render import render_op_text, renderers
from alembic.operations import Operations
from alembic.operations.ops import (
    AddColumnOp,
    AlterColumnOp,
    DropColumnOp,
    MigrateOperation,
    ModifyTableOps,
    OpContainer,
)
from alembic.runtime.migration import MigrationContext
from sqlalchemy.types import NullType

from tenantmig.domain.draft import Rename


class RenameColumn(AlterColumnOp):
    """A column gets another name; the script says what that was taken from."""

    def __init__(self, rename: Rename, schema: str | None = None) -> None:
        super().__init__(rename.table, rename.old, schema=schema, modify_name=rename.new)
        self.rename = rename

    def reverse(self) -> RenameColumn:
        """Give it its old name back."""
        back = Rename(self.rename.table, self.rename.new, self.rename.old)
        return RenameColumn(back, self.schema)


class Remark(MigrateOperation):
    """Lines of comment in a script."""

    def __init__(self, *lines: str) -> None:
        self.lines = lines

    def reverse(self) -> Remark:
        """Stay as it is."""
        return self

    def to_diff_tuple(self) -> tuple[str, ...]:
        """Return what `alembic check` would list."""
        return ("remark", *self.lines)


@renderers.dispatch_for(Remark)
def _render_remark(_: AutogenContext, remark: Remark) -> list[str]:
    return [f"# {' '.join(line.split())}" for line in remark.lines]


@renderers.dispatch_for(RenameColumn)
def _render_rename(context: AutogenContext, operation: RenameColumn) -> list[str]:
    rename = operation.rename
    plain = AlterColumnOp(rename.table, rename.old, schema=operation.schema, modify_name=rename.new)
    remark = Remark(
        f"{rename.old} was dropped and {rename.new} added with the same type: taken as a rename.",
        "If they are two different columns, write op.add_column() and op.drop_column() instead.",
    )
    call = " ".join(render_op_text(context, plain).split("\n           "))
    return [*_render_remark(context, remark), call]


def find_renames(context: MigrationContext, found: OpContainer) -> tuple[Rename, ...]:
    """Return the columns that are alone in being gone and new in a table, and have one type."""
    renames = []
    for table in _tables(found):
        gone, new = _columns(table)
        if len(gone) == len(new) == 1 and _have_one_type(context, gone[0], new[0]):
            renames.append(Rename(table.table_name, gone[0].column_name, new[0].column.name))
    return tuple(renames)


def rename_columns(context: MigrationContext, renames: Sequence[Rename]) -> None:
    """Do it in the scratch schema, so that what else differs can be seen."""
    operations = Operations(context)
    for rename in renames:
        operations.alter_column(rename.table, rename.old, new_column_name=rename.new)


def remark_on_losses(context: MigrationContext, found: OpContainer) -> None:
    """Where a table loses columns and gets others, say which of them may be renamed ones."""
    for table in _tables(found):
        gone, new = _columns(table)
        if not gone or not new:
            continue
        alike = [pair for pair in product(gone, new) if _have_one_type(context, *pair)]
        pairs = [
            f"- {old.column_name} to {added.column.name}?"
            for old, added in alike or product(gone, new)
        ]
        table.ops.insert(
            0,
            Remark(
                f"Columns of {table.table_name} are dropped with their data, and others are "
                "added. If one was renamed,",
                "write op.alter_column(..., new_column_name=...) instead of the two.",
                *pairs,
            ),
        )


def _tables(found: OpContainer) -> list[ModifyTableOps]:
    return [operation for operation in found.ops if isinstance(operation, ModifyTableOps)]


def _columns(table: ModifyTableOps) -> tuple[list[DropColumnOp], list[AddColumnOp]]:
    gone = [operation for operation in table.ops if isinstance(operation, DropColumnOp)]
    return gone, [operation for operation in table.ops if isinstance(operation, AddColumnOp)]


def _have_one_type(context: MigrationContext, gone: DropColumnOp, new: AddColumnOp) -> bool:
    old, added = gone.to_column(), new.column
    if any(isinstance(one.type, NullType) for one in (old, added)):
        return False
    return not context.impl.compare_type(old, added)

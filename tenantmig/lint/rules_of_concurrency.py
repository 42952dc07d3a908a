"""Rules about what runs outside a transaction. Pure; each looks at one revision."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tenantmig.domain.tenant import PLACEHOLDER
from tenantmig.lint import Told
from tenantmig.lint.revision import Revision
from tenantmig.lint.statements import Statement, enum_name
from tenantmig.postgres.autocommit import read_statement


def autocommit_not_idempotent(revision: Revision) -> Iterator[Told]:
    """A statement in an autocommit_block that cannot be run again after it was cut off."""
    for statement in revision.statements:
        if statement.is_outside and not _is_repeatable(statement):
            yield Told(
                statement.line,
                "autocommit-not-idempotent",
                "if this statement is interrupted, it is not known whether it ran; running "
                "it again may fail or do it twice",
                "move it into a transaction, in a revision of its own; or write it so that "
                "it can run twice (IF NOT EXISTS, IF EXISTS, OR REPLACE)",
            )


def _is_repeatable(statement: Statement) -> bool:
    node = statement.node
    known = read_statement(statement.sql, PLACEHOLDER)
    says_so = ("missing_ok", "if_not_exists", "replace", "skip_if_new_val_exists")
    is_setting = statement.kind == "variable_set_stmt"
    return (
        known.is_repeatable
        or known.is_read
        or is_setting
        or any(getattr(node, word, False) for word in says_so)
        or (statement.kind == "alter_table_stmt" and all(map(_repeats, node.cmds)))
    )


def _repeats(command: Any) -> bool:
    found = command.alter_table_cmd
    return bool(found.missing_ok) or enum_name(found, "subtype") in {
        "AT_ValidateConstraint",
        "AT_SetNotNull",
        "AT_DropNotNull",
        "AT_ColumnDefault",
        "AT_SetStatistics",
    }


def concurrent_index_mixed(revision: Revision) -> Iterator[Told]:
    """An index that is built or dropped concurrently in one revision with something else."""
    for side in (revision.upgrade, revision.downgrade):
        steps = [s for s in side.all if s.kind != "variable_set_stmt"]
        concurrent = [s for s in steps if _is_concurrent(s)]
        if concurrent and len(concurrent) < len(steps):
            yield Told(
                concurrent[0].line,
                "concurrent-index-mixed",
                "the statements beside it commit separately: after an interruption, part of "
                "the revision is committed and its version is not",
                "give the index a revision of its own",
            )


def _is_concurrent(statement: Statement) -> bool:
    is_index = statement.kind in {"index_stmt", "drop_stmt"}
    return is_index and bool(statement.node.concurrent)

"""The wall before a restore: which statements the backup of one tenant schema may hold. Pure.

An allow-list: what is not known to be in such a backup is refused, before anything is touched.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from tenantmig.backups.dump_kinds import (
    BOUND,
    NAMED_BY,
    OF_TABLES,
    RELATION_OF,
    SETTINGS,
    TIMEOUTS,
    Turn,
)
from tenantmig.backups.dump_names import ForeignNameError, Names, relation_named, texts
from tenantmig.backups.dump_script import Statement
from tenantmig.backups.dump_statements import HANDLERS
from tenantmig.backups.dump_targets import Targets
from tenantmig.errors import BackupRefusedError
from tenantmig.postgres.parsing import enum_name


class Wall:
    """Looks at the statements of one backup, in their order."""

    def __init__(self, schema: str, outside: Iterable[str]) -> None:
        self.schema = schema
        self.names = Names(schema, frozenset(outside))
        self.targets = Targets(schema)
        self._is_granting = False

    def look(self, statement: Statement) -> Turn:
        """Say when a statement is to be run.

        Raises:
            BackupRefusedError: it does not belong in the backup of this schema.
        """
        try:
            turn = self._turn(statement.kind, statement.node)
            self.names.check(statement.node)
        except ForeignNameError as error:
            raise BackupRefusedError(
                f'The backup of the schema "{self.schema}" is refused: {_said(statement)}: {error}.'
                " Nothing was touched."
            ) from None
        return turn

    def _turn(self, kind: str, node: Any) -> Turn:
        if kind == "variable_set_stmt":
            return self._setting(node)
        if kind == "select_stmt":
            return self._select(node)
        if self._is_granting and kind != "grant_stmt":
            raise ForeignNameError("it runs as another role")
        if kind in NAMED_BY:
            self.targets.own(texts(getattr(node, NAMED_BY[kind])))
            return Turn.CLASS if kind in BOUND else Turn.MAKE
        if kind in RELATION_OF:
            self.targets.own_relation(getattr(node, RELATION_OF[kind]))
        elif kind not in HANDLERS:
            raise ForeignNameError("the backup of one schema does not contain such a statement")
        return HANDLERS[kind](self.targets, node) if kind in HANDLERS else Turn.MAKE

    def _setting(self, node: Any) -> Turn:
        values = [_constant(one) for one in node.args]
        what = enum_name(node, "kind")
        if node.name == "session_authorization" and not node.is_local:
            # around a GRANT that another role than the owner has made
            is_begun = what == "VAR_SET_VALUE"
            if is_begun is not self._is_granting:
                self._is_granting = is_begun
                return Turn.SKIP
        if what == "VAR_SET_VALUE" and not node.is_local and len(values) == 1:
            if node.name in TIMEOUTS and values == ["0"]:
                return Turn.SKIP
            if values[0] in SETTINGS.get(node.name, ()):
                return Turn.SKIP
            if node.name in OF_TABLES:
                return Turn.SETTING
        raise ForeignNameError(f"it sets {node.name}")

    def _select(self, node: Any) -> Turn:
        plain = {"target_list", "limit_option", "op"}
        call = None
        if len(node.target_list) == 1 and {f.name for f, _ in node.ListFields()} <= plain:
            target = node.target_list[0].res_target.val
            call = target.func_call if target.WhichOneof("node") == "func_call" else None
        name = texts(call.funcname) if call is not None else ()
        values = [_constant(one) for one in call.args] if call is not None else []
        if name == ("pg_catalog", "set_config") and values == ["search_path", "", "false"]:
            _forget(call)
            return Turn.SKIP
        if name == ("pg_catalog", "setval") and len(values) == 3 and None not in values:
            self.targets.own(relation_named(str(values[0])))
            _forget(call)
            return Turn.MAKE
        raise ForeignNameError("a SELECT in a backup may only set the position of a sequence")


NAMES = frozenset(
    {"dbname", "extname", "fdwname", "name", "pubname", "role", "schemaname", "servername",
     "subname", "tablespacename", "trigname", "filename", "conditionname", "plname"}
)  # fmt: skip


def _forget(call: Any) -> None:
    """Take a call out of a tree: it was looked at."""
    call.Clear()


def _constant(node: Any) -> str | None:
    """Return the value of a constant as a text, None for what is none."""
    if node.WhichOneof("node") != "a_const":
        return None
    kind = node.a_const.WhichOneof("val")
    if kind == "sval":
        return str(node.a_const.sval.sval)
    if kind == "ival":
        return str(node.a_const.ival.ival)
    if kind == "boolval":
        return str(node.a_const.boolval.boolval).lower()
    return str(node.a_const.fval.fval) if kind == "fval" else None


def _said(statement: Statement) -> str:
    """Name the kind of a statement and what it is about, never its data."""
    node = statement.node
    if statement.kind == "transaction_stmt":
        return enum_name(node, "kind").removeprefix("TRANS_STMT_").replace("_", " ")
    kind = statement.kind.removesuffix("_stmt").replace("_", " ").upper()
    for field_, value in node.ListFields():
        if field_.name in NAMES and isinstance(value, str):
            return f'{kind} "{value}"'
        if field_.name in {"relation", "view", "sequence", "table"}:
            return f'{kind} "{value.schemaname}"."{value.relname}"'
        if field_.name in {"funcname", "type_name", "defnames", "domainname"}:
            return f"{kind} {'.'.join(texts(value))}".rstrip()
    return kind

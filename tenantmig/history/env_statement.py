"""A statement that env.py sends by itself: does it decide where a tenant's tables go? Pure.

The driver makes a tenant's schema and binds the session to it, so env.py need send nothing of the
kind. What only repeats the session's own search path is harmless, and so is SET ROLE: the path has
no "$user", and a run asks whether the role may write the ledger. Not seen is what a function of the
database does when a SELECT calls it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Any

from tenantmig.postgres.parsing import UnreadableError, enum_name, parse_sent

HINT = re.compile(
    r"schema|search_path|authorization|set_config|pg_settings|\breset\b|\bdiscard\b|\bdo\b",
    re.IGNORECASE,
)
"""Without one of these words a text needs no parser."""
PLACING = re.compile(
    r"\b(create|drop|alter)\s+schema\b|search_path|\bset\s+(local\s+|session\s+)?schema\b"
    r"|\bsession_authorization\b|\bsession\s+authorization\b|\breset\s+all\b",
    re.IGNORECASE,
)
"""What places tables, in a text that no parser reads."""
IN_A_BODY = re.compile(
    rf"{PLACING.pattern}|\bset_config\b|\bpg_settings\b|\bdiscard\s+all\b", re.IGNORECASE
)
"""What places tables in the body of a DO."""
COMPUTED = re.compile(
    r'\bexecute\b(?!\s+(?:on\b|(?:function|procedure)\s+[\w."]+\s*\())', re.IGNORECASE
)
"""An EXECUTE, but for a trigger's function and for the right: what it runs cannot be told."""
COMMENT = re.compile(r"--[^\n]*|/\*.*?\*/", re.DOTALL)
DEFINED = frozenset({"CreateFunctionStmt", "AlterFunctionStmt"})
"""What is only defined, to run later: functions and procedures."""
OF_SCHEMAS = {
    "DropStmt": ("remove_type", "DROP SCHEMA"),
    "RenameStmt": ("rename_type", "ALTER SCHEMA"),
    "AlterOwnerStmt": ("object_type", "ALTER SCHEMA"),
}
SETTINGS = {"search_path": "SET search_path",
            "session_authorization": "SET SESSION AUTHORIZATION"}  # fmt: skip

SET_CONFIG = "set_config('{}', ...)"
UNTOLD = "set_config() of a setting that cannot be determined"
OF_A_SESSION = frozenset(
    {UNTOLD, *SETTINGS.values(), *map(SET_CONFIG.format, SETTINGS), "RESET ALL", "DISCARD ALL"}
)
"""What ends with the session that it was sent over."""


def judge(text: str, path: Sequence[str]) -> str | None:
    """Name what a text does to where tables go, as `CREATE SCHEMA`; None if it does nothing to it.

    `path` is the session's own search path without pg_temp: the tenant schema is the first.
    """
    return _judged(text, tuple(path)) if HINT.search(text) else None


@lru_cache(maxsize=64)
def _judged(text: str, path: tuple[str, ...]) -> str | None:
    try:
        tree = parse_sent(text)
    except UnreadableError:
        found = PLACING.search(text)
        return " ".join(found.group().split()).upper() if found else None
    return next(filter(None, (_does(node, path) for node in _nodes(tree))), None)


def is_setting_alone(text: str) -> bool:
    """True for a text of nothing but SET and RESET, which returns no rows."""
    try:
        statements = parse_sent(text).stmts
    except UnreadableError:
        return False
    return all(one.stmt.WhichOneof("node") == "variable_set_stmt" for one in statements)


def _nodes(node: Any) -> Iterator[Any]:
    """Yield a tree's nodes, but for the bodies of what is only defined."""
    yield node
    for field, value in node.ListFields():
        if field.message_type is None or node.DESCRIPTOR.name in DEFINED:
            continue
        for one in [value] if hasattr(value, "DESCRIPTOR") else value:
            yield from _nodes(one)


def _does(node: Any, path: tuple[str, ...]) -> str | None:
    match node.DESCRIPTOR.name:
        case "CreateSchemaStmt":
            return "CREATE SCHEMA"
        case "DropStmt" | "RenameStmt" | "AlterOwnerStmt" as name:
            field, words = OF_SCHEMAS[name]
            return words if enum_name(node, field) == "OBJECT_SCHEMA" else None
        case "AlterRoleSetStmt" | "AlterDatabaseSetStmt" | "AlterSystemStmt":
            return "ALTER ... SET search_path" if node.setstmt.name in SETTINGS else None
        case "UpdateStmt" if node.relation.relname == "pg_settings":
            return "UPDATE pg_settings"
        case "VariableSetStmt":
            return _sets(node, path)
        case "FuncCall":
            return _configures(node, path)
    return _does_any(node)


def _does_any(node: Any) -> str | None:
    match node.DESCRIPTOR.name:
        case "DiscardStmt" if enum_name(node, "target") == "DISCARD_ALL":
            return "DISCARD ALL"
        case "DoStmt":
            return _runs(node)
    return None


def _runs(node: Any) -> str | None:
    """Say what the body of a DO does, as far as its words tell."""
    body = "\n".join(one.def_elem.arg.string.sval for one in node.args)
    told = f"{body}\n{COMMENT.sub(' ', body)}"
    if IN_A_BODY.search(told):
        return "DO, with a schema or search_path in it"
    return (
        "DO, with an EXECUTE of a text that cannot be determined" if COMPUTED.search(told) else None
    )


def _sets(node: Any, path: tuple[str, ...]) -> str | None:
    kind = enum_name(node, "kind")
    if kind == "VAR_RESET_ALL":
        return "RESET ALL"
    if node.name not in SETTINGS:
        return None
    names = [one.a_const.sval.sval for one in node.args]
    is_path = kind == "VAR_SET_VALUE" and node.name == "search_path"
    return None if is_path and _is_own(names, path) else SETTINGS[node.name]


def _configures(node: Any, path: tuple[str, ...]) -> str | None:
    if node.funcname[-1].string.sval != "set_config" or not node.args[1:]:
        return None
    setting, value = node.args[0], node.args[1]
    if not setting.a_const.HasField("sval"):
        return UNTOLD
    name = setting.a_const.sval.sval.lower()
    if name not in SETTINGS:
        return None
    is_path = name == "search_path" and value.a_const.HasField("sval")
    if is_path and _is_own(_listed(value.a_const.sval.sval), path):
        return None
    return SET_CONFIG.format(name)


def _listed(value: str) -> list[str]:
    """Return the names in a setting's text, as the server reads it."""
    found = re.findall(r'\s*(?:"((?:[^"]|"")*)"|([^",]+))\s*(?:,|$)', value)
    return [quoted.replace('""', '"') or bare.strip().lower() for quoted, bare in found]


def _is_own(names: Sequence[str], path: tuple[str, ...]) -> bool:
    """True for the session's own path; pg_temp, which is its end, may be left out."""
    return tuple(names) in {path, (*path, "pg_temp")}

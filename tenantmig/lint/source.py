"""What a rule sees in the text of a script, where the SQL that it sends cannot tell. Pure."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import NamedTuple

from tenantmig.domain.python_source import parse_source

DROPS = {"drop_constraint": "constraint_name", "drop_index": "index_name"}


class Reference(NamedTuple):
    """A foreign key to a table without a schema, and its line."""

    line: int
    table: str


def unnamed_drops(file: str) -> list[tuple[int, str]]:
    """Return the lines on which something without a name is dropped, and the call."""
    return [
        (call.lineno, name)
        for call, name in _calls(file)
        if name in DROPS and _is_none(call, DROPS[name])
    ]


def references(file: str) -> Iterator[Reference]:
    """Return the foreign keys that a script makes by Alembic or SQLAlchemy, as far as they show."""
    for call, name in _calls(file):
        if name == "create_foreign_key":
            has_schema = any(k.arg == "referent_schema" for k in call.keywords)
            at = 1 if "batch" in ast.unparse(call.func) else 2
            target = _text(call.args[at : at + 1]) or _keyword(call, "referent_table")
            if target and not has_schema:
                yield Reference(call.lineno, target)
        elif name == "ForeignKey" and (target := _text(call.args[:1])):
            yield from _unqualified(call.lineno, target)
        elif name == "ForeignKeyConstraint" and len(call.args) > 1:
            named = call.args[1].elts if isinstance(call.args[1], ast.List | ast.Tuple) else []
            if named and (target := _text(named[:1])):
                yield from _unqualified(call.lineno, target)


def tables_made(file: str) -> set[str] | None:
    """Return the tables that a script creates by name, or None where a name is put together."""
    made: set[str] = set()
    for call, name in _calls(file):
        if name not in {"create_table", "rename_table", "Table"}:
            continue
        table = _text(call.args[1:2] if name == "rename_table" else call.args[:1])
        if table is None:
            return None
        made.add(table)
    for node in ast.walk(parse_source(file)):
        if isinstance(node, ast.JoinedStr) and "create table" in ast.unparse(node).lower():
            return None
    return made


def sql_texts(file: str) -> Iterator[tuple[int, str]]:
    """Return the texts of a script that may create something, wherever they stand."""
    for node in ast.walk(parse_source(file)):
        is_text = isinstance(node, ast.Constant) and isinstance(node.value, str)
        if is_text and "create" in str(node.value).lower():  # type: ignore[attr-defined]
            yield node.lineno, str(node.value)  # type: ignore[attr-defined]


def _unqualified(line: int, target: str) -> Iterator[Reference]:
    parts = target.split(".")
    if len(parts) == 2:
        yield Reference(line, parts[0])


def _calls(file: str) -> Iterator[tuple[ast.Call, str]]:
    for node in ast.walk(parse_source(file)):
        if isinstance(node, ast.Call):
            yield node, ast.unparse(node.func).rpartition(".")[2]


def _text(found: list[ast.expr]) -> str | None:
    if found and isinstance(found[0], ast.Constant) and isinstance(found[0].value, str):
        return found[0].value
    return None


def _keyword(call: ast.Call, name: str) -> str | None:
    return _text([k.value for k in call.keywords if k.arg == name])


def _is_none(call: ast.Call, keyword: str) -> bool:
    given = call.args[:1] or [k.value for k in call.keywords if k.arg == keyword]
    return bool(given) and isinstance(given[0], ast.Constant) and given[0].value is None

"""What a script uses of psycopg2 that psycopg 3 does otherwise: found in its source, and in errors.

Pure. `docs/guides/psycopg2.md` has the same cases, with what to write instead.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import lru_cache
from typing import Final, NamedTuple

from tenantmig.domain.python_source import parse_source

IN_TUPLE: Final = re.compile(r"\bIN\s+(?::(\w+)|%s|%\((\w+)\)s)", re.IGNORECASE)
WORDS: Final = re.compile(r"\b(?:SELECT|INSERT|UPDATE|DELETE|MERGE|CREATE|WHERE)\b", re.IGNORECASE)
ANY: Final = "write `= ANY(:ids)` and give a list"
CLIENT: Final = 'or set bind_parameters = "client" (tenantmig.toml), which binds as psycopg2 does'
INSTEAD: Final = {
    "copy_expert": "write `with cursor.copy(sql) as copy: copy.write(data)`",
    "copy_from": "write `with cursor.copy('COPY t (a) FROM STDIN') as copy: copy.write_row(row)`",
    "copy_to": "write `with cursor.copy('COPY t TO STDOUT') as copy: …`",
    "execute_values": "write `cursor.executemany(sql, rows)`, or op.bulk_insert()",
    "execute_batch": "write `cursor.executemany(sql, rows)`",
    "mogrify": "write `psycopg.ClientCursor(cursor.connection).mogrify(sql, values)`, which returns"
    " a str, or `cursor.executemany(sql, rows)`",
    "set_isolation_level": "use `with op.get_context().autocommit_block():`",
    "set_session": "use `with op.get_context().autocommit_block():`",
}
ERRORS: Final = "catch the class of the same name in psycopg.errors, or sqlalchemy.exc.DBAPIError"
OTHER: Final = "use psycopg (version 3); scripts get one of its connections"


class Use(NamedTuple):
    """One use of psycopg2 in a script: its line, what it is, and what to write."""

    line: int
    what: str
    instead: str
    is_bound: bool = False
    """It is about parameters, and works when they are put in on the client."""
    is_caught: bool = False
    """It catches errors of psycopg2, which nobody raises."""


@lru_cache(maxsize=4096)
def psycopg2_uses(file: str) -> tuple[Use, ...]:
    """Return what a script uses of psycopg2, in the order of its lines, one of a kind a line."""
    tree = parse_source(file)
    names = dict(_imported(tree))
    found = {use[:2]: use for use in _uses(tree, names)}
    return tuple(sorted(found.values()))


def _imported(tree: ast.Module) -> Iterator[tuple[str, str]]:
    """Yield each name that is bound to something of psycopg2, and what it is."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                if alias.name.partition(".")[0] == "psycopg2":
                    whole = alias.name if alias.asname else "psycopg2"
                    yield alias.asname or "psycopg2", whole
        elif isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "psycopg2":
            for alias in node.names:
                yield alias.asname or alias.name, f"{node.module}.{alias.name}"


def _full(node: ast.expr, names: dict[str, str]) -> str:
    """Return what an expression names of psycopg2, or ""."""
    head, dot, rest = ast.unparse(node).partition(".")
    return names[head] + dot + rest if head in names else ""


def _uses(tree: ast.Module, names: dict[str, str]) -> Iterator[Use]:
    expanding = _expanding(tree)
    attributes = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    is_psycopg3 = "ClientCursor" in attributes  # which has mogrify()
    for node in ast.walk(tree):
        if isinstance(node, ast.ExceptHandler) and node.type is not None:
            listed = node.type.elts if isinstance(node.type, ast.Tuple) else [node.type]
            for caught in listed:
                called = caught.func if isinstance(caught, ast.Call) else caught
                if full := _full(called, names):
                    yield Use(caught.lineno, f"except {full}", ERRORS, is_caught=True)
        elif isinstance(node, ast.Call):
            yield from _called(node, names, is_psycopg3=is_psycopg3)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield from _bound(node, node.value, expanding)


def _called(node: ast.Call, names: dict[str, str], *, is_psycopg3: bool) -> Iterator[Use]:
    full = _full(node.func, names)
    name = (full or ast.unparse(node.func)).rpartition(".")[2]
    is_method = isinstance(node.func, ast.Attribute) and not full
    if name == "mogrify" and is_psycopg3:
        return
    if name in INSTEAD and (full or is_method):
        yield Use(node.lineno, f"{name}()", INSTEAD[name])
    elif full and not full.startswith("psycopg2.errors"):
        yield Use(node.lineno, f"{full}()", OTHER)


def _bound(node: ast.Constant, text: str, expanding: frozenset[str]) -> Iterator[Use]:
    if WORDS.search(text):
        for found in IN_TUPLE.finditer(text):
            if (found[1] or found[2]) not in expanding:
                line = node.lineno + text[: found.start()].count("\n")
                yield Use(line, found[0].replace("\n", " "), f"{ANY}, {CLIENT}", is_bound=True)


def _expanding(tree: ast.Module) -> frozenset[str]:
    """Return the parameters that SQLAlchemy itself writes out: bindparam(expanding=True)."""
    return frozenset(
        str(node.args[0].value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and ast.unparse(node.func).rpartition(".")[2] == "bindparam"
        and node.args
        and isinstance(node.args[0], ast.Constant)
        and any(keyword.arg == "expanding" for keyword in node.keywords)
    )


# -- errors at run time ----------------------------------------------------------------------------

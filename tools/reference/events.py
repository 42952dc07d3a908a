"""The events of a run and the data that they hold, from the dataclasses themselves."""

from __future__ import annotations

import ast
import dataclasses
import inspect
import re
import textwrap
from enum import Enum
from itertools import pairwise
from typing import Any, get_args, get_type_hints

from tenantmig import events
from tools.reference.blocks import code, table


def event_blocks() -> dict[str, str]:
    """Return the blocks of the page: each event's, each held dataclass's, and the enumerations."""
    found: list[type] = []
    for each in get_args(events.Event):
        _collect(each, found)
    blocks = {one.__name__: f"{_doc(one)}\n\n{_fields(one)}" for one in found if _holds(one)}
    words = [one for one in found if issubclass(one, Enum)]
    blocks["values"] = "\n".join(f"#### {one.__name__}\n\n{_values(one)}" for one in words)
    return blocks


def _collect(hint: Any, found: list[type]) -> None:
    """Add a dataclass or an enumeration, and those that its fields hold, each once."""
    for inner in get_args(hint):
        _collect(inner, found)
    is_enumeration = isinstance(hint, type) and issubclass(hint, Enum)
    if hint in found or not (is_enumeration or _holds(hint)):
        return
    found.append(hint)
    if not is_enumeration:
        for inner in get_type_hints(hint).values():
            _collect(inner, found)


def _holds(hint: Any) -> bool:
    return isinstance(hint, type) and dataclasses.is_dataclass(hint)


def _doc(each: type) -> str:
    text = inspect.getdoc(each) or ""
    return "\n\n".join(" ".join(part.split()) for part in text.split("\n\n"))


def _fields(each: Any) -> str:
    hints = get_type_hints(each)
    told = _told(each)
    rows = [
        (f"`{one.name}`", code(_type(hints[one.name])), told.get(one.name, ""))
        for one in dataclasses.fields(each)
    ]
    return table(("field", "type", "meaning"), rows)


def _values(each: type[Enum]) -> str:
    told = _told(each)
    if not told:
        return f"{_doc(each)} {', '.join(code(str(one.value)) for one in each)}\n"
    rows = [(code(str(one.value)), told.get(one.name, "")) for one in each]
    return f"{_doc(each)}\n\n{table(('value', 'meaning'), rows)}"


def _told(each: type) -> dict[str, str]:
    """Return the texts below a class's fields or members, by their names."""
    (found,) = ast.parse(textwrap.dedent(inspect.getsource(each))).body
    assert isinstance(found, ast.ClassDef)
    told = {}
    for one, after in pairwise(found.body):
        targets = one.targets if isinstance(one, ast.Assign) else [getattr(one, "target", None)]
        if isinstance(targets[0], ast.Name) and isinstance(after, ast.Expr):
            told[targets[0].id] = ast.literal_eval(after.value)
    return told


def _type(hint: Any) -> str:
    if isinstance(hint, type) and not get_args(hint):
        return hint.__name__
    return re.sub(r"(?:[a-z_]\w*\.)+", "", str(hint))

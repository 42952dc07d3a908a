"""The settings: each one's default, what is allowed and its meaning, from the model."""

from __future__ import annotations

import types
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import SecretStr
from pydantic.fields import FieldInfo

from tenantmig.domain.written_values import parse_duration
from tenantmig.settings import Settings
from tools.reference.blocks import table

FORMS = {
    "database_url": "a URL, or `module:name`; a secret, never printed",
    "password_command": "a command line; a secret, never printed",
    "source_pattern": "a LIKE pattern",
    "source_query": "SQL",
    "source_callable": "`module:function`",
    "birth": "`module:function`",
    "ledger_schema": "a name without `%`, `[` and `]`",
    "extension_schemas": "a list of schema names",
    "shared_schema": "a name without `%`, `[` and `]`",
    "shared_section": "a section of the ini",
    "version_table": "a name without `%`, `[` and `]`",
    "canary": "a number, or tenant names with commas between them",
    "pool": "an integer, 0 at least",
    "parallel": "`auto`, or an integer, 1 at least",
    "max_failures": "a number, or a share such as `5%`",
    "gate": "a command line",
    "restore_role": "a role name",
    "onboard_owner": "a role name, which may hold `{name}` or `{schema}`",
    "x": "a list of texts `key=value`; not `tenant`, not `schema`",
    "pure_modules": "a list of module names",
    "trusted_schemas": "a list of schema names, or of `*`",
}
KINDS = {
    str: "text",
    bool: "`true` `false`",
    int: "an integer",
    Path: "a path",
    SecretStr: "text; a secret, never printed",
}
UNITS = (("h", 3600.0), ("min", 60.0), ("s", 1.0), ("ms", 0.001))


def setting_blocks() -> dict[str, str]:
    """Return the block of the page: a table with a row for each setting, in the model's order."""
    fields = Settings.model_fields.items()
    rows = [
        (f"`{name}`", default_of(name), FORMS.get(name) or _allowed(field), field.description or "")
        for name, field in fields
    ]
    return {"settings": table(("setting", "default", "allowed", "meaning"), rows)}


def enumerations() -> dict[str, tuple[str, ...]]:
    """Return the settings that take one of a few words, with these words."""
    found = {}
    for name, field in Settings.model_fields.items():
        kinds = [one for one in _kinds(field.annotation) if get_origin(one) is Literal]
        words = tuple(word for one in kinds for word in get_args(one))
        if len(words) > 1:
            found[name] = words
    return found


def default_of(name: str) -> str:
    """Return the default of a setting as one would write it; empty if there is none."""
    field = Settings.model_fields[name]
    value = field.default
    if value is None or value in {"", ()}:
        return ""
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    if _is_duration(field):
        unit, size = next((u, s) for u, s in UNITS if value >= s and value % s == 0)
        return f"`{value / size:g}{unit}`"
    return f"`{value}`"


def _is_duration(field: FieldInfo) -> bool:
    found = [field.metadata, *(getattr(a, "__metadata__", ()) for a in get_args(field.annotation))]
    return any(getattr(one, "func", None) is parse_duration for each in found for one in each)


def _allowed(field: FieldInfo) -> str:
    if _is_duration(field):
        least = any(getattr(one, "ge", None) for one in field.metadata)
        return "a duration, 1ms at least" if least else "a duration"
    is_positive = any(getattr(one, "gt", None) == 0 for one in field.metadata)
    told = " or ".join(map(_kind, _kinds(field.annotation)))
    return f"{told}, 1 at least" if is_positive else told


def _kinds(annotation: Any) -> list[Any]:
    if get_origin(annotation) in {Union, types.UnionType}:
        return [one for one in get_args(annotation) if one is not type(None)]
    return [annotation]


def _kind(kind: Any) -> str:
    if get_origin(kind) is Annotated:  # PositiveInt
        return f"{_kind(get_args(kind)[0])}, 1 at least"
    if kind in KINDS:
        return KINDS[kind]
    if get_origin(kind) is Literal:
        return " ".join(f"`{value}`" for value in get_args(kind))
    raise AssertionError(kind)

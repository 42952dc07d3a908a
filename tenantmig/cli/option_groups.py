"""Groups of options: a dataclass whose fields become options of each command that takes it."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from dataclasses import MISSING, fields, is_dataclass
from typing import Any, get_type_hints


def takes(*groups: type) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Let a command take dataclasses of options: their fields become the command's options."""

    def decorate(command: Callable[..., Any]) -> Callable[..., Any]:
        hints = get_type_hints(command, include_extras=True)
        own = inspect.signature(command).parameters.values()
        kept = [p.replace(annotation=hints[p.name]) for p in own if hints[p.name] not in groups]
        named = {hints[p.name]: p.name for p in own if hints[p.name] in groups}
        shared = [parameter for group in groups for parameter in _parameters(group)]

        @functools.wraps(command)
        def with_groups(**given: Any) -> Any:
            for group in groups:
                members = {field.name: given.pop(field.name) for field in fields(group)}
                given[named[group]] = group(**members)
            return command(**given)

        signature = inspect.Signature([*kept, *shared])
        with_groups.__signature__ = signature  # type: ignore[attr-defined]
        with_groups.__annotations__ = {p.name: p.annotation for p in signature.parameters.values()}
        return with_groups

    return decorate


def _parameters(group: type) -> list[inspect.Parameter]:
    assert is_dataclass(group)
    hints = get_type_hints(group, include_extras=True)
    return [
        inspect.Parameter(
            field.name,
            inspect.Parameter.KEYWORD_ONLY,
            default=None if field.default is MISSING else field.default,
            annotation=hints[field.name],
        )
        for field in fields(group)
    ]
